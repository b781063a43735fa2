"""A simulated network: what the service itself costs, beside the plain loop and beside other servers."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system.load.bar import steps_bar
from tests.system.load.client import closed_loop
from tests.system.load.memory import Memory
from tests.system.load.outcome import Outcome, describe
from tests.system.load.servers import MEASURE_ALL, SIMULATED, Cpu, RunningServer, start_simulated
from tests.system.load.simulated import FIXED_MS, PER_IMAGE_MS, SimulatedNetwork
from tests.system.load.uploads import Upload, Wire, plain_loop, with_answers

PLAIN_LOOP_S, WARM_UP_S = 3.0, 2.0  # at most


@dataclass
class Case:
    """One server, asked in one way, and what it did in each round."""

    server: str
    connections: int
    wire: Wire
    outcomes: list[Outcome] = field(default_factory=list)
    cpu: list[Cpu] = field(default_factory=list)
    """Of the server, per image."""

    def measure(self, server: RunningServer, uploads: Sequence[Upload], seconds: float) -> None:
        before = server.cpu()
        outcome = asyncio.run(closed_loop(server.port, uploads, self.connections, seconds, wire=self.wire))
        self.outcomes.append(outcome)
        self.cpu.append(Cpu(*(seconds / max(1, len(outcome.latencies)) for seconds in server.cpu().since(before))))

    def describe(self, plain_s: float) -> str:
        """In words, over the plain loop's seconds per image."""
        cost = sorted(self.cpu, key=lambda cpu: cpu.all)[len(self.cpu) // 2]
        split = f", of it decoders {1000 * cost.decoders:.2f}" if self.server == "ours" else ""
        speed = statistics.median(outcome.per_second for outcome in self.outcomes)
        return (
            f"{self.server}, {self.connections} connections, {self.wire}: "
            f"{speed * plain_s:.2f} x the plain loop's images/s, {cost.all / plain_s:.2f} x its CPU "
            f"({1000 * cost.all:.2f} ms{split}); {describe(self.outcomes)}"
        )


def measure_service(
    names: Sequence[str], jpegs: list[bytes], connections: Sequence[int], seconds: float, rounds: int
) -> None:
    """Throughput and CPU per image over the plain loop's; all servers take turns with it, round by round."""
    uploads = with_answers(jpegs, SimulatedNetwork())
    cases = [Case(name, count, SIMULATED[name].wire) for name in names for count in connections]
    cases += [Case("ours", count, "raw") for count in connections]
    plain: list[float] = []
    warm_up_s = min(WARM_UP_S, seconds)
    idle: dict[str, list[Memory]] = {name: [] for name in names}
    with steps_bar(rounds * len(cases), "measurement") as bar:
        for name in (name for _ in range(rounds) for name in names):
            plain.append(plain_loop([upload.jpeg for upload in uploads], min(PLAIN_LOOP_S, seconds)))
            with start_simulated(name, FIXED_MS, PER_IMAGE_MS, VGG_MAX_BATCH_SIZE="16", **MEASURE_ALL) as server:
                idle[name].append(server.memory())
                asyncio.run(closed_loop(server.port, uploads, 16, warm_up_s, wire=SIMULATED[name].wire))
                for case in (case for case in cases if case.server == name):
                    case.measure(server, uploads, seconds)
                    bar.update()
    base = statistics.median(plain)
    print(f"plain loop: {1000 * base:.2f} ms of CPU per image, {1 / base:.0f} images/s on a core")
    for name in names:
        print(f"{name}, idle, all processes: {sorted(idle[name])[rounds // 2].describe()}")
    for case in cases:
        print(case.describe(base))
