"""What several views come to, beside plain loops written with torchvision."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional, v2

from app.errors import EvaluationTooLarge
from app.image.reader import Reader
from app.image.views import LARGEST_WHOLE, Wanted, Whole
from app.model.evaluation import CLOSE, Evaluation, average, combine, heatmap_of, is_close, plan_of
from app.model.looking import look
from app.model.registry import Candidate, ScoreMaps
from tests.model.narrow import narrow_model, narrow_vgg
from tests.model.test_dense import as_convolutions
from tests.pictures import encode, photograph

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PICTURE = photograph()
READER = Reader(10**8, exact=True)
NETWORK = narrow_vgg()
MODEL = narrow_model(NETWORK)
MOST = 10**7


def ours(evaluation: Evaluation) -> NDArray[np.float32]:
    plan = plan_of(evaluation, MODEL)
    parts = READER.read_parts(encode(PICTURE, "PNG"), plan.wanted, MOST).parts
    return average(plan, look(MODEL, evaluation, parts))


def prepared(picture: Image.Image) -> Tensor:
    tensor = functional.normalize(functional.to_tensor(picture), list(MEAN), list(STD))
    assert isinstance(tensor, Tensor)
    return tensor


def resized(scale: int) -> Image.Image:
    picture = v2.Resize(scale)(PICTURE)
    assert isinstance(picture, Image.Image)
    return picture


@torch.inference_mode()
def softmax_mean(crops: Iterator[Image.Image]) -> NDArray[np.float32]:
    return mean([torch.softmax(NETWORK(prepared(crop)[None]), 1)[0] for crop in crops])


def grid(scale: int) -> Iterator[Image.Image]:
    """25 places, each as it is and mirrored."""
    picture = resized(scale)
    for row in range(5):
        for column in range(5):
            left, upper = round((picture.width - 224) * column / 4), round((picture.height - 224) * row / 4)
            crop = picture.crop((left, upper, left + 224, upper + 224))
            yield crop
            yield crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@torch.inference_mode()
def densely(scale: int) -> NDArray[np.float32]:
    """Scores averaged over the map, softmax, then the mean with the mirror image's."""
    picture = resized(scale)
    both = [picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    means = [as_convolutions(NETWORK, prepared(one)[None]).mean((2, 3)) for one in both]
    return mean([torch.softmax(one, 1)[0] for one in means])


def mean(answers: list[Tensor]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = torch.stack(answers).mean(0).numpy()
    return found


def test_ten_crops_are_those_of_torchvision() -> None:
    expected = softmax_mean(iter(v2.TenCrop(224)(resized(256))))
    assert ours(Evaluation("multi_crop")) == pytest.approx(expected, abs=1e-6)


def test_a_hundred_and_fifty_crops_are_a_plain_loop_over_three_grids() -> None:
    evaluation = Evaluation("multi_crop", "5x5", (256, 384, 512))
    assert plan_of(evaluation, MODEL).views == 150
    expected = softmax_mean(crop for scale in (256, 384, 512) for crop in grid(scale))
    assert ours(evaluation) == pytest.approx(expected, abs=1e-6)


def test_dense_is_the_whole_photograph_and_its_mirror_image_averaged() -> None:
    assert ours(Evaluation("dense")) == pytest.approx(densely(256), abs=1e-6)
    expected = np.mean([densely(scale) for scale in (256, 384)], axis=0)
    assert ours(Evaluation("dense", scales=(256, 384))) == pytest.approx(expected, abs=1e-6)


def test_both_ways_of_looking_count_alike() -> None:
    evaluation = Evaluation("dense_multi_crop", scales=(256, 384))
    parts = [ours(Evaluation(method, scales=(256, 384))) for method in ("multi_crop", "dense")]
    assert ours(evaluation) == pytest.approx(np.mean(parts, axis=0), abs=1e-6)
    assert plan_of(evaluation, MODEL).views == 24
    assert ours(evaluation).sum() == pytest.approx(1)


def test_a_single_view_is_the_network_itself() -> None:
    expected = softmax_mean(iter([v2.CenterCrop(224)(resized(256))]))
    assert ours(Evaluation()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", ["single", "multi_crop", "dense"])
def test_a_map_changes_no_answer_and_comes_from_the_largest_scale(method: str) -> None:
    plain = Evaluation(method, scales=(256, 384))  # type: ignore[arg-type]
    mapped = Evaluation(method, scales=(256, 384), heatmap=True)  # type: ignore[arg-type]
    assert ours(mapped) == pytest.approx(ours(plain), abs=1e-7)
    plan = plan_of(mapped, MODEL)
    parts = READER.read_parts(encode(PICTURE, "PNG"), plan.wanted, MOST).parts
    found = combine(plan, look(MODEL, mapped, parts), 3)
    assert found.heatmap is not None
    width, height = resized(384).size
    assert np.shape(found.heatmap.values) == (3, height // 32 - 6, width // 32 - 6)
    assert plan.views == plan_of(plain, MODEL).views


def test_what_a_map_says_is_the_score_over_the_mean_of_all_classes() -> None:
    scores = np.power(np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), 1.5)
    heatmap = heatmap_of(ScoreMaps(scores, (0, 0.25, 1, 0.75)), [3, 1])
    assert [*heatmap.box] == [0, 0.25, 1, 0.75]
    assert heatmap.values[0][1][2] == pytest.approx(scores[0, 1, 2, 3] - scores[0, 1, 2].mean(), abs=1e-3)
    assert np.mean(heatmap.values[1]) == pytest.approx((scores[..., 1] - scores.mean(3)).mean(), abs=1e-3)


def test_an_answer_is_close_where_the_first_two_are() -> None:
    assert is_close([Candidate(1, 0.5), Candidate(2, 0.5 - CLOSE / 2)])
    assert not is_close([Candidate(1, 0.9), Candidate(2, 0.1)])
    assert not is_close([Candidate(1, 0.3)])


def test_work_counts_larger_pictures_for_more() -> None:
    one = [plan_of(Evaluation("dense", scales=(scale,)), MODEL).work for scale in (224, 256, 512)]
    assert one == [2 * 2, 2 * 2, 2 * 7]
    assert plan_of(Evaluation("multi_crop", "5x5"), MODEL).work == 50


def test_what_is_too_long_to_be_seen_whole_is_said_before_it_is_decoded() -> None:
    with pytest.raises(EvaluationTooLarge, match="may have 1,048,576"):
        Whole(512, "bilinear").shape(5000, 500)
    assert np.prod(Whole(512, "bilinear").shape(2000, 500)) == 3 * LARGEST_WHOLE
    with pytest.raises(EvaluationTooLarge, match="are allowed for it"):
        Wanted((Whole(256, "bilinear", mirrored=True),)).shapes(300, 300, 100_000)
