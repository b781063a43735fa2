"""Who may lose what."""

from collections import Counter

from tests.system.chaos.losses import BLOWS, objections
from tests.system.load.outcome import Outcome

KILLED, STOPPED = BLOWS[:2]


def outcome(**statuses: int) -> Outcome:
    return Outcome(latencies=[0.1], statuses=Counter({name.lstrip("_"): count for name, count in statuses.items()}))


def test_a_decoder_that_is_killed_costs_nothing() -> None:
    assert objections(KILLED, 3, 3, outcome(_200=9)) == []
    assert objections(KILLED, 3, 3, outcome(_200=9, _504=1)) == ["good requests beside decoder killed: 1 x 504"]


def test_a_decoder_that_is_stopped_costs_one_answer_at_most() -> None:
    assert objections(STOPPED, 3, 3, outcome(_200=9, _504=3)) == []
    assert objections(STOPPED, 3, 3, outcome(_200=9, _504=5)) == ["good requests beside decoder stopped: 2 x 504"]
    assert objections(STOPPED, 3, 3, outcome(_200=9, _422=1)) == ["good requests beside decoder stopped: 1 x 422"]


def test_every_process_must_be_replaced() -> None:
    assert objections(KILLED, 2, 3, outcome(_200=9)) == ["decoder killed: only 2 of 3 processes came back"]
