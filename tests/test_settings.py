from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGG_MODELS", "vgg16, catdog,")
    monkeypatch.setenv("VGG_CORS_ORIGINS", "*")
    settings = Settings()
    assert settings.models == ("vgg16", "catdog")
    assert settings.cors_origins == ("*",)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_keys_come_from_the_environment_and_a_file_and_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text("third\n\nfourth\n")
    monkeypatch.setenv("VGG_API_KEYS", "first,second")
    monkeypatch.setenv("VGG_API_KEYS_FILE", str(tmp_path / "keys"))
    settings = Settings()
    assert settings.read_api_keys() == ("first", "second", "third", "fourth")
    assert "first" not in repr(settings)


def test_a_batch_size_is_a_number_or_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().max_batch_size == "auto"
    monkeypatch.setenv("VGG_MAX_BATCH_SIZE", "12")
    assert Settings().max_batch_size == 12
    for wrong in ("0", "many"):
        monkeypatch.setenv("VGG_MAX_BATCH_SIZE", wrong)
        with pytest.raises(ValidationError):
            Settings()
