"""Fetch a large file over HTTP: with a progress bar, resuming what broke off, never waiting for ever."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tqdm import tqdm

from app.errors import WeightsUnavailable
from app.model.files import disk_errors

logger = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(connect=5.0, read=30.0, write=30.0, pool=5.0)
ATTEMPTS_WITHOUT_PROGRESS = 3
RETRY_PAUSE_S = 1.0
CHUNK_BYTES = 1 << 18


def download(url: str, part: Path, size_bytes: int | None = None, timeout: httpx.Timeout = TIMEOUT) -> None:
    """Fetch ``url`` into ``part``, going on from what is there already (HTTP Range).

    A connection that breaks off is taken up again as long as each attempt brings something. ``part`` is left in place
    on failure, for the next run to resume.

    Raises ``WeightsUnavailable`` when the host cannot be reached, refuses, stops answering or sends another length than
    ``size_bytes``, and ``ModelError`` when the disk is full.
    """
    fruitless = 0
    with httpx.Client(timeout=timeout, follow_redirects=True) as client, _progress(part, size_bytes) as bar:
        while fruitless < ATTEMPTS_WITHOUT_PROGRESS:
            before = _size(part)
            try:
                if _fetch_rest(client, url, part, size_bytes, bar):
                    return
                failure = "the connection was closed before the end"
            except httpx.ConnectError as error:
                raise WeightsUnavailable(f"{_host(url)} cannot be reached ({_reason(error)}).") from error
            except httpx.ConnectTimeout as error:
                raise WeightsUnavailable(f"{_host(url)} did not answer within {timeout.connect:g} s.") from error
            except httpx.HTTPError as error:
                failure = _reason(error)
            fruitless = 0 if _size(part) > before else fruitless + 1
            logger.warning("The download broke off at %d bytes (%s); going on.", _size(part), failure)
            time.sleep(RETRY_PAUSE_S)
    raise WeightsUnavailable(f"the download from {_host(url)} broke off at {_size(part):,} bytes ({failure}).")


def _fetch_rest(client: httpx.Client, url: str, part: Path, size_bytes: int | None, bar: "tqdm[None]") -> bool:
    """One request for what is missing; whether the file is whole afterwards."""
    have = _size(part)
    if size_bytes is not None and have == size_bytes:
        return True
    # identity: a compressed transfer has no byte positions to resume at.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _restart(part, bar)
        if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            status = f"{response.status_code} {response.reason_phrase}".strip()
            raise WeightsUnavailable(f"{_host(url)} answered {status}.")
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status_code == httpx.codes.PARTIAL_CONTENT and not resumed:
            return _restart(part, bar)
        if not resumed:
            have = 0
        total = _total(response, have)
        if size_bytes is not None and total is not None and total != size_bytes:
            raise WeightsUnavailable(f"{_host(url)} offers {total:,} bytes instead of {size_bytes:,}: another file.")
        bar.total, bar.n = total, have
        _append(response, part, have, bar)
    return _size(part) >= (total or 0) and (size_bytes is None or _size(part) == size_bytes)


def _append(response: httpx.Response, part: Path, position: int, bar: "tqdm[None]") -> None:
    with disk_errors(part), part.open("r+b" if part.exists() else "wb") as file:
        file.seek(position)
        file.truncate()
        for chunk in response.iter_raw(CHUNK_BYTES):
            file.write(chunk)
            bar.update(len(chunk))


def _restart(part: Path, bar: "tqdm[None]") -> bool:
    """What lies there belongs to another file; begin anew."""
    part.unlink(missing_ok=True)
    bar.n = 0
    return False


def _total(response: httpx.Response, have: int) -> int | None:
    length = response.headers.get("Content-Length")
    return have + int(length) if length is not None and length.isdigit() else None


@contextmanager
def _progress(part: Path, size_bytes: int | None) -> "Iterator[tqdm[None]]":
    with tqdm(
        desc=f"Downloading {part.stem}",
        initial=_size(part),
        total=size_bytes,
        unit="B",
        unit_scale=True,
        mininterval=0.5,
    ) as bar:
        yield bar


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _host(url: str) -> str:
    return httpx.URL(url).host or url


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
