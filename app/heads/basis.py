"""Features in the coordinates that a fit works in: centred, of mean squared length 1, and no more than there are rows.

A head with a ridge is the same in any rotation of its features, and a shift is taken up by its bias. With fewer rows
than features everything that can be learnt lies in the span of the rows: a fit over 1,000 coordinates is the one over
25,088, and takes a twenty-fifth of the time.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

FLAT = 1e-6  # of the largest variance: directions in which the rows do not differ


@dataclass(frozen=True)
class Basis:
    """``directions`` (width, rank) are orthonormal, or ``None`` where the features are used as they are."""

    mean: Tensor
    scale: float
    directions: Tensor | None

    @classmethod
    def of(cls, features: Tensor) -> Self:
        mean = features.mean(0)
        centred = features - mean
        length = float(centred.square().sum(1).mean().sqrt())
        scale = 1 / length if length > 0 else 1.0
        return cls(mean, scale, _span(centred) if 2 * len(features) <= features.shape[1] else None)

    def project(self, features: Tensor) -> Tensor:
        """(N, width) -> (N, rank)."""
        centred = (features - self.mean) * self.scale
        return centred if self.directions is None else centred @ self.directions

    def lift(self, weight: Tensor) -> Tensor:
        """(classes, rank) over projected features -> (classes, width) over centred ones."""
        return (weight if self.directions is None else weight @ self.directions.T) * self.scale


def _span(centred: Tensor) -> Tensor:
    """Orthonormal directions of the rows, by the eigenvectors of their products."""
    products = centred @ centred.T
    variances, vectors = torch.linalg.eigh(products.double())
    kept = variances > FLAT * variances.max().clamp(min=1e-30)
    if not kept.any():
        return torch.zeros(centred.shape[1], 1)
    directions: Tensor = centred.T @ (vectors[:, kept] / variances[kept].sqrt()).float()
    return directions
