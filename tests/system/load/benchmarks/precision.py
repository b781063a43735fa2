"""Lower precisions beside fp32 and beside plain eager PyTorch: what they gain, and whether they answer the same."""

import copy
import statistics
import time
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from app.image.reader import Reader
from app.image.views import Pixels
from app.model.load import load_model
from app.model.network import TorchNetwork
from app.model.registry import LoadedModel
from app.settings import read_settings
from tests.system.load.benchmarks.large import probabilities

PRECISIONS = ("fp32", "bf16", "fp16")
BATCH, TOP = 8, 5


def measure_precisions(model_name: str, jpegs: list[bytes], rounds: int) -> None:
    """Prints images per second in batches of 1 over plain eager's, and how the answers compare with fp32's."""
    settings = read_settings()
    models = {name: load_model(model_name, settings.model_copy(update={"precision": name})) for name in PRECISIONS}
    eager = load_model(model_name, settings.model_copy(update={"precision": "fp32", "cpu_engine": "eager"}))
    forwards = {"plain eager": plain_eager(eager)}
    forwards |= {precision: as_served(model) for precision, model in models.items()}
    reader, views = Reader(settings.max_pixels, exact=True), models["fp32"].manifest.preprocessing.centre_crop()
    pixels = np.concatenate([reader.read(jpeg, views).pixels for jpeg in jpegs])
    speeds: dict[str, list[float]] = {name: [] for name in forwards}
    for turn in tqdm(range(rounds), unit="round", disable=None):
        for name, forward in forwards.items():
            one = pixels[turn % len(pixels)][None]
            forward(one)
            began = time.perf_counter()
            forward(one)
            speeds[name].append(1 / (time.perf_counter() - began))
    base = statistics.median(speeds["plain eager"])
    print(f"plain eager, fp32, one image at a time: {base:.2f} images/s")
    for precision in PRECISIONS:
        print(f"{precision}: {statistics.median(speeds[precision]) / base:.2f} x plain eager")
    exact = all_probabilities(models["fp32"], pixels)
    for precision in PRECISIONS[1:]:
        print(f"{precision} against fp32: {compare(exact, all_probabilities(models[precision], pixels))}")


def as_served(model: LoadedModel) -> Callable[[Pixels], object]:
    return lambda pixels: model.network.top_k(pixels, 1)


def plain_eager(model: LoadedModel) -> Callable[[Pixels], object]:
    """The same weights the way a tutorial runs them: fp32, no channels_last."""
    network = cast(TorchNetwork, model.network)
    module = copy.deepcopy(network.module).to(memory_format=torch.contiguous_format)

    @torch.inference_mode()
    def forward(pixels: Pixels) -> object:
        return module(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(network.device)).cpu()

    return forward


def all_probabilities(model: LoadedModel, pixels: Pixels) -> NDArray[np.float32]:
    return np.concatenate([probabilities(model, pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)])


def compare(exact: NDArray[np.float32], other: NDArray[np.float32]) -> str:
    """Two arrays of shape (images, classes) in words."""
    top = min(TOP, exact.shape[1])
    ranks = [np.argsort(-array, axis=1, kind="stable")[:, :top] for array in (exact, other)]
    best = int((ranks[0][:, 0] == ranks[1][:, 0]).sum())
    sets = sum(set(one) == set(two) for one, two in zip(*(rank.tolist() for rank in ranks), strict=True))
    order = int((ranks[0] == ranks[1]).all(axis=1).sum())
    apart = float(np.abs(exact - other).max())
    return (
        f"of {len(exact)} photographs the same best class on {best}, the same {top} best on {sets} "
        f"(in the same order on {order}); largest difference of a probability {apart:.4f}"
    )
