"""This service with a network that a picture of one colour breaks for good; everything else is as in production.

On CUDA by a device-side assert, after which a process can do nothing with the device any more; on the CPU by an error
that stays.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from app.image.views import Pixels
from app.logs import set_up_logging
from app.main import serve
from app.model.load import load_model
from app.model.network import TorchNetwork
from app.model.registry import LoadedModel
from app.server.run import end_process
from app.settings import Settings, read_settings

POISON = (255, 0, 255)


class Breakable:
    """See ``registry.Network``."""

    def __init__(self, network: TorchNetwork) -> None:
        self._network = network
        self._broken = False

    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        self._break_on_poison(pixels)
        return self._network.top_k(pixels, k)

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        self._break_on_poison(pixels)
        return self._network.probabilities(pixels)

    def _break_on_poison(self, pixels: Pixels) -> None:
        if not self._broken and not (pixels[:, 0, 0] == POISON).all(axis=1).any():
            return
        device = self._network.device
        if device.type == "cuda":  # as the network's own kernels would: out of bounds, and found out later
            torch.zeros(8, device=device)[torch.tensor([9], device=device)].cpu()
        self._broken = True
        raise RuntimeError("beyond use")


def run(settings: Settings) -> int:
    def load(name: str) -> LoadedModel:
        model = load_model(name, settings)
        assert isinstance(model.network, TorchNetwork)
        return replace(model, network=Breakable(model.network), heatmap=False, dense=False)

    return serve(settings, load)


if __name__ == "__main__":
    given = read_settings()
    set_up_logging(given.log_format, given.log_level)
    end_process(run(given))
