"""How a request wants to be evaluated: read from its query, and held against the model and the service's limits."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from app.errors import EvaluationTooLarge, InvalidParameter
from app.model.evaluation import LARGEST_SCALE, MOST_SCALES, Crops, Evaluation, Method, Plan, plan_of
from app.model.registry import ServedModel
from app.serving.question import Question
from app.settings import Settings

Asked = Literal["single", "multi_crop", "dense", "dense_multi_crop", "auto"]
ASKED: tuple[str, ...] = get_args(Asked)
MOST_HEATMAPS = 20


class Wish(NamedTuple):
    """As the query has it; what is not there is not given."""

    evaluation: Asked
    crops: Crops | None
    scales: str | None
    heatmap: bool

    @property
    def is_usual(self) -> bool:
        return self == USUAL


USUAL = Wish("single", None, None, heatmap=False)


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
    auto = wish.evaluation == "auto"
    method: Method = "multi_crop" if wish.evaluation == "auto" else wish.evaluation
    evaluation = Evaluation(method, _crops(wish, method), _scales(wish, model), wish.heatmap)
    _check_model(evaluation, model, top_k)
    plan = plan_of(evaluation, model.manifest.preprocessing)
    work = Work(evaluation, auto, plan, settings.max_evaluation_pixels)
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


def _crops(wish: Wish, method: Method) -> Crops:
    if wish.crops is None:
        return "10"
    if wish.evaluation == "auto" or method not in ("multi_crop", "dense_multi_crop"):
        raise InvalidParameter(f"crops belongs to multi_crop and dense_multi_crop, not to {wish.evaluation}.")
    return wish.crops


def _scales(wish: Wish, model: ServedModel) -> tuple[int, ...]:
    if wish.scales is None:
        return ()
    if wish.evaluation == "auto":
        raise InvalidParameter("scales does not go with auto, which looks at the model's own scale.")
    least, given = model.manifest.preprocessing.crop, wish.scales.split(",")
    if len(given) > MOST_SCALES or len(set(given)) < len(given):
        raise InvalidParameter(f"scales are at most {MOST_SCALES} different ones.")
    if not all(one.isascii() and one.isdecimal() and least <= int(one[:6]) <= LARGEST_SCALE for one in given):
        raise InvalidParameter(
            f"scales must be whole numbers from {least} to {LARGEST_SCALE}, separated by commas, such as 256,384,512."
        )
    return tuple(map(int, given))


def _check_model(evaluation: Evaluation, model: ServedModel, top_k: int) -> None:
    if evaluation.is_dense and not model.dense:
        raise InvalidParameter(
            f"{model.name} has no dense form: {model.manifest.architecture} has no fully connected layers of a fixed "
            "size that could become convolutions. multi_crop works for every model."
        )
    if evaluation.heatmap and not model.heatmap:
        raise InvalidParameter(f"{model.name} cannot tell which place speaks for a class: there is no heatmap of it.")
    if evaluation.heatmap and top_k > MOST_HEATMAPS:
        raise InvalidParameter(f"With heatmap, top_k may be at most {MOST_HEATMAPS}.")
