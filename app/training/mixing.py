"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019), as torchvision has them, drawn from a seed."""

from torch import Tensor
from torchvision.transforms import v2

from app.errors import ModelError
from app.training.recipe import Mix
from app.training.seeded import drawing_from

MAP_AXES = 4


def mixed(mix: Mix, inputs: Tensor, classes: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """A batch (N, channels, height, width) and its targets: ``classes`` (N,), or where it is mixed shares (N, count).

    Raises ``ModelError`` where the inputs are no images or maps.
    """
    if mix == "none" or not len(classes):
        return inputs, classes
    if inputs.ndim != MAP_AXES:
        raise ModelError(
            f"--mix {mix} mixes images: it needs --train block5, fine-tune or all, where the trunk learns."
        )
    transform = v2.MixUp(num_classes=count) if mix == "mixup" else v2.CutMix(num_classes=count)
    with drawing_from(seed):
        images, shares = transform(inputs, classes)
    return images, shares
