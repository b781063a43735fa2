"""A benchmark is worth what its checking of answers is worth."""

import json

from tests.system.load.outcome import Outcome, describe
from tests.system.load.uploads import Upload

CAT = Upload(b"jpeg", 281)


def body(class_index: int, **more: object) -> bytes:
    return json.dumps({"predictions": [{"class_index": class_index}], **more}).encode()


def test_right_answers_count_and_wrong_ones_are_shouted() -> None:
    outcome = Outcome(seconds=2)
    outcome.enter(CAT, 200, body(281), 0.010)
    outcome.enter(CAT, 200, body(282), 0.001)
    outcome.enter(CAT, 429, b"", 0.001)
    assert (outcome.per_second, outcome.wrong) == (0.5, 1)
    assert outcome.latencies == [0.010]
    assert outcome.statuses == {"200": 2, "429": 1}
    assert describe([outcome]).endswith("2 x 200, 1 x 429; 1 WRONG ANSWERS")


def test_other_servers_say_their_class_without_a_list() -> None:
    outcome = Outcome(seconds=1)
    outcome.enter(CAT, 200, b'{"class_index": 281}', 0.010)
    outcome.enter(CAT, 200, b'{"model_name": "m", "outputs": [{"name": "class_index", "data": [281]}]}', 0.020)
    assert outcome.latencies == [0.010, 0.020]
    outcome.enter(CAT, 200, b'{"outputs": [{"data": [282]}]}', 0.030)
    outcome.enter(CAT, 200, b'{"outputs": []}', 0.030)
    assert (len(outcome.latencies), outcome.wrong) == (2, 2)


def test_what_the_service_adds_is_what_is_not_work_on_the_image() -> None:
    outcome = Outcome(seconds=1)
    timing = {"decode": 3, "preprocess": 2, "queue": 4, "inference": 5, "total": 14.5}
    outcome.enter(CAT, 200, body(281, batch_size=4, timing_ms=timing), 0.016)
    assert outcome.server_added == [6]
    assert outcome.mean_batch == 4


def test_the_middle_round_is_described_with_all_rounds_statuses() -> None:
    rounds = []
    for answers in (1, 3, 9):
        outcome = Outcome(seconds=1)
        for _ in range(answers):
            outcome.enter(CAT, 200, body(281), answers / 1000)
        rounds.append(outcome)
    assert describe(rounds) == "3.0 images/s; p50 3.0 ms, p99 3.0 ms; 13 x 200"
