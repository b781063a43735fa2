"""How much memory this process holds with one model, after a batch of each size: a line each, in MB.

python -m tests.system.load.resident MODEL SIZE...
"""

import sys

import numpy as np
import psutil

from app.model.load import load_model
from app.settings import read_settings
from tests.system.load.memory import memory_of

MB = 10**6


def main(model_name: str, sizes: list[int]) -> None:
    """The settings are in the environment."""
    model = load_model(model_name, read_settings().model_copy(update={"max_batch_size": 1}))
    crop = model.manifest.preprocessing.crop
    for size in sizes:
        model.network.top_k(np.full((size, crop, crop, 3), 127, np.uint8), 1)
        print(round(memory_of([psutil.Process()]).all / MB, 1))


if __name__ == "__main__":
    main(sys.argv[1], [int(size) for size in sys.argv[2:]])
