from app.training.batches import epoch_batches, pieces
from tests.training.test_loop import SAMPLES, recipe


def test_every_picture_is_seen_once_an_epoch_in_another_order_each_time() -> None:
    batches = [epoch_batches(SAMPLES, recipe(), epoch) for epoch in (0, 1)]
    orders = [[one.index for batch in each for one in batch] for each in batches]
    assert [len(batch) for batch in batches[0]] == [8, 8, 8, 8, 8, 3]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(43))
    assert orders[0] != orders[1]
    assert batches[0] == epoch_batches(SAMPLES, recipe(), 0)


def test_a_batch_is_divided_without_loss() -> None:
    assert [(one.start, one.stop) for one in pieces(7, 3)] == [(0, 2), (2, 4), (4, 7)]
    assert [(one.start, one.stop) for one in pieces(0, 3)] == [(0, 0)]
    assert len(list(pieces(2, 5))) == 2
