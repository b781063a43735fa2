from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from app.training.seeded import drawing_from


def drawn(seed: int) -> Tensor:
    with drawing_from(seed):
        return torch.cat([torch.rand(50) for _ in range(20)])


def test_threads_do_not_draw_from_each_others_seeds() -> None:
    before = torch.random.get_rng_state()
    expected = [drawn(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(drawn, range(8)))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)
