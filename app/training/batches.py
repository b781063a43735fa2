"""An epoch's images in batches, and a batch in pieces: the same in every process."""

from collections.abc import Iterator, Sequence

import numpy as np

from app.training.recipe import Recipe
from app.training.split import Sample


def epoch_batches(samples: Sequence[Sample], recipe: Recipe, epoch: int) -> list[list[Sample]]:
    """The whole epoch's batches, the same in every process; the last one may be smaller, nothing is dropped."""
    order = np.random.default_rng([recipe.seed, epoch]).permutation(len(samples))
    shuffled = [samples[place] for place in order]
    return [shuffled[start : start + recipe.batch_size] for start in range(0, len(shuffled), recipe.batch_size)]


def pieces(count: int, wanted: int) -> Iterator[slice]:
    """``count`` rows in at most ``wanted`` pieces; one, even if empty, since every process must take part."""
    found = max(1, min(wanted, count))
    return (slice(count * n // found, count * (n + 1) // found) for n in range(found))
