import json
from collections import Counter

import pytest

from tests.system.gpu.findings import Finding, Report
from tests.system.gpu.load import Sampler, clients_for, together
from tests.system.load.outcome import Outcome

FINDINGS = [
    Finding.judged("memory", "halved", True, "64 of 64"),
    Finding.judged("speed", "raw | forms", False, "1 wrong"),
    Finding("decoding", "nvJPEG", "skip", "not installed"),
]
REPORT = Report({"device": "cuda (Tesla T4)"}, FINDINGS)


def test_one_failure_fails_the_whole_and_nothing_else_does() -> None:
    assert not REPORT.passed
    assert Report({}, [FINDINGS[0], FINDINGS[2]]).passed


def test_a_table() -> None:
    lines = REPORT.text("table").splitlines()
    assert lines[0] == "device: cuda (Tesla T4)"
    assert "PASS  memory: halved: 64 of 64" in lines
    assert "FAIL  speed: raw | forms: 1 wrong" in lines
    assert lines[-1] == "1 of 3 failed."


def test_markdown_keeps_its_columns() -> None:
    text = REPORT.text("markdown")
    assert "| memory | halved | pass | 64 of 64 |" in text
    assert r"| speed | raw \| forms | fail | 1 wrong |" in text
    assert "Everything passed." in Report({}, FINDINGS[:1]).text("markdown")


def test_json_has_everything() -> None:
    found = json.loads(REPORT.text("json"))
    assert found["passed"] is False
    assert found["about"] == {"device": "cuda (Tesla T4)"}
    assert [row["outcome"] for row in found["findings"]] == ["pass", "fail", "skip"]


def test_what_several_clients_saw_is_one_outcome() -> None:
    one = Outcome(2.0, [0.1, 0.2], [1, 2], [5.0], [4], Counter({"200": 2}))
    other = Outcome(2.5, [0.3], [3], [], [8], Counter({"200": 1, "429": 1}), 1)
    whole = together([one, other])
    assert (whole.seconds, len(whole.latencies), whole.wrong, whole.mean_batch) == (2.5, 3, 1, 6)
    assert whole.statuses == {"200": 3, "429": 1}


@pytest.mark.parametrize(("cores", "connections", "clients"), [(2, 64, 1), (16, 64, 5), (16, 1, 1), (64, 256, 8)])
def test_clients_leave_the_service_most_of_the_processor(
    cores: int, connections: int, clients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert clients_for(connections) == clients


def test_samples_are_averaged_and_nothing_is_made_up() -> None:
    readings = iter([0.5, 1.0] * 1000)
    with Sampler(lambda: next(readings)) as busy:
        while busy.mean is None or len(busy._samples) < 2:
            pass
    assert 0.5 <= (busy.mean or 0) <= 1.0
    with Sampler(None) as nothing:
        pass
    assert nothing.mean is None
