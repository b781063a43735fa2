"""Who may lose what."""

from collections import Counter

from tests.system.chaos.losses import BLOWS, BLOWS_TO_FRONTS, objections
from tests.system.load.outcome import Outcome

KILLED, STOPPED = BLOWS[:2]
FRONT_KILLED, NETWORK_KILLED = BLOWS_TO_FRONTS


def outcome(**statuses: int) -> Outcome:
    return Outcome(latencies=[0.1], statuses=Counter({name.lstrip("_"): count for name, count in statuses.items()}))


def test_a_decoder_that_is_killed_costs_nothing() -> None:
    assert objections(KILLED, 3, 3, outcome(_200=9)) == []
    assert objections(KILLED, 3, 3, outcome(_200=9, _504=1)) == ["good requests beside decoder killed: 1 x 504"]


def test_a_decoder_that_is_stopped_costs_one_answer_at_most() -> None:
    assert objections(STOPPED, 3, 3, outcome(_200=9, _504=3)) == []
    assert objections(STOPPED, 3, 3, outcome(_200=9, _504=5)) == ["good requests beside decoder stopped: 2 x 504"]
    assert objections(STOPPED, 3, 3, outcome(_200=9, _422=1)) == ["good requests beside decoder stopped: 1 x 422"]


def test_a_front_takes_its_connections_along_and_nobody_elses() -> None:
    assert objections(FRONT_KILLED, 1, 1, outcome(_200=9, IncompleteReadError=2, ConnectionResetError=2)) == []
    assert objections(FRONT_KILLED, 1, 1, outcome(_200=9, ConnectionResetError=5)) != []
    assert objections(FRONT_KILLED, 1, 1, outcome(_200=9, ConnectionRefusedError=1)) != []


def test_without_a_network_everybody_is_told_so() -> None:
    assert objections(NETWORK_KILLED, 1, 1, outcome(_200=9, _503=500)) == []
    assert objections(NETWORK_KILLED, 1, 1, outcome(_200=9, _504=1, _503=5)) != []


def test_every_process_must_be_replaced() -> None:
    assert objections(KILLED, 2, 3, outcome(_200=9)) == ["decoder killed: only 2 of 3 processes came back"]
