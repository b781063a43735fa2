"""What a network is shown of a photograph before it answers, and how the answers to all views become one.

The names are the paper's (Simonyan & Zisserman, section 3.2). Every view gives a softmax, and softmaxes are averaged:
over crops and their mirror images, over a whole photograph and its mirror image, over scales, and last over the two
ways of looking. Where the paper's text leaves the order open (the score map of a whole photograph), the scores are
averaged over all places first and the softmax is taken then.

No torch in here: fronts know what a request asks for, and the network's process what comes of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from app.image.views import CENTRE, Place, Views, Wanted, Whole
from app.model.manifest import Preprocessing
from app.model.registry import Candidate, ScoreMaps, Seen, ServedModel, candidates

Method = Literal["single", "multi_crop", "dense", "dense_multi_crop"]
METHODS: tuple[Method, ...] = get_args(Method)
Crops = Literal["10", "5x5"]
CROPS: tuple[Crops, ...] = get_args(Crops)
MOST_SCALES = 8
LARGEST_SCALE = 1024
# A VGG's map is read at this scale unless others are asked for: it has 10 places on the short side then, and 2 at 256.
# Of networks that average, it is read at the model's own: at 512 those see more in a picture's corners than in it.
DENSE_HEATMAP_SCALE = 512
WIDE = 4 / 3  # how many times as long as high most photographs are
DIGITS = 4
# ``auto`` looks again where the first two classes are nearer to each other than this.
CLOSE = 0.3

_FIVE = (Place(0, 0), Place(1, 0), Place(0, 1), Place(1, 1), CENTRE)
_GRID = tuple(Place(x / 4, y / 4) for y in range(5) for x in range(5))


def _and_mirrored(places: tuple[Place, ...]) -> tuple[Place, ...]:
    return places + tuple(place._replace(mirrored=True) for place in places)


PLACES: dict[Crops, tuple[Place, ...]] = {"10": _and_mirrored(_FIVE), "5x5": _and_mirrored(_GRID)}
CENTRE_OF_TEN = PLACES["10"].index(CENTRE)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """``scales`` are lengths of the short side; empty: the one of the model's preprocessing."""

    method: Method = "single"
    crops: Crops = "10"
    scales: tuple[int, ...] = ()
    heatmap: bool = False

    @property
    def is_dense(self) -> bool:
        return self.method in ("dense", "dense_multi_crop")


class Plan(NamedTuple):
    """What an evaluation comes to for one model.

    ``weights`` has one number for each view of each part: what it counts in the average. ``heatmap`` is the part whose
    first view the map is read from. ``views`` are those that are averaged; ``work`` is what the network has to do, in
    squares of the model's size.
    """

    wanted: Wanted
    weights: tuple[float, ...]
    heatmap: int | None
    views: int
    work: int


def plan_of(evaluation: Evaluation, model: ServedModel) -> Plan:
    """Crops first, then whole photographs, each from the first scale to the last."""
    preprocessing = model.manifest.preprocessing
    return _plan(evaluation, preprocessing, DENSE_HEATMAP_SCALE if model.dense else preprocessing.resize)


@lru_cache(maxsize=256)
def _plan(evaluation: Evaluation, preprocessing: Preprocessing, heatmap_scale: int) -> Plan:
    scales = evaluation.scales or (preprocessing.resize,)
    crop, interpolation = preprocessing.crop, preprocessing.interpolation
    places = (CENTRE,) if evaluation.method == "single" else PLACES[evaluation.crops]
    squares = [Views(scale, crop, interpolation, places) for scale in scales] if evaluation.method != "dense" else []
    wholes = [Whole(scale, interpolation, mirrored=True) for scale in scales] if evaluation.is_dense else []
    ways = bool(squares) + bool(wholes)
    weights = [1 / (ways * len(scales) * len(places))] * (len(squares) * len(places))
    weights += [1 / (ways * len(scales) * 2)] * (len(wholes) * 2)
    number_of_map = None
    parts: list[Views | Whole] = [*squares, *wholes]
    if evaluation.heatmap and wholes:
        number_of_map = len(squares) + scales.index(max(scales))
    elif evaluation.heatmap:
        number_of_map = len(parts)
        parts.append(Whole(max(evaluation.scales, default=heatmap_scale), interpolation))
    work = sum(len(views.places) for views in squares)
    work += sum(
        part.count * math.ceil(WIDE * (part.short_side / crop) ** 2) for part in parts if isinstance(part, Whole)
    )
    return Plan(Wanted(tuple(parts)), tuple(weights), number_of_map, len(weights), work)


def is_close(best: Sequence[Candidate]) -> bool:
    """Whether more views may change an answer; ``best`` has its first two classes at least, if there are two."""
    return len(best) > 1 and best[0].probability - best[1].probability < CLOSE


class Heatmap(NamedTuple):
    """How much each place of a photograph speaks for each class that was answered.

    ``box``: left, upper, right and lower edge of what the places divide evenly among them, as fractions of the upright
    photograph's width and height. ``values`` has one map for each class, rows of columns: the logit of the class over
    the mean of all classes, at that place. Positive ones speak for the class, negative ones against it.
    """

    box: tuple[float, float, float, float]
    values: list[list[list[float]]]


class Evaluated(NamedTuple):
    """The most probable classes of an image, most probable first, and where they were seen if that was asked for."""

    candidates: list[Candidate]
    heatmap: Heatmap | None


def combine(plan: Plan, seen: Sequence[Seen], top_k: int) -> Evaluated:
    """One answer out of those to all views, in their order in memory; a view that only shows the map comes last."""
    probabilities = average(plan, seen)
    best = candidates(probabilities, top_k)
    if plan.heatmap is None:
        return Evaluated(best, None)
    before = sum(
        len(part.places) if isinstance(part, Views) else part.count for part in plan.wanted.parts[: plan.heatmap]
    )
    maps = seen[before].maps
    assert maps is not None  # a part that is a whole photograph
    return Evaluated(best, heatmap_of(maps, [one.class_index for one in best]))


def average(plan: Plan, seen: Sequence[Seen]) -> NDArray[np.float32]:
    """The probability of every class (classes,)."""
    weighted = zip(plan.weights, seen, strict=False)
    total = sum(weight * one.probabilities.astype(np.float64) for weight, one in weighted)
    return np.asarray(total, dtype=np.float32)


def heatmap_of(maps: ScoreMaps, classes: Sequence[int]) -> Heatmap:
    (scores,) = maps.scores
    over_mean = scores[:, :, list(classes)] - scores.mean(axis=2, keepdims=True)
    values = np.round(over_mean.transpose(2, 0, 1).astype(np.float64), DIGITS)
    return Heatmap(tuple(round(edge, DIGITS) for edge in maps.box), values.tolist())  # type: ignore[arg-type]
