"""Chaos is worth what it complains of."""

from collections import Counter

from tests.system.chaos.faults import FAULTS
from tests.system.chaos.storm import complaints
from tests.system.load.outcome import Outcome


def test_what_was_answered_rightly_is_no_complaint() -> None:
    assert complaints("good", Outcome(latencies=[0.1], statuses=Counter({"200": 1}))) == []


def test_refusals_mix_ups_and_silence_are() -> None:
    refused = Outcome(latencies=[0.1], statuses=Counter({"200": 1, "429": 3}))
    assert complaints("good", refused) == ["good: 3 x 429"]
    mixed_up = Outcome(latencies=[0.1], statuses=Counter({"200": 3}), wrong=2)
    assert complaints("good", mixed_up) == ["good: 2 answers were for somebody else"]
    assert complaints("good", Outcome()) == ["good: none was answered"]


def test_no_fault_may_be_answered_as_a_defect_of_the_service_but_the_poisoned() -> None:
    for fault in FAULTS:
        assert {status for status in fault.expected if "500" in status} <= {"poisoned 500"}, fault.name
