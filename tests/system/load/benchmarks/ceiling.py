"""How much one service can carry: pictures that cost next to nothing to decode, and devices that are faster than it.

The device is simulated: it sleeps for as long as a forward pass of VGG16 in fp16 takes, by published figures and by
arithmetic (docs/measurements.md).
"""

import asyncio
import io
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import httpx
from PIL import Image

from tests.system.load.bar import steps_bar
from tests.system.load.client import closed_loop
from tests.system.load.outcome import Outcome
from tests.system.load.servers import MEASURE_ALL, Contender, Cpu, RunningServer, start_simulated
from tests.system.load.simulated import SimulatedNetwork
from tests.system.load.uploads import Upload, Wire, with_answers

SIDE, MOST_BYTES = 224, 9000
DEVICES = {"RTX 4090": (0.25, 0.33), "H100": (0.07, 0.06)}  # ms for a forward pass, and for each image in it
CONNECTIONS, BATCH, WARM_UP_S = 64, 16, 1.5
WIRES: tuple[Wire, ...] = ("multipart", "raw")


@dataclass
class Load:
    """What a service did in each round."""

    outcomes: list[Outcome] = field(default_factory=list)
    cpu: list[Cpu] = field(default_factory=list)
    """Per image."""
    busy: list[float] = field(default_factory=list)
    """Share of the time that the device worked."""

    def measure(
        self, server: RunningServer, uploads: Sequence[Upload], device: str, wire: Wire, seconds: float
    ) -> None:
        cpu, batches = server.cpu(), _batches(server)
        outcome = asyncio.run(closed_loop(server.port, uploads, CONNECTIONS, seconds, wire=wire))
        images = max(1, len(outcome.latencies))
        self.outcomes.append(outcome)
        self.cpu.append(Cpu(*(value / images for value in server.cpu().since(cpu))))
        forwards, answered = (now - then for now, then in zip(_batches(server), batches, strict=True))
        fixed_ms, per_image_ms = DEVICES[device]
        self.busy.append((fixed_ms * forwards + per_image_ms * answered) / 1000 / outcome.seconds)

    def describe(self) -> str:
        middle = sorted(self.outcomes, key=lambda outcome: outcome.per_second)[len(self.outcomes) // 2]
        cpu = sorted(self.cpu, key=lambda cpu: cpu.all)[len(self.cpu) // 2]
        wrong = sum(outcome.wrong for outcome in self.outcomes)
        return (
            f"{middle.per_second:.0f} images/s, device busy {statistics.median(self.busy):.0%}, "
            f"mean batch {middle.mean_batch:.1f}, p99 {middle.percentile_ms(99):.0f} ms, {cpu.describe(1)}"
            + (f"; {wrong} WRONG ANSWERS" if wrong else "")
        )


def measure_ceiling(jpegs: list[bytes], fronts: Sequence[int], seconds: float, rounds: int) -> None:
    """Every device with every number of fronts, in turns."""
    uploads = with_answers([_small(jpeg) for jpeg in jpegs], SimulatedNetwork())
    size = sum(len(upload.jpeg) for upload in uploads) / len(uploads) / 1000
    print(f"pictures of {SIDE} pixels and {size:.1f} kB; {CONNECTIONS} connections; CPU per image")
    servers = [(device, Contender("ours", count)) for device in DEVICES for count in fronts]
    loads = {(device, server, wire): Load() for device, server in servers for wire in WIRES}
    with steps_bar(rounds * len(loads), "measurement") as bar:
        for device, contender in (one for _ in range(rounds) for one in servers):
            settings = MEASURE_ALL | contender.environment | {"VGG_MAX_BATCH_SIZE": str(BATCH)}
            fixed_ms, per_image_ms = DEVICES[device]
            with start_simulated("ours", fixed_ms, per_image_ms, **settings) as server:
                asyncio.run(closed_loop(server.port, uploads, CONNECTIONS, min(WARM_UP_S, seconds)))
                for wire in WIRES:
                    loads[device, contender, wire].measure(server, uploads, device, wire, seconds)
                    bar.update()
    for (device, contender, wire), load in loads.items():
        print(f"{device}, {contender}, {wire}: {load.describe()}")


def _small(jpeg: bytes) -> bytes:
    """The middle of a photograph, at the quality that makes it small enough."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return next(smaller for smaller in _by_quality(square) if len(smaller) <= MOST_BYTES)


def _by_quality(picture: Image.Image) -> Iterator[bytes]:
    for quality in range(90, 0, -5):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        yield buffer.getvalue()


def _batches(server: RunningServer) -> tuple[float, float]:
    """Forward passes so far, and the images in them."""
    lines = httpx.get(f"http://127.0.0.1:{server.port}/metrics").text.splitlines()
    values = {line.partition(" ")[0]: line.rpartition(" ")[2] for line in lines}
    return float(values["batch_size_count"]), float(values["batch_size_sum"])
