"""What is asked about one image, beyond its most probable classes at a glance."""

from collections.abc import Callable
from typing import NamedTuple

from app.model.evaluation import Evaluation


class Question(NamedTuple):
    """``auto``: the evaluation is made only where the answer at a glance is close, there is time until ``until`` (of
    ``time.perf_counter``), and ``take_more`` lets so much more work in. ``most_pixels`` bounds all views together."""

    evaluation: Evaluation
    auto: bool
    most_pixels: int
    until: float
    take_more: Callable[[int], bool]
