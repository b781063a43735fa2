"""An attack is worth what it objects to."""

from collections import Counter

from app.settings import Settings
from tests.system.chaos.assault import Shot
from tests.system.chaos.attacks import Attacked, most_mib, objections
from tests.system.load.outcome import Outcome


def attacked(*codes: str, per_second: int = 10, latency: float = 0.1, **others: float) -> Attacked:
    """Ten seconds of it, after ten quiet ones with ten answers a second in 0.1 s."""
    quiet = Outcome(seconds=10, latencies=[0.1] * 100)
    moments = [number / per_second for number in range(10 * per_second)]
    good = Outcome(latencies=[latency] * len(moments), moments=moments, statuses=Counter({"200": len(moments)}))
    shots = [Shot("first", "200", 0, 1), *(Shot("a", code, 5, 6) for code in codes), Shot("last", "200", 10, 11)]
    return Attacked(quiet, good, shots, **others)  # type: ignore[arg-type]  # only its floats are left


def test_refusals_and_half_of_the_speed_are_no_objection() -> None:
    codes = ("413 too_costly", "422 undecodable_image", "504 deadline_exceeded")
    seen = attacked(*codes, per_second=5, latency=0.29, quiet_mib=100, peak_mib=1000)
    assert objections(seen, 1000) == []


def test_what_others_lose_is() -> None:
    assert objections(attacked(per_second=4), 1) == ["good requests kept 0.40 of their rate"]
    assert objections(attacked(latency=0.31), 1) == ["the p99 of good requests was 3.1 times the quiet one"]
    lost = attacked()
    lost.good.statuses["422"] = 1
    assert objections(lost, 1) == ["good requests beside the attack: 1 x 422"]


def test_defects_broken_connections_and_what_stays_behind_are() -> None:
    codes = ("500 internal", "ConnectionResetError")
    assert objections(attacked(*codes), 1) == ["the attack: 1 x 500 internal", "the attack: 1 x ConnectionResetError"]
    assert objections(attacked(left_buffer_mib=2.0), 1) == ["2.0 MiB of uploads are left"]
    assert objections(attacked(peak_mib=9.0), 5) == ["memory rose by 9 MiB, beyond 5"]


def test_the_bound_on_memory_is_the_documented_one() -> None:
    settings = Settings(decode_workers=2, max_pixels=100_000_000)
    assert 5.1 < most_mib(settings) / 1024 < 5.5  # 1.0 + 0.2 + 0.1 + 3.3 + 0.1 + 0.6 + 0.1 GiB
