"""Photographs of many megapixels: what the fast path costs beside the plain loop, and whether it answers the same."""

import statistics
import time

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.image.reader import Reader
from app.image.views import Pixels
from app.model.load import load_model
from app.model.registry import LoadedModel
from app.settings import read_settings
from tests.system.load.uploads import enlarged, plain_loop

PIXELS = 12_000_000
CLOSE = 0.02


def measure_large_photographs(model_name: str, jpegs: list[bytes]) -> None:
    """Prints the CPU time of decode and preprocess, and how far the network's probabilities lie apart."""
    settings = read_settings()
    model = load_model(model_name, settings)
    views = model.manifest.preprocessing.centre_crop()
    exact, fast = (Reader(settings.max_pixels, exact=exact) for exact in (True, False))
    costs: dict[str, list[float]] = {"plain loop": [], "exact": [], "fast": []}
    answers = []
    for jpeg in tqdm(jpegs, unit="photograph", disable=None):
        large = enlarged(jpeg, PIXELS)
        costs["plain loop"].append(plain_loop([large], 0))
        began = time.process_time()
        exact_pixels = exact.read(large, views).pixels
        costs["exact"].append(time.process_time() - began)
        began = time.process_time()
        fast_pixels = fast.read(large, views).pixels
        costs["fast"].append(time.process_time() - began)
        answers.append(probabilities(model, np.concatenate([exact_pixels, fast_pixels])))
    base = statistics.median(costs["plain loop"])
    for name, seconds in costs.items():
        cost = statistics.median(seconds)
        print(f"{name}: {1000 * cost:.1f} ms of CPU, {cost / base:.2f} of the plain loop")
    same = sum(int(one.argmax() == other.argmax()) for one, other in answers)
    apart = sorted(float(np.abs(one - other).max()) for one, other in answers)
    close = sum(difference <= CLOSE for difference in apart)
    print(
        f"fast against exact: the same best class on {same} of {len(answers)}, probabilities within {CLOSE} on {close}"
    )
    print(f"largest difference of a probability: median {statistics.median(apart):.4f}, at most {apart[-1]:.4f}")


def probabilities(model: LoadedModel, pixels: Pixels) -> NDArray[np.float32]:
    """(N, classes), by class index."""
    indices, values = model.network.top_k(pixels, len(model.labels))
    by_class = np.empty_like(values)
    np.put_along_axis(by_class, indices, values, axis=1)
    return by_class
