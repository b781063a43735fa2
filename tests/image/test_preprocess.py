from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import VGG16_Weights
from torchvision.transforms import functional

from app.image.preprocess import preprocess
from app.image.views import Place, Views, resized_size
from app.model.manifest import read_manifest
from app.model.network import FromPixels
from tests.dummy import MODELS
from tests.pictures import photograph, plain

VGG16_PREPROCESSING = read_manifest(MODELS / "vgg16" / "manifest.json").preprocessing
EMBEDDED_PREPROCESSING = read_manifest(MODELS / "efficientnet_lite0" / "manifest.json").preprocessing
VGG16, EMBEDDED = VGG16_PREPROCESSING.centre_crop(), EMBEDDED_PREPROCESSING.centre_crop()
CORNERS = (Place(0, 0), Place(1, 0), Place(0, 1), Place(1, 1))
MANY = Views(256, 224, "bilinear", (*CORNERS, Place(0.5, 0.5), Place(0.3, 0.8, mirrored=True)))
SIZES = [(451, 300), (300, 451), (224, 224), (256, 256), (225, 1000), (57, 41), (1, 4), (640, 161), (1023, 767)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_the_network_sees_what_torchvision_would_show_it(name: str, size: tuple[int, int]) -> None:
    image = photograph(name).resize(size)
    reference = VGG16_Weights.IMAGENET1K_V1.transforms()(image)
    pixels = torch.from_numpy(preprocess(image, VGG16)).permute(0, 3, 1, 2)
    seen = FromPixels(torch.nn.Identity(), VGG16_PREPROCESSING, torch.float32)(pixels)[0]
    assert seen.shape == reference.shape == (3, 224, 224)
    assert torch.equal(seen, reference)


@pytest.mark.parametrize("size", SIZES)
def test_bicubic_too(size: tuple[int, int]) -> None:
    image = photograph().resize(size)
    resized = functional.resize(image, [EMBEDDED.short_side], functional.InterpolationMode.BICUBIC)
    expected = np.asarray(functional.center_crop(resized, [EMBEDDED.crop]))
    (pixels,) = preprocess(image, EMBEDDED)
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (3, 4000), (30_000, 200)])
def test_an_extreme_picture_costs_no_more_than_another(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    resize = Image.Image.resize

    def watched(self: Image.Image, wanted: tuple[int, int], *args: object, **options: object) -> Image.Image:
        nonlocal largest
        largest = max(largest, wanted[0] * wanted[1])
        return resize(self, wanted, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", watched)
    pixels = preprocess(plain((90, 120, 30), size), VGG16)
    assert pixels.shape == (1, 224, 224, 3)
    assert (pixels == (90, 120, 30)).all()
    assert largest <= 224 * 224


def test_views_lie_where_they_are_wanted() -> None:
    image = photograph("coffee").resize((400, 256))
    whole = np.asarray(image)
    top_left, top_right, bottom_left, bottom_right, centre, mirrored = preprocess(image, MANY)
    assert np.array_equal(top_left, whole[:224, :224])
    assert np.array_equal(top_right, whole[:224, 176:])
    assert np.array_equal(bottom_left, whole[32:, :224])
    assert np.array_equal(bottom_right, whole[32:, 176:])
    assert np.array_equal(centre, whole[16:240, 88:312])
    assert np.array_equal(mirrored, whole[26:250, 53:277][:, ::-1])


def test_the_extreme_path_shows_the_same_picture() -> None:
    image = photograph("coffee").resize((6000, 290))
    width, height = resized_size(*image.size, VGG16.short_side)
    left, upper = round((width - 224) / 2), round((height - 224) / 2)
    whole = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    expected = whole[upper : upper + 224, left : left + 224].astype(int)
    assert width > 16 * 256
    assert np.abs(preprocess(image, VGG16).astype(int) - expected).max() <= 2


def test_manifests_in_git_are_what_torchvision_and_timm_say() -> None:
    from app.preparing.origin import _timm_preprocessing, torchvision_preprocessing

    assert torchvision_preprocessing() == VGG16_PREPROCESSING
    assert _timm_preprocessing("timm:tf_efficientnet_lite0") == EMBEDDED_PREPROCESSING
    assert Path(MODELS / "vgg16" / "manifest.json").is_file()
