"""What came back from a server under load: kept, checked, and put into words."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.system.load.uploads import Upload


@dataclass
class Outcome:
    """What came back: latencies in seconds of right answers, statuses, and answers that were wrong."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    """When each of them came, on ``time.monotonic``, which all processes share."""
    server_added: list[float] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: int = 0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        return percentile_ms(self.latencies, percent)

    def between(self, start: float, end: float) -> list[float]:
        """Latencies of what was under way in that time."""
        pairs = zip(self.moments, self.latencies, strict=True)
        return [latency for moment, latency in pairs if moment >= start and moment - latency <= end]

    @property
    def mean_batch(self) -> float:
        return statistics.mean(self.batch_sizes) if self.batch_sizes else float("nan")

    def enter(self, upload: Upload, status: int, body: bytes, latency: float) -> None:
        """Enter one response; the answer is checked, whoever gave it."""
        self.statuses[str(status)] += 1
        if status != 200:
            return
        answer = json.loads(body)
        if best_class(answer) != upload.expected:
            self.wrong += 1
            return
        self.latencies.append(latency)
        self.moments.append(time.monotonic())
        if "batch_size" in answer:
            self.batch_sizes.append(answer["batch_size"])
        if "timing_ms" in answer:
            timing = answer["timing_ms"]
            own = timing["decode"] + timing["preprocess"] + timing["inference"]
            self.server_added.append(1000 * latency - own)


def best_class(answer: dict[str, Any]) -> object:
    """As this service says it, as Triton does, or as the other servers."""
    match answer:
        case {"predictions": [{"class_index": best}, *_]} | {"outputs": [{"data": [best]}]} | {"class_index": best}:
            return best
    return None


def percentile_ms(latencies: Sequence[float], percent: float) -> float:
    ordered = sorted(latencies)
    return 1000 * ordered[int(percent / 100 * (len(ordered) - 1))] if ordered else float("nan")


def in_words(counts: Counter[str]) -> str:
    """``Counter({"200": 9, "429": 1})`` -> ``9 x 200, 1 x 429``."""
    return ", ".join(f"{count} x {what}" for what, count in sorted(counts.items()))


def describe(outcomes: Sequence[Outcome]) -> str:
    """The middle one of several rounds in words; what was wrong in any of them."""
    middle = sorted(outcomes, key=lambda outcome: outcome.per_second)[len(outcomes) // 2]
    parts = [
        f"{middle.per_second:.1f} images/s",
        f"p50 {middle.percentile_ms(50):.1f} ms, p99 {middle.percentile_ms(99):.1f} ms",
    ]
    if middle.batch_sizes:
        added = statistics.median(middle.server_added)
        parts.append(f"mean batch {middle.mean_batch:.1f}, {added:.2f} ms beside decode, preprocess and forward")
    statuses = sum((outcome.statuses for outcome in outcomes), start=Counter[str]())
    parts.append(in_words(statuses))
    wrong = sum(outcome.wrong for outcome in outcomes)
    return "; ".join(parts) + (f"; {wrong} WRONG ANSWERS" if wrong else "")
