"""What all checks work with: a device, a model in a store of their own, photographs, and what to ask for."""

import os
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path

import numpy as np
import torch

from app.image.reader import Reader
from app.image.views import Pixels
from app.model.library import Library
from app.model.load import load_model
from app.model.manifest import Manifest
from app.model.network import resolve_device
from app.model.registry import LoadedModel
from app.preparing.command import main as prepare_model
from app.settings import Settings
from tests.system.load.servers import MEASURE_ALL
from tests.system.load.uploads import Upload

EMBEDDED = "efficientnet_lite0"
SURE = 0.05  # how far ahead a class must be for other arithmetic to find the same one


@dataclass
class Bench:
    """``store`` is writable and nobody else's; ``seconds`` is how long each load lasts."""

    device: str
    model: str
    store: Path
    jpegs: Sequence[bytes]
    seconds: float
    connections: Sequence[int]
    fronts: Sequence[int]

    @property
    def is_cuda(self) -> bool:
        return self.device.startswith("cuda")

    @cached_property
    def torch_device(self) -> torch.device:
        return resolve_device(self.device)

    def settings(self, **changes: object) -> Settings:
        values: dict[str, object] = {"store_dir": self.store, "model": self.model, "device": self.device} | changes
        return Settings.model_validate(values)

    def environment(self, **changes: str) -> dict[str, str]:
        """For a service as a process."""
        own = {"VGG_STORE_DIR": str(self.store), "VGG_MODEL": self.model, "VGG_MODELS": self.model}
        own |= {"VGG_DEVICE": self.device, "VGG_HOST": "127.0.0.1", "VGG_MAX_QUEUE_SIZE": "1024"}
        return MEASURE_ALL | own | changes

    @cached_property
    def manifest(self) -> Manifest:
        return Library.from_settings(self.settings()).manifest(self.model)

    def load(self, **changes: object) -> LoadedModel:
        return load_model(self.model, self.settings(**changes))

    @cached_property
    def pixels(self) -> Pixels:
        """Of all photographs: (N, height, width, 3)."""
        settings = self.settings()
        reader, views = Reader(settings.max_pixels, exact=True), self.manifest.preprocessing.centre_crop()
        return np.concatenate([reader.read(jpeg, views).pixels for jpeg in self.jpegs])

    @cached_property
    def uploads(self) -> list[Upload]:
        """Those photographs of which the model is sure, with its answer."""
        indices, values = self.load().network.top_k(self.pixels, 2)
        sure = values[:, 0] - values[:, 1] > SURE
        return [Upload(jpeg, int(index)) for jpeg, index, is_sure in zip(self.jpegs, indices[:, 0], sure, strict=True)
                if is_sure]  # fmt: skip


def fill(store: Path, wanted: str | None) -> str:
    """Bring models into a store of our own; the name of the one to check.

    Those that are prepared come as links to their weights with a copy of the rest, so that what is measured here is
    written here. Without any, the embedded model is prepared. Raises ``ModelError`` when ``wanted`` is not there.
    """
    library = Library.from_settings(Settings())
    prepared = library.prepared()
    for name in prepared:
        source = library.store(name)
        shutil.copytree(source.folder, store / name, ignore=shutil.ignore_patterns("*.safetensors", "*.part"))
        (store / name / source.weights.name).symlink_to(source.weights.resolve())
    if wanted is None and Settings().model not in prepared:
        _prepare_embedded(store)
        return EMBEDDED
    name = wanted or Settings().model
    library.require_prepared(name)
    return name


def _prepare_embedded(store: Path) -> None:
    if not (store / EMBEDDED / "receipt.json").is_file():
        before = os.environ.get("VGG_STORE_DIR")
        os.environ["VGG_STORE_DIR"] = str(store)
        try:
            with redirect_stdout(StringIO()) as said:
                status = prepare_model("", [EMBEDDED, "--no-measure"])
        finally:
            os.environ.pop("VGG_STORE_DIR")
            if before is not None:
                os.environ["VGG_STORE_DIR"] = before
        if status:
            raise SystemExit(f"check-gpu: {EMBEDDED} cannot be prepared: {said.getvalue()}")
