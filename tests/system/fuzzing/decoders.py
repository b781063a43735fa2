"""Damaged images through real decoder processes: whatever a decoder does over one of them costs that one answer.

No instrumentation guides this; it begins with the seeds, the attacks, and what atheris has learned. Every tenth input
is a whole image, whose answer is known.
"""

import asyncio
import hashlib
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

from app.errors import InternalError, ServiceError, TooCostly, TooManyPixels, UndecodableImage, UnsupportedMediaType
from app.image.reader import Reader
from tests.decoders import VGG16, Running, running, until
from tests.system.attacks.corpus import attacks
from tests.system.fuzzing.mutations import mutate
from tests.system.fuzzing.seeds import seeds
from tests.system.load.bar import seconds_bar, update_to
from tests.system.load.outcome import in_words

MAX_PIXELS = 4_000_000
SIDE = 1_500  # of the attacks
LARGEST = 2**20  # mutating takes as long as reading
LOST_S = 60.0
REFUSALS = (UnsupportedMediaType, TooManyPixels, TooCostly, UndecodableImage)
REFUSED = "TIFF-LAB"
# What a decoder's end is put down to, by what the answer says.
FATES = {"its decoder has failed": "crash", "longer to decode than": "cost", "The image takes more memory": "memory"}


@dataclass
class Seen:
    """``findings`` are what must not be; ``kept`` what was the end of a decoder, or of its memory."""

    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)


class Fuzzer:
    """Sends inputs, as many at a time as ``lanes`` are running, and looks at what becomes of each."""

    def __init__(self, started: Running, corpus: list[bytes], folder: Path, seed: int) -> None:
        self._started = started
        self._corpus = corpus
        self._folder = folder
        self._dice = Random(seed)
        self._whole = [data for name, data in seeds().items() if name != REFUSED]
        self._reader = Reader(MAX_PIXELS, exact=False)
        self.seen = Seen()

    async def lane(self, ends: float) -> None:
        while time.monotonic() < ends:
            if self._dice.random() < 0.1:
                await self._check(self._dice.choice(self._whole))
            else:
                await self._try(mutate(self._dice.choice(self._corpus), self._dice.choice(self._corpus), self._dice))

    async def _check(self, data: bytes) -> None:
        expected = self._reader.read(data, VGG16)
        self.seen.answers["whole"] += 1
        try:
            async with asyncio.timeout(LOST_S):
                reading = await self._started.read(data)
        except (ServiceError, TimeoutError) as error:
            self._find("refused", f"a whole image: {error!r}", data)
        else:
            if reading.image != expected.image or not np.array_equal(reading.pixels, expected.pixels):
                self._find("wrong", "a whole image was read wrongly", data)

    async def _try(self, data: bytes) -> None:
        """One in ten is given up after a moment, as for a short deadline."""
        patience_s = self._dice.uniform(0, 0.2) if self._dice.random() < 0.1 else LOST_S
        try:
            async with asyncio.timeout(patience_s):
                reading = await self._started.read(data)
            self.seen.answers[f"200 {reading.image.format}"] += 1
        except TimeoutError:
            self.seen.answers["given up"] += 1
            if patience_s == LOST_S:
                self._find("lost", f"no answer in {LOST_S:.0f} s", data)
        except InternalError:
            self._find("internal", "a defect, see above", data)
        except REFUSALS as error:
            self.seen.answers[error.code] += 1
            fate = next((fate for words, fate in FATES.items() if words in error.detail), None)
            if fate:
                self.seen.kept[fate] += 1
                self._keep(fate, data)

    def _find(self, kind: str, words: str, data: bytes) -> None:
        self.seen.findings.append(f"{words}: {self._keep(kind, data)}")

    def _keep(self, kind: str, data: bytes) -> Path:
        path = self._folder / f"{kind}-{hashlib.sha256(data).hexdigest()[:16]}"
        path.write_bytes(data)
        return path


def fuzz_decoders(seconds: float, seed: int, folder: Path, learned: Path) -> int:
    """For so long; how many findings there were. ``learned`` is atheris' corpus, ``folder`` keeps inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = [*seeds().values(), *(data for _, data in attacks(SIDE))]
    corpus += [path.read_bytes() for path in sorted(learned.glob("*"))]
    corpus = [data for data in corpus if len(data) <= LARGEST]
    seen, ends = asyncio.run(_fuzz(seconds, seed, folder, corpus))
    print(f"{seen.answers.total()} executions from {len(corpus)} inputs: {in_words(seen.answers)}")
    print(f"decoders ended: {in_words(ends) or 'none'}; inputs kept in {folder}: {in_words(seen.kept) or 'none'}")
    for finding in seen.findings:
        print(f"FOUND: {finding}")
    print(f"{len(seen.findings)} findings")
    return len(seen.findings)


async def _fuzz(seconds: float, seed: int, folder: Path, corpus: list[bytes]) -> tuple[Seen, Counter[str]]:
    cores = os.cpu_count() or 1
    try:
        async with running(cores, MAX_PIXELS, exact=False, seconds=seconds + 3 * LOST_S) as started:
            fuzzer = Fuzzer(started, corpus, folder, seed)
            ends = time.monotonic() + seconds
            lanes = [asyncio.create_task(fuzzer.lane(ends)) for _ in range(4 * cores)]
            with seconds_bar(seconds, "decoders") as bar:
                while not all(lane.done() for lane in lanes):
                    update_to(bar, seconds - (ends - time.monotonic()))
                    await asyncio.sleep(0.5)
            await asyncio.gather(*lanes)
            await until(lambda: len(started.decoders.pids) >= cores)
    except TimeoutError:
        fuzzer.seen.findings.append(
            f"not all came back: {len(started.decoders.pids)} of {cores} decoders, "
            f"{started.buffers.held_bytes} bytes of uploads left"
        )
    fuzzer.seen.findings += started.failures
    return fuzzer.seen, Counter(started.ends)
