"""The gate before an engine: on golden pictures it must answer as eager fp32 does.

No package that the service needs has photographs in it, so the pictures are made: noise with the spectrum of natural
images (amplitudes that fall as 1/frequency), light and dark, with hard edges and flat areas in some.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.image.views import Pixels
from app.model.network import TorchNetwork

TOP = 5
TIE = 1e-4
LARGEST_DIFFERENCE = 1e-3
LARGEST_RELATIVE = 1e-2
"""Of logits, over what they spread. A network that is sure of nothing has probabilities too small to tell it apart."""


def golden_pictures(crop: int) -> Pixels:
    """uint8 (4, crop, crop, 3), the same ones everywhere."""
    dice = np.random.default_rng(16)
    frequency = np.hypot(np.fft.fftfreq(crop)[:, None], np.fft.rfftfreq(crop)[None])
    frequency[0, 0] = np.inf
    pictures: list[NDArray[np.float64]] = []
    for contrast in (30, 60, 60, 90):
        noise = np.fft.rfft2(dice.standard_normal((3, crop, crop))) / frequency
        planes = np.fft.irfft2(noise, s=(crop, crop))
        picture = 128 + contrast * planes / planes.std()
        if len(pictures) % 2:
            top, left = crop // 4, crop // 3
            picture[:, top : 2 * top, left : 2 * left] = dice.uniform(0, 255, (3, 1, 1))
        pictures.append(picture.transpose(1, 2, 0))
    return np.stack(pictures).clip(0, 255).astype(np.uint8)


@torch.inference_mode()
def golden_logits(network: TorchNetwork, crop: int) -> Tensor:
    """fp32 (pictures, classes), as the softmax sees them."""
    return network.logits(golden_pictures(crop)) / network.temperature


def disagreement(exact: Tensor, other: Tensor) -> str | None:
    """What is wrong with another engine's logits for the same pictures, both (N, classes); ``None``: nothing."""
    if not torch.isfinite(other).all():
        return "its answers are not finite"
    ours, theirs = torch.softmax(exact, 1), torch.softmax(other, 1)
    difference = float((ours - theirs).abs().max())
    if difference > LARGEST_DIFFERENCE:
        return f"a probability differs by {difference:.1e}"
    relative = float(((exact - other).abs().amax(1) / (exact.amax(1) - exact.amin(1)).clamp_min(1e-6)).max())
    if relative > LARGEST_RELATIVE:
        return f"logits differ by {relative:.1%} of their range"
    if not all(same_best(one.numpy(), two.numpy()) for one, two in zip(ours, theirs, strict=True)):
        return f"the {TOP} best classes are others"
    return None


def same_best(exact: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two vectors of probabilities have the same best classes in the same order; those within a tie of each
    other may stand in either."""
    top = min(TOP, len(exact))
    ranks = [np.argsort(-values, kind="stable")[:top] for values in (exact, other)]
    return all(one == two or abs(exact[one] - exact[two]) <= TIE for one, two in zip(*ranks, strict=True))
