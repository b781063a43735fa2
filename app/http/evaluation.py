"""What an evaluation takes of the service, held against its limits."""

from collections.abc import Callable
from typing import NamedTuple

from app.errors import EvaluationTooLarge, InvalidParameter
from app.model.evaluation import Evaluation, Plan, plan_of
from app.model.registry import ServedModel
from app.model.wish import CannotEvaluate, Wish
from app.serving.question import Question
from app.settings import Settings

MOST_HEATMAPS = 20


class Work(NamedTuple):
    """What an evaluation takes for each file. ``plan`` is the most that may come of it."""

    evaluation: Evaluation
    auto: bool
    plan: Plan
    most_pixels: int

    @property
    def units(self) -> int:
        """What is counted at first, in squares of the model's size, beside the image itself."""
        return 0 if self.auto else self.plan.work

    @property
    def most_bytes(self) -> int:
        return self.plan.wanted.most_bytes(self.most_pixels)

    def question(self, files: int, until: float, take_more: Callable[[int], bool]) -> Question:
        """For one of so many files: they share the pixels among them."""
        return Question(self.evaluation, self.auto, self.most_pixels // files, until, take_more)


def work_of(wish: Wish, model: ServedModel, top_k: int, settings: Settings) -> Work:
    """Raises ``InvalidParameter`` for what the model cannot do, ``EvaluationTooLarge`` beyond the limits."""
    try:
        evaluation = wish.evaluation_by(model)
    except CannotEvaluate as error:
        raise InvalidParameter(str(error)) from error
    if wish.heatmap and top_k > MOST_HEATMAPS:
        raise InvalidParameter(f"With heatmap, top_k may be at most {MOST_HEATMAPS}.")
    plan = plan_of(evaluation, model)
    work = Work(evaluation, wish.is_auto, plan, settings.max_evaluation_pixels)
    check_views(work, 1, settings)
    if plan.wanted.least_pixels > settings.max_evaluation_pixels:
        most = settings.max_evaluation_pixels
        raise EvaluationTooLarge(f"Its views have {plan.wanted.least_pixels:,} pixels; {most:,} are allowed.")
    return work


def check_views(work: Work, files: int, settings: Settings) -> None:
    """Raises ``EvaluationTooLarge`` when so many files have more views than one request may have."""
    views = files * work.plan.views
    if views > settings.max_views:
        raise EvaluationTooLarge(f"This request asks for {views} views; at most {settings.max_views} are allowed.")
