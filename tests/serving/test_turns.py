from app.serving.turns import BULK_SHARE, Turns


def test_single_items_go_first_and_bulk_has_its_share_of_the_time() -> None:
    turns = Turns()
    spent = {True: 0.0, False: 0.0}
    for _ in range(2000):
        bulk = turns.bulk_is_next(single_waits=True, bulk_waits=True)
        seconds = 0.7 if bulk else 0.05
        turns.count(seconds, bulk=bulk, others_wait=True)
        spent[bulk] += seconds
    assert abs(spent[True] / sum(spent.values()) - BULK_SHARE) < 0.02


def test_bulk_has_everything_while_nobody_else_waits_and_owes_nothing_for_it() -> None:
    turns = Turns()
    for _ in range(10):
        assert turns.bulk_is_next(single_waits=False, bulk_waits=True)
        turns.count(5, bulk=True, others_wait=False)
    turns.count(1, bulk=False, others_wait=True)
    assert turns.bulk_is_next(single_waits=True, bulk_waits=True)


def test_nothing_is_saved_up() -> None:
    turns = Turns()
    turns.count(1000, bulk=False, others_wait=True)
    assert not turns.bulk_is_next(single_waits=True, bulk_waits=False)
    assert not turns.bulk_is_next(single_waits=True, bulk_waits=True)
