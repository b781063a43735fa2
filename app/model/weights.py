"""State dicts on disk: read without executing anything, checked, written as safetensors, mapped into memory."""

import os
import pickle
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from app.errors import ModelError, WeightsInvalid
from app.model.files import disk_errors
from app.model.network import build_architecture, load_tensors

# Where training scripts commonly put the state dict inside what they save.
WRAPPERS = ("state_dict", "model", "model_state_dict")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A state dict from a ``.safetensors`` file or one that ``torch.save`` wrote, on the CPU.

    Unpickling is restricted to tensors (``weights_only=True``). A dict inside a training checkpoint and the ``module.``
    prefix of data-parallel training are unwrapped. Raises ``WeightsInvalid`` when the file holds no state dict.
    """
    if path.suffix == ".safetensors":
        return map_tensors(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what counts is whether it can be read
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsInvalid(
            f"{path} cannot be read as a state dict. Whole pickled models are refused, since loading one runs code."
        ) from error
    return _unwrap(content, path)


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
        tensors = {str(name): tensor for name, tensor in inner.items() if isinstance(tensor, Tensor)}
        if tensors and len(tensors) == len(inner):
            prefixed = all(name.startswith("module.") for name in tensors)
            return {name.removeprefix("module.") if prefixed else name: tensor for name, tensor in tensors.items()}
    raise WeightsInvalid(f"{path} holds no state dict (a mapping from names to tensors).")


def map_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped into memory: pages are read when touched and shared by processes.

    Raises ``WeightsInvalid`` when the file is damaged.
    """
    with path.open("rb") as file:
        return map_open(file)


def map_open(file: BinaryIO) -> dict[str, Tensor]:
    """The same, of a file that is open already: another that has taken its place under its name is not looked at."""
    try:
        with safe_open(f"/dev/fd/{file.fileno()}", framework="pt", device="cpu") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise WeightsInvalid(f"{file.name} cannot be read as safetensors.") from error


def fit(tensors: Mapping[str, Tensor], architecture: str, classes: int, by_position: bool) -> dict[str, Tensor]:
    """The tensors under the architecture's own names, after checking that they are a whole and sane set of weights.

    Raises ``WeightsInvalid`` when the number of classes, a name or a shape differs, or a value is not finite.
    """
    network = build_architecture(architecture, classes)
    if by_position:
        names = list(network.state_dict())
        if len(names) != len(tensors):
            raise WeightsInvalid(f"{architecture} has {len(names)} tensors, the file has {len(tensors)}.")
        tensors = dict(zip(names, tensors.values(), strict=True))
    _check_classes(tensors, network.state_dict(), classes)
    try:
        load_tensors(network, tensors, architecture)
    except ModelError as error:
        raise WeightsInvalid(str(error)) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsInvalid(f"{name} holds values that are not finite: this file cannot classify anything.")
    return dict(tensors)


def _check_classes(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], classes: int) -> None:
    """The last matrix has one row a class; a different count deserves its own words."""
    last = next((name for name in reversed(list(expected)) if expected[name].ndim == 2), None)
    given = tensors.get(last) if last else None
    if given is not None and given.ndim and len(given) != classes:
        raise WeightsInvalid(f"The weights answer for {len(given)} classes, the label file has {classes}.")


def write_safetensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file so that ``path`` is whole or not there. Raises ``ModelError`` when the disk is full."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        os.close(handle)
        unfinished = Path(name)
        try:
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, unfinished)
            unfinished.chmod(0o644)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except SafetensorError as error:
            # safetensors wraps the system's error in a text of its own.
            raise ModelError(
                f"{path} cannot be written ({error}); make room and run the same command again."
            ) from error
        finally:
            unfinished.unlink(missing_ok=True)
