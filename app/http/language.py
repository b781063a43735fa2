"""Which of the service's two languages a caller would rather read."""

import re
from typing import Literal

Language = Literal["en", "zh"]
MOST_CHARACTERS = 1000  # browsers send a hundred at most

# A language range and its weight (RFC 9110, 12.4.2 and 12.5.4).
RANGE = re.compile(r"\s*(\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*)\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.ASCII)


def preferred(accept_language: str) -> Language:
    """What an ``Accept-Language`` header asks for; English where it does not decide.

    A language weighs as much as the heaviest range that names it, whatever the region: whoever reads ``zh-TW`` is
    better served by Chinese than by English. ``*`` stands for those that are not named. Of two that weigh the same the
    one named first is taken, a range that is not well formed counts for nothing, and a language that weighs nothing is
    given only where neither is wanted.
    """
    weights: dict[str, float] = {}
    for one in accept_language[:MOST_CHARACTERS].lower().split(","):
        found = RANGE.fullmatch(one)
        if found:
            name, weight = found[1].partition("-")[0], float(found[2] or 1)
            weights[name] = max(weight, weights.get(name, 0.0))
    others = weights.pop("*", 0.0)
    named = {name: weight for name, weight in weights.items() if name in ("en", "zh")}
    candidates = named | {name: others for name in ("en", "zh") if name not in named}
    return "zh" if max(candidates, key=candidates.__getitem__) == "zh" and candidates["zh"] > 0 else "en"
