"""Requests that go wrong, each in its own way, and what the service may answer to them."""

import asyncio
import contextlib
import io
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pillow_heif
from PIL import Image

from tests.system.load.client import Connection
from tests.system.load.simulated import POISON
from tests.system.load.uploads import Upload

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
HEAD = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
GONE = "client gone"


class Fault(NamedTuple):
    """A way to go wrong: does some of it and counts what came back; ``expected`` is what may come back."""

    name: str
    inflict: Callable[[int, int], Awaitable[Counter[str]]]
    expected: frozenset[str]


async def send_raw(port: int, request: bytes, patience_s: float = 30) -> str:
    """The status that a request gets, or how the connection ended."""
    connection = Connection(port)
    try:
        async with asyncio.timeout(patience_s):
            status, _ = await connection.post(request)
            return str(status)
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        return type(error).__name__
    finally:
        connection.close()


def one_color(color: tuple[int, int, int]) -> bytes:
    return _encode(Image.new("RGB", (64, 64), color), "PNG")


def _encode(image: Image.Image, image_format: str) -> bytes:
    buffer = io.BytesIO()
    if image_format == "HEIF":
        pillow_heif.from_pillow(image).save(buffer)
    else:
        image.save(buffer, image_format)
    return buffer.getvalue()


def _noise(dice: random.Random, size: int = 96) -> Image.Image:
    return Image.frombytes("RGB", (size, size), dice.randbytes(3 * size * size))


def _raw(body: bytes, content_type: str = "image/jpeg", length: int | None = None) -> bytes:
    return HEAD.format(content_type, len(body) if length is None else length).encode() + body


async def _all(port: int, requests: list[bytes]) -> Counter[str]:
    return Counter(await asyncio.gather(*(send_raw(port, request) for request in requests)))


async def early_disconnects(port: int, seed: int) -> Counter[str]:
    """Fifty clients that leave after a few milliseconds: while uploading, decoding or queued."""
    dice = random.Random(seed)
    request = _raw(_encode(_noise(dice, 300), "PNG"), "image/png")

    async def leave() -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request[: len(request) if dice.random() < 0.8 else dice.randrange(1, len(request))])
        await asyncio.sleep(dice.uniform(0, 0.03))
        writer.transport.abort()
        return GONE

    return Counter(await asyncio.gather(*(leave() for _ in range(50))))


async def slow_uploads(port: int, seed: int) -> Counter[str]:
    """Bodies that come drop by drop, and one that stops."""
    request = _raw(one_color((seed % 256, 1, 2)), "image/png")

    async def drip(seconds: float) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        step = max(1, len(request) // 10)
        with contextlib.closing(writer):
            for start in range(0, len(request), step):
                writer.write(request[start : start + step])
                await asyncio.sleep(seconds / 10)
            return (await reader.readuntil(b"\r\n"))[9:12].decode()

    stopped = send_raw(port, _raw(b"\x89PNG", "image/png", length=5000), 10)
    return Counter(await asyncio.gather(drip(0.3), drip(0.6), drip(2.5), stopped))


async def broken_multipart(port: int, seed: int) -> Counter[str]:
    """Forms cut anywhere (behind the last boundary, nothing is missing), without names, without boundaries."""
    dice = random.Random(seed)
    whole = Upload(one_color((1, 2, seed % 256)), 0).request("/predict", raw=False).partition(b"\r\n\r\n")[2]
    bodies = [whole[: dice.randrange(len(whole))] for _ in range(4)]
    bodies += [
        whole.replace(b"form-data", b"form-dat"),
        whole.replace(b'name="file"', b'name="'),
        b"--" * 1000,
        b"\r\n" * 99,
    ]
    kinds = ["multipart/form-data; boundary=benchmark-0f3a", "multipart/form-data", "multipart/form-data; boundary="]
    return await _all(port, [_raw(body, dice.choice(kinds)) for body in bodies])


async def huge_and_empty_bodies(port: int, seed: int) -> Counter[str]:
    too_large = bytes(5 * 2**20)
    announced = _raw(b"", "image/png", length=10**12)
    return await _all(port, [_raw(too_large), _raw(b""), _raw(b"", "multipart/form-data; boundary=x"), announced])


async def random_bytes(port: int, seed: int) -> Counter[str]:
    dice = random.Random(seed)
    starts = [
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF0000WEBPVP8 ",
        b"II*\0",
        b"BM",
        b"\0\0\0\x18ftypheic",
    ]
    return await _all(port, [_raw(start + dice.randbytes(dice.randrange(5000))) for start in starts])


async def truncated_images(port: int, seed: int) -> Counter[str]:
    dice = random.Random(seed)
    images = [_encode(_noise(dice), image_format) for image_format in FORMATS]
    return await _all(port, [_raw(image[: dice.randrange(1, len(image) - len(image) // 20)]) for image in images])


async def poisoned_images(port: int, seed: int) -> Counter[str]:
    """One picture in five breaks every batch that it is in; the other four must not notice."""
    good = [Upload(one_color((seed % 256, number, 9)), 0).request("/predict", raw=True) for number in range(8)]
    bad = [Upload(one_color(POISON), 0).request("/predict", raw=True)] * 2
    alone, statuses = await asyncio.gather(_all(port, bad), _all(port, good))
    return Counter({f"poisoned {status}": count for status, count in alone.items()}) + statuses


FAULTS = (
    Fault("early disconnects", early_disconnects, frozenset({GONE})),
    Fault("slow uploads", slow_uploads, frozenset({"200", "408"})),
    Fault("broken multipart", broken_multipart, frozenset({"200", "400"})),
    Fault("huge and empty bodies", huge_and_empty_bodies, frozenset({"400", "413"})),
    Fault("random bytes", random_bytes, frozenset({"415", "422", "413"})),
    Fault("truncated images", truncated_images, frozenset({"415", "422"})),
    Fault("poisoned images", poisoned_images, frozenset({"200", "poisoned 500"})),
)
