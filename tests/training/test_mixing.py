import pytest
import torch

from app.errors import ModelError
from app.training.mixing import mixed
from app.training.recipe import Mix

IMAGES, CLASSES = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8).contiguous(), torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_images_and_targets_are_mixed_in_the_same_shares_by_a_seed(mix: Mix) -> None:
    before = torch.random.get_rng_state()
    images, shares = mixed(mix, IMAGES, CLASSES, 3, 5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.allclose(shares.sum(1), torch.ones(4))
    assert torch.equal(images, mixed(mix, IMAGES, CLASSES, 3, 5)[0])
    assert not torch.equal(images, mixed(mix, IMAGES, CLASSES, 3, 6)[0])
    own = shares[1, 1]  # of image 1, the only one of its class; the rest is the neighbour's
    assert images[1].mean() == pytest.approx(float(own * 1 + (1 - own) * 0), abs=1e-5)


def test_without_mixing_nothing_changes_and_features_are_not_mixed() -> None:
    images, targets = mixed("none", IMAGES, CLASSES, 3, 5)
    assert images is IMAGES
    assert targets is CLASSES
    with pytest.raises(ModelError, match="--mix cutmix mixes images"):
        mixed("cutmix", torch.zeros(4, 10), CLASSES, 3, 5)
