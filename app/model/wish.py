"""How somebody wants a photograph to be evaluated, in words; and whether a model can do that. No torch in here."""

from typing import Literal, NamedTuple, get_args

from app.model.evaluation import LARGEST_SCALE, MOST_SCALES, Crops, Evaluation, Method
from app.model.registry import ServedModel

Asked = Literal["single", "multi_crop", "dense", "dense_multi_crop", "auto"]
ASKED: tuple[Asked, ...] = get_args(Asked)


class CannotEvaluate(Exception):
    """What is asked for does not go together, or the model cannot do it; the message is for who asks."""


class Wish(NamedTuple):
    """What is ``None`` was not asked for."""

    evaluation: Asked = "single"
    crops: Crops | None = None
    scales: str | None = None
    heatmap: bool = False

    @property
    def is_usual(self) -> bool:
        return self == USUAL

    @property
    def is_auto(self) -> bool:
        return self.evaluation == "auto"

    def evaluation_by(self, model: ServedModel) -> Evaluation:
        """For ``auto`` what may come of it at most. Raises ``CannotEvaluate``."""
        method: Method = "multi_crop" if self.evaluation == "auto" else self.evaluation
        evaluation = Evaluation(method, self._crops(), self._scales(model), self.heatmap)
        if evaluation.is_dense and not model.dense:
            raise CannotEvaluate(
                f"{model.name} has no dense form: {model.manifest.architecture} has no fully connected layers of a "
                "fixed size that could become convolutions. multi_crop works for every model."
            )
        if evaluation.heatmap and not model.heatmap:
            raise CannotEvaluate(f"{model.name} cannot tell which place speaks for a class: it has no heatmap.")
        return evaluation

    def _crops(self) -> Crops:
        if self.crops is not None and self.evaluation not in ("multi_crop", "dense_multi_crop"):
            raise CannotEvaluate(f"crops belongs to multi_crop and dense_multi_crop, not to {self.evaluation}.")
        return self.crops or "10"

    def _scales(self, model: ServedModel) -> tuple[int, ...]:
        if self.scales is None:
            return ()
        if self.evaluation == "auto":
            raise CannotEvaluate("scales does not go with auto, which looks at the model's own scale.")
        least, given = model.manifest.preprocessing.crop, self.scales.split(",")
        if not all(one.isascii() and one.isdecimal() and least <= int(one[:6]) <= LARGEST_SCALE for one in given):
            raise CannotEvaluate(
                f"scales must be whole numbers from {least} to {LARGEST_SCALE}, separated by commas, "
                "such as 256,384,512."
            )
        scales = tuple(map(int, given))
        if len(scales) > MOST_SCALES or len(set(scales)) < len(scales):
            raise CannotEvaluate(f"scales are at most {MOST_SCALES} different ones.")
        return scales


USUAL = Wish()
