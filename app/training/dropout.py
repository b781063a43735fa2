"""Dropout whose draws depend on nothing but the step and an image's place in the batch."""

import torch
from torch import Tensor, nn


class RowDropout(nn.Module):
    """Dropout whose mask for an image depends on its place in the batch and not on which process computes it.

    Every process draws the mask of the whole batch from a generator that is seeded for the step, and uses its own
    rows: two processes train what one would, and a resumed run draws what the uninterrupted one drew.
    """

    def __init__(self, p: float, salt: int) -> None:
        super().__init__()
        self.p = p
        self.salt = salt
        self.seed = 0
        self.rows = slice(0, 0)
        self.batch_size = 0

    def set_step(self, seed: int, rows: slice, batch_size: int) -> None:
        """Which rows of which batch the next forward is given."""
        self.seed, self.rows, self.batch_size = seed, rows, batch_size

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return inputs
        generator = torch.Generator().manual_seed((self.seed + 7919 * self.salt) % 2**63)
        drawn = torch.rand(self.batch_size, *inputs.shape[1:], generator=generator)[self.rows]
        return inputs * (drawn >= self.p).to(inputs.device, inputs.dtype) / (1 - self.p)


def replace_dropout(layers: list[nn.Module], p: float) -> None:
    """Each of torch's dropouts among the layers becomes a ``RowDropout``, in place."""
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.Dropout):
            layers[number] = RowDropout(p, salt=number)
