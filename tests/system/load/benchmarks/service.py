"""A simulated network: what the service itself costs, beside the plain loop and beside other servers."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system.load.bar import steps_bar
from tests.system.load.client import closed_loop
from tests.system.load.memory import Memory
from tests.system.load.outcome import Outcome, describe
from tests.system.load.servers import MEASURE_ALL, SIMULATED, Contender, Cpu, RunningServer, start_simulated
from tests.system.load.simulated import FIXED_MS, PER_IMAGE_MS, SimulatedNetwork
from tests.system.load.uploads import Upload, Wire, plain_loop, with_answers

PLAIN_LOOP_S, WARM_UP_S = 3.0, 2.0  # at most


@dataclass
class Case:
    """One server, asked in one way, and what it did in each round."""

    server: Contender
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
        speed = statistics.median(outcome.per_second for outcome in self.outcomes)
        split = cost.describe(1) if self.server.name == "ours" else f"{1000 * cost.all:.2f} ms"
        return (
            f"{self.server}, {self.connections} connections, {self.wire}: "
            f"{speed * plain_s:.2f} x the plain loop's images/s, {cost.all / plain_s:.2f} x its CPU "
            f"({split}); {describe(self.outcomes)}"
        )


def measure_service(
    servers: Sequence[Contender], jpegs: list[bytes], connections: Sequence[int], seconds: float, rounds: int
) -> None:
    """Throughput and CPU per image over the plain loop's; all servers take turns with it, round by round."""
    uploads = with_answers(jpegs, SimulatedNetwork())
    cases = [Case(server, count, SIMULATED[server.name].wire) for server in servers for count in connections]
    cases += [Case(server, count, "raw") for server in servers if server.name == "ours" for count in connections]
    plain: list[float] = []
    warm_up_s = min(WARM_UP_S, seconds)
    idle: dict[Contender, list[Memory]] = {contender: [] for contender in servers}
    with steps_bar(rounds * len(cases), "measurement") as bar:
        for contender in (contender for _ in range(rounds) for contender in servers):
            name, settings = contender.name, MEASURE_ALL | contender.environment
            plain.append(plain_loop([upload.jpeg for upload in uploads], min(PLAIN_LOOP_S, seconds)))
            with start_simulated(name, FIXED_MS, PER_IMAGE_MS, VGG_MAX_BATCH_SIZE="16", **settings) as server:
                idle[contender].append(server.memory())
                asyncio.run(closed_loop(server.port, uploads, 16, warm_up_s, wire=SIMULATED[name].wire))
                for case in (case for case in cases if case.server == contender):
                    case.measure(server, uploads, seconds)
                    bar.update()
    base = statistics.median(plain)
    print(f"plain loop: {1000 * base:.2f} ms of CPU per image, {1 / base:.0f} images/s on a core")
    for contender in servers:
        print(f"{contender}, idle, all processes: {sorted(idle[contender])[rounds // 2].describe()}")
    for case in cases:
        print(case.describe(base))
