import errno
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from app.errors import ModelError, WeightsInvalid
from app.model import weights
from app.model.weights import fit, map_open, map_tensors, read_state_dict, write_safetensors

ARCHITECTURE = "timm:test_vit"


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    import timm

    torch.manual_seed(0)
    return dict(timm.create_model("test_vit", num_classes=5).state_dict())


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("zip_format", [True, False])
def test_state_dicts_of_torch_save(tensors: dict[str, Tensor], tmp_path: Path, zip_format: bool) -> None:
    torch.save(tensors, tmp_path / "x.pth", _use_new_zipfile_serialization=zip_format)
    assert same(read_state_dict(tmp_path / "x.pth"), tensors)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_checkpoints_of_training_scripts(tensors: dict[str, Tensor], tmp_path: Path, wrapper: str) -> None:
    parallel = {f"module.{name}": tensor for name, tensor in tensors.items()}
    torch.save({"epoch": 3, wrapper: parallel}, tmp_path / "x.pth")
    assert same(read_state_dict(tmp_path / "x.pth"), tensors)


def test_safetensors_are_read_too(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "x.safetensors")
    assert same(read_state_dict(tmp_path / "x.safetensors"), tensors)


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code from a weights file has run')",)


@pytest.mark.parametrize(
    "content", [Exploit(), [1, 2], {"lr": 0.1}, {"a": torch.zeros(1), "b": "text"}, torch.nn.ReLU()]
)
def test_what_is_no_state_dict_is_refused_and_never_run(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsInvalid):
        read_state_dict(tmp_path / "x.pth")


@pytest.mark.parametrize("data", [b"", b"<html>403</html>", pickle.dumps({"a": 1})[:-3], b"PK\x03\x04 no zip"])
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_a_file_that_is_something_else(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsInvalid):
        read_state_dict(tmp_path / name)


def test_a_fitting_set_comes_back_under_the_architectures_names(tensors: dict[str, Tensor]) -> None:
    renamed = {f"layer{number}": tensor for number, tensor in enumerate(tensors.values())}
    assert same(fit(renamed, ARCHITECTURE, 5, by_position=True), tensors)
    assert same(fit(tensors, ARCHITECTURE, 5, by_position=False), tensors)


def test_another_number_of_classes_is_said_plainly(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsInvalid, match="answer for 5 classes, the label file has 1000"):
        fit(tensors, ARCHITECTURE, 1000, by_position=False)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(tensors: dict[str, Tensor], value: float) -> None:
    broken = tensors | {"norm.weight": torch.full_like(tensors["norm.weight"], value)}
    with pytest.raises(WeightsInvalid, match=r"norm\.weight .* not finite"):
        fit(broken, ARCHITECTURE, 5, by_position=False)


def test_a_missing_and_a_strange_tensor_are_named(tensors: dict[str, Tensor]) -> None:
    wrong = {name: tensor for name, tensor in tensors.items() if name != "norm.bias"} | {"extra": torch.zeros(1)}
    with pytest.raises(WeightsInvalid, match=r"norm\.bias is missing; extra does not belong"):
        fit(wrong, ARCHITECTURE, 5, by_position=False)
    with pytest.raises(WeightsInvalid, match="tensors"):
        fit({"extra": torch.zeros(1)}, ARCHITECTURE, 5, by_position=True)


def test_written_and_mapped(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "new" / "weights.safetensors"
    write_safetensors(tensors, path)
    assert same(map_tensors(path), tensors)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_is_mapped_is_the_open_file_and_not_what_has_taken_its_name(
    tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    write_safetensors(tensors, path)
    with path.open("rb") as file:
        write_safetensors({"other": torch.zeros(1)}, path)
        assert same(map_open(file), tensors)
    assert map_tensors(path).keys() == {"other"}


def test_a_full_disk_leaves_nothing_behind(
    tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(ModelError, match="full"):
        write_safetensors(tensors, tmp_path / "weights.safetensors")
    assert list(tmp_path.iterdir()) == []
