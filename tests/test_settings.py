import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import StartError
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


def test_a_file_of_keys_that_gives_none_is_no_open_api(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with pytest.raises(StartError, match=r"cannot be read \(No such file"):
        Settings(api_keys_file=path).read_api_keys()
    for empty in ("", "\n  \n"):
        path.write_text(empty)
        with pytest.raises(StartError, match="has no key in it"):
            Settings(api_keys_file=path).read_api_keys()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match="not UTF-8"):
        Settings(api_keys_file=path).read_api_keys()
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe"):  # neither is waited for
        with pytest.raises(StartError, match="is not a file"):
            Settings(api_keys_file=odd).read_api_keys()
    path.write_text("one\n two \n")
    assert Settings(api_keys_file=path, api_keys="zero").read_api_keys() == ("zero", "one", "two")


def test_an_empty_variable_sets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEYS_FILE", "MAX_REQUESTS_PER_KEY", "API_KEYS", "ADMIN_KEYS", "ALLOWED_HOSTS", "PROXIES"):
        monkeypatch.setenv(f"VGG_{name}", "")
    settings = Settings()
    assert settings.api_keys_file is None
    assert settings.max_requests_per_key is None
    assert settings.read_api_keys() == settings.read_admin_keys() == settings.allowed_hosts == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_keys", ","),
        ("admin_keys", " , "),
        ("max_upload_mb", "1e308"),
        ("request_timeout_s", "inf"),
        ("port", "x"),
        ("proxies", "10.0.0.1/8"),
        ("proxies", "proxy"),
    ],
)
def test_what_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"VGG_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_a_request_that_is_allowed_must_fit_into_the_buffer() -> None:
    Settings(max_files=16, max_upload_mb=32, max_buffer_mb=528).check_uploads()
    with pytest.raises(StartError) as refused:
        Settings(max_files=16, max_upload_mb=32, max_buffer_mb=527.9).check_uploads()
    said = str(refused.value)
    assert "\n" not in said
    for part in ("VGG_MAX_BUFFER_MB=527.9", "VGG_MAX_FILES=16", "VGG_MAX_UPLOAD_MB=32", "it takes 528"):
        assert part in said


def test_one_callers_share_is_half_of_the_buffer_and_holds_one_request() -> None:
    assert Settings(max_buffer_mb=1024, max_files=4).max_caller_bytes == 512 * 2**20
    assert Settings(max_buffer_mb=600).max_caller_bytes == Settings().max_request_bytes == 528 * 2**20


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGG_PROXIES", "10.0.0.1, 172.16.0.0/12,fd00::/8")
    assert [str(network) for network in Settings().proxies] == ["10.0.0.1/32", "172.16.0.0/12", "fd00::/8"]
