"""A VGG that is narrow enough for a test: torchvision's own class, with few channels and small linear layers."""

from dataclasses import replace

import torch
from torch import nn
from torchvision.models import VGG

from app.image.views import Pixels
from app.model.dense import places_of
from app.model.manifest import Preprocessing
from app.model.network import FromPixels, TorchNetwork
from app.model.registry import LoadedModel
from tests.dummy import DummyNetwork, dummy_model

CLASSES, CHANNELS, WIDTH = 12, 6, 24


def narrow_vgg() -> VGG:
    torch.manual_seed(7)
    layers: list[nn.Module] = []
    before = 3
    for _ in range(5):
        layers += [nn.Conv2d(before, CHANNELS, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)]
        before = CHANNELS
    network = VGG(nn.Sequential(*layers), num_classes=2, init_weights=False)
    network.classifier = nn.Sequential(
        nn.Linear(CHANNELS * 49, WIDTH), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(WIDTH, CLASSES)
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            assert layer.bias is not None
            nn.init.normal_(layer.bias, std=0.1)
    return network.eval()


def narrow_model(network: VGG | None = None, *, temperature: float = 1.0) -> LoadedModel:
    """With VGG16's preprocessing, and real arithmetic."""
    return serve_vgg(network or narrow_vgg(), CLASSES, temperature=temperature)


def serve_vgg(network: VGG, classes: int, *, temperature: float = 1.0) -> LoadedModel:
    """A model as the service loads it, but for where its weights come from."""
    model = dummy_model(DummyNetwork())
    preprocessing: Preprocessing = model.manifest.preprocessing
    served = TorchNetwork(FromPixels(network, preprocessing, torch.float32), torch.device("cpu"), temperature)
    served.places = places_of(network, preprocessing.crop)
    return replace(model, network=served, labels=model.labels[:classes])


def noise(*shape: int) -> Pixels:
    generator = torch.Generator().manual_seed(3)
    pixels: Pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).numpy()
    return pixels
