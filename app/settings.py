"""The service's settings: environment variables with the prefix ``VGG_``, read once and handed down."""

import math
import os
import sys
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, CliApp, NoDecode, SettingsConfigDict

from app.errors import StartError

WRONG_SETTINGS = 2
# What the network is shown of an image, and the ends of pages: more than any square of up to 590 pixels takes. Who
# asks for more views is charged for more, and may find the buffer full.
PIXELS_MB = 1
# What lies beside an upload in shared memory has room for 32 MiB.
MOST_VIEW_PIXELS = 32 * 2**20 // 3
CORES_PER_FRONT = 4
CHECKOUT = Path(__file__).resolve().parent.parent


def _fronts() -> int:
    """One for every four cores that this process may use, as many as it takes to decode what a front can take in."""
    return len(os.sched_getaffinity(0)) // CORES_PER_FRONT if sys.platform == "linux" else 0


def _split(value: object) -> object:
    """``"a, b"`` -> ``("a", "b")``: lists in environment variables are separated by commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _none_if_empty(value: object) -> object:
    """Compose files and shells have no other way to say that a variable is not set."""
    return None if value == "" else value


def _split_keys(value: object) -> object:
    """As ``_split``; but who gives separators and no key does not want an open API."""
    keys = _split(value)
    if isinstance(value, str) and value.strip() and not keys:
        raise ValueError("there is no key in it")
    return keys


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split_keys)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split)]
Positive = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Settings of the service: environment variables VGG_…, or flags. docs/operations.md lists them."""

    model_config = SettingsConfigDict(env_prefix="VGG_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; `0.0.0.0` listens on every interface.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")

    fronts: int = Field(
        default_factory=_fronts,
        ge=0,
        le=64,
        description="Processes that take requests, beside one that has the models; 0: one process for everything. "
        "Linux only.",
    )

    models: Names = Field((), description="Models to serve, separated by commas; empty: every prepared model.")
    model: str = Field("vgg16", description="The default model, used when a request names none.")
    fallback_model: str = Field(
        "", description="Served instead of `VGG_MODEL` when that is not prepared; empty: the service exits."
    )
    models_dir: Path = Field(CHECKOUT / "models", description="Folder with manifests and labels (read only).")
    store_dir: Path = Field(CHECKOUT / "models", description="Folder with prepared weights and fine-tuned models.")

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`cpu`, `cuda` or `cuda:N`; `auto`: the first GPU, or the CPU if there is none.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="`auto`: fp16 on CUDA and fp32 on the CPU, where `bf16` can double the speed."
    )
    cpu_engine: Literal["auto", "eager", "winograd", "ncnn"] = Field(
        "auto",
        description="Who computes a VGG's convolutions on the CPU; `auto`: the fastest, as measured in preparation.",
    )
    decode: Literal["fast", "exact"] = Field(
        "fast",
        description="`exact`: torchvision's published transform, bit for bit; `fast`: quicker, and almost the same.",
    )
    decode_workers: PositiveInt = Field(
        os.cpu_count() or 1, description="Images that are decoded at a time, in processes that can be killed."
    )

    max_batch_size: Literal["auto"] | PositiveInt = Field(
        "auto",
        description="Images per forward pass; `auto`: as measured in preparation, else 16 on CUDA and 4 on the CPU.",
    )
    max_wait_ms: float = Field(0, ge=0, description="How long the first image of a batch may wait for more.")
    max_queue_size: PositiveInt = Field(
        256, description="Images in flight, from a request's headers to its answer; beyond that: 429."
    )
    max_queue_delay_s: Positive = Field(2, description="Longest expected wait; beyond that: 429.")
    max_connections: PositiveInt = Field(
        1000, description="Open connections; beyond that idle ones are closed, or else new ones get 429."
    )
    request_timeout_s: Positive = Field(
        30, description="Deadline of a whole request; `X-Request-Timeout-Ms` can shorten it."
    )
    forward_timeout_s: Positive = Field(60, description="Longest forward pass; one that takes longer ends the process.")
    upload_timeout_s: Positive = Field(20, description="Longest time a request's body may take; beyond that: 408.")
    max_upload_mb: Positive = Field(32, description="Largest image file, in MiB; beyond that: 413.")
    max_buffer_mb: Positive = Field(
        1024, description="All uploads in flight and their pixels, in MiB; beyond that: 429 for the slowest."
    )
    max_files: PositiveInt = Field(16, description="Files in one `POST /predict/batch`; beyond that: 400.")
    max_pixels: PositiveInt = Field(
        100_000_000, description="Pixels of an image, read from its header; beyond that: 413."
    )
    max_views: PositiveInt = Field(
        160, description="Views that one request may ask for, of all its files; beyond: 422."
    )
    max_evaluation_pixels: PositiveInt = Field(
        10_000_000,
        le=MOST_VIEW_PIXELS,
        description="Pixels of all views that one request may ask for; beyond that: 422.",
    )

    drain_delay_s: float = Field(5, ge=0, description="After SIGTERM: how long to serve on while reporting not ready.")
    drain_timeout_s: Positive = Field(30, description="After that: how long accepted requests may still take.")

    api_keys: Secrets = Field((), description="API keys, separated by commas; without any key the API is open.")
    api_keys_file: Annotated[Path | None, BeforeValidator(_none_if_empty)] = Field(
        None, description="A file with more keys, one per line (a mounted secret)."
    )
    admin_keys: Secrets = Field((), description="Keys that may also load models; without any nobody may.")
    max_requests_per_key: Annotated[PositiveInt | None, BeforeValidator(_none_if_empty)] = Field(
        None, description="Images in flight per key; empty: no limit. Beyond that: 429."
    )
    proxies: Networks = Field(
        (),
        description="Addresses or networks of proxies, whose `X-Forwarded-For` says who calls, separated by commas.",
    )
    allowed_hosts: Names = Field(
        (),
        description="Host names that callers may use, such as `*.example.com`; others: 421. Empty: any, or on a "
        "loopback `VGG_HOST` only the machine's own.",
    )
    cors_origins: Names = Field(
        (), description="Origins whose web pages may call the API, separated by commas; `*`: any."
    )

    log_format: Literal["json", "text"] = Field("json", description="`json`: one object per line; `text`: for people.")
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="Lowest severity that is logged."
    )

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * 2**20)

    @property
    def max_buffer_bytes(self) -> int:
        return int(self.max_buffer_mb * 2**20)

    @property
    def max_request_bytes(self) -> int:
        """What one request may make the service hold: its files, and the pixels that are made of them."""
        return self.max_files * (self.max_upload_bytes + PIXELS_MB * 2**20)

    @property
    def max_caller_bytes(self) -> int:
        """One caller's share of the buffer: half of it, or what one request may need if that is more."""
        return max(self.max_buffer_bytes // 2, self.max_request_bytes)

    def check_fronts(self) -> None:
        """Raises ``StartError`` where several processes cannot be run."""
        if self.fronts and sys.platform != "linux":
            raise StartError(f"VGG_FRONTS={self.fronts} needs Linux; with 0 one process does everything.")

    def check_uploads(self) -> None:
        """Raises ``StartError`` when a request that is allowed could never be held."""
        if self.max_request_bytes > self.max_buffer_bytes:
            raise StartError(
                f"VGG_MAX_BUFFER_MB={self.max_buffer_mb:g} cannot hold one request of VGG_MAX_FILES={self.max_files} "
                f"images of VGG_MAX_UPLOAD_MB={self.max_upload_mb:g}, and {PIXELS_MB} for the pixels of each: it takes "
                f"{math.ceil(self.max_request_bytes / 2**20)}. Raise the first, or lower one of the others."
            )

    def read_api_keys(self) -> tuple[str, ...]:
        """The keys from the environment and from the file, without blanks.

        Raises ``StartError`` when the file cannot be read or has no key: whoever names one does not want an open API.
        """
        keys = [key.get_secret_value() for key in self.api_keys]
        if self.api_keys_file is not None:
            keys += _read_keys(self.api_keys_file)
        return tuple(keys)

    def read_admin_keys(self) -> tuple[str, ...]:
        return tuple(key.get_secret_value() for key in self.admin_keys)


def _read_keys(path: Path) -> list[str]:
    if not path.is_file() and path.exists():
        raise StartError(f"VGG_API_KEYS_FILE={path} is not a file.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise StartError(
            f"VGG_API_KEYS_FILE={path} cannot be read ({reason}); without it nobody could call."
        ) from error
    keys = [line.strip() for line in lines if line.strip()]
    if not keys:
        raise StartError(f"VGG_API_KEYS_FILE={path} has no key in it. For an open API leave VGG_API_KEYS_FILE empty.")
    return keys


def read_settings(arguments: Sequence[str] = ()) -> Settings:
    """The settings from the environment, or from flags of the same names. A wrong one ends the process in one line."""
    try:
        return CliApp.run(Settings, cli_args=list(arguments))
    except ValidationError as error:
        faults = "; ".join(f"VGG_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        print(f"Wrong settings: {faults}", file=sys.stderr)
        sys.exit(WRONG_SETTINGS)
