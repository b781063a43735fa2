import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from app.errors import BatchTooLarge, ModelError
from app.image.views import Pixels
from app.model.dense import Places
from app.model.manifest import Manifest, read_manifest
from app.model.network import (
    FromPixels,
    TorchNetwork,
    build_architecture,
    build_network,
    is_emulated,
    resolve_device,
    resolve_precision,
)
from tests.dummy import MODELS
from tests.pictures import photograph

CPU = torch.device("cpu")
MANIFEST: Manifest = read_manifest(MODELS / "efficientnet_lite0" / "manifest.json")


def pixels(count: int = 3) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    names = ["chelsea", "coffee", "rocket"] * count
    return np.stack([np.asarray(photograph(name).resize((224, 224))) for name in names[:count]])


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """Random weights, with running statistics that keep the activations in range."""
    torch.manual_seed(0)
    import timm

    return dict(timm.create_model("tf_efficientnet_lite0", num_classes=7).state_dict())


def build(tensors: dict[str, Tensor], precision: str = "fp32", temperature: float = 1.0) -> TorchNetwork:
    manifest = MANIFEST.model_copy(update={"temperature": temperature})
    return build_network(manifest, tensors, 7, CPU, precision)


def test_the_answer_is_the_softmax_of_the_logits_sorted(tensors: dict[str, Tensor]) -> None:
    network = build(tensors)
    batch = pixels()
    expected = torch.softmax(network.logits(batch), dim=1).numpy()
    indices, probabilities = network.top_k(batch, 7)
    assert indices.shape == probabilities.shape == (3, 7)
    assert (np.diff(probabilities, axis=1) <= 0).all()
    for row in range(3):
        assert np.array_equal(expected[row, indices[row]], probabilities[row])
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_temperature_flattens_and_keeps_the_order(tensors: dict[str, Tensor]) -> None:
    indices, probabilities = build(tensors).top_k(pixels(), 7)
    flat_indices, flat = build(tensors, temperature=3.0).top_k(pixels(), 7)
    assert np.array_equal(indices, flat_indices)
    assert (flat[:, 0] < probabilities[:, 0]).all()


def test_a_batch_answers_as_each_image_alone(tensors: dict[str, Tensor]) -> None:
    network = build(tensors)
    together, alone = network.logits(pixels()), [network.logits(picture[None]) for picture in pixels()]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_half_precision_gives_nearly_the_same_probabilities(tensors: dict[str, Tensor]) -> None:
    full, half = build(tensors), build(tensors, "bf16")
    assert next(half.module.network.parameters()).dtype == torch.bfloat16
    expected = torch.softmax(full.logits(pixels()), 1)
    assert torch.allclose(expected, torch.softmax(half.logits(pixels()), 1), atol=0.03)


@pytest.mark.parametrize(
    ("capabilities", "emulated"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False, "avx512_fp16": True}, ["bf16"]),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": True, "avx512_fp16": False}, ["fp16"]),
        ({"neon": True, "bf16": True, "fp16_arith": True}, []),
        ({"avx2": True}, ["bf16", "fp16"]),
    ],
)
def test_a_processor_without_instructions_for_a_precision(
    capabilities: dict[str, bool], emulated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert [precision for precision in ("bf16", "fp16", "fp32") if is_emulated(precision, cpu)] == emulated
    assert not any(is_emulated(precision, cuda) for precision in ("bf16", "fp16", "fp32"))


def test_convolutions_are_channels_last_and_the_rest_is_not_copied(tensors: dict[str, Tensor]) -> None:
    network = build(tensors)
    state = network.module.network.state_dict()
    assert state["conv_stem.weight"].is_contiguous(memory_format=torch.channels_last)
    assert state["classifier.weight"].data_ptr() == tensors["classifier.weight"].data_ptr()


def test_an_answer_that_is_not_finite_is_an_error(tensors: dict[str, Tensor]) -> None:
    broken = dict(tensors)
    broken["classifier.bias"] = torch.full_like(broken["classifier.bias"], torch.nan)
    with pytest.raises(ArithmeticError):
        build(broken).top_k(pixels(1), 1)


class Crowded(nn.Module):
    """A device with room for so many images: more of them are one too many in its second layer."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.activations: list[weakref.ref[Tensor]] = []

    def forward(self, normalised: Tensor) -> Tensor:
        assert not self.held(), "an earlier batch still lies on the device"
        hidden = normalised * 2
        self.activations.append(weakref.ref(hidden))
        if len(hidden) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 392.00 MiB.")
        return hidden.flatten(1)[:, :7]

    def held(self) -> int:
        return sum(one() is not None for one in self.activations)


class CrowdedPlaces(Places):
    """The same device, for whole photographs."""

    def __init__(self, crowded: Crowded) -> None:
        super().__init__()
        self.crowded = crowded

    def forward(self, normalised: Tensor) -> Tensor:
        scores: Tensor = self.crowded(normalised)
        return scores


def top_5(network: TorchNetwork, pixels: Pixels) -> object:
    return network.top_k(pixels, 5)


@pytest.mark.parametrize("forward", [top_5, TorchNetwork.probabilities, TorchNetwork.score_maps])
def test_a_batch_that_does_not_fit_has_left_the_device_when_its_memory_is_given_back(
    monkeypatch: pytest.MonkeyPatch, forward: Callable[[TorchNetwork, Pixels], object]
) -> None:
    crowded, given_back = Crowded(room=2), list[int]()
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: given_back.append(crowded.held()))
    network = TorchNetwork(FromPixels(crowded, MANIFEST.preprocessing, torch.float32), CPU)
    network.places = CrowdedPlaces(crowded)
    with pytest.raises(BatchTooLarge, match=r"392\.00 MiB") as caught:
        forward(network, pixels(3))
    assert given_back == [0]
    assert caught.value.__cause__ is caught.value.__context__ is None  # either would bring its frames along
    forward(network, pixels(2))


def test_another_error_of_a_forward_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    network = TorchNetwork(FromPixels(nn.Flatten(), MANIFEST.preprocessing, torch.float32), CPU)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: pytest.fail("nothing was full"))
    with pytest.raises(RuntimeError, match="selected index k out of range"):
        network.top_k(pixels(1), 10**6)


@pytest.mark.parametrize("architecture", ["vgg11", "vgg13", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"])
def test_every_vgg_of_torchvision(architecture: str) -> None:
    expected = {name: tensor.shape for name, tensor in meta(architecture).state_dict().items()}
    ours = build_architecture(architecture, 1000).state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == expected


def test_vgg16_has_the_papers_number_of_weights() -> None:
    assert sum(tensor.numel() for tensor in build_architecture("vgg16", 1000).parameters()) == 138_357_544


@pytest.mark.parametrize("architecture", ["resnet50", "vgg17", "timm:no_such_network", ""])
def test_an_unknown_architecture_is_refused(architecture: str) -> None:
    with pytest.raises(ModelError, match="architecture"):
        build_architecture(architecture, 1000)


def test_weights_of_another_architecture_are_refused_by_name(tensors: dict[str, Tensor]) -> None:
    wrong = {name.replace("conv_stem", "stem"): tensor for name, tensor in tensors.items()}
    with pytest.raises(ModelError, match=r"conv_stem\.weight is missing"):
        build(wrong)


def test_devices() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_precision("auto", CPU) == "fp32"
    assert resolve_precision("auto", torch.device("cuda:0")) == "fp16"
    assert resolve_precision("bf16", torch.device("cuda:0")) == "bf16"
    if not torch.cuda.is_available():
        assert resolve_device("auto") == CPU
        with pytest.raises(ModelError, match=r"^VGG_DEVICE=cuda:1, but "):
            resolve_device("cuda:1")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_answers_as_the_cpu_does(tensors: dict[str, Tensor]) -> None:
    cuda = build_network(MANIFEST, tensors, 7, resolve_device("cuda"), "fp16")
    expected = torch.softmax(build(tensors).logits(pixels()), 1)
    assert torch.allclose(expected, torch.softmax(cuda.logits(pixels()), 1).cpu(), atol=0.02)


def meta(architecture: str) -> torch.nn.Module:
    with torch.device("meta"):
        network: torch.nn.Module = torchvision.models.get_model(architecture, weights=None)
        return network
