"""What two devices are worth: one process for each behind the proxy, or one process that feeds both.

    python -m tests.system.deployment.two_devices [--fixed-ms 200] [--per-image-ms 20] [--seconds 10]

Devices are simulated (a batch of n takes fixed + per image · n milliseconds), everything else is real: service, haproxy
with the deployed balancing, pictures, answers checked. One process for two devices is given the best that such a design
could reach: a network twice as fast, so that splitting the batches costs nothing.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from app.settings import CHECKOUT
from tests.system.deployment.host import running
from tests.system.deployment.programs import say
from tests.system.load.client import closed_loop
from tests.system.load.outcome import Outcome
from tests.system.load.servers import RunningServer, free_port, start_simulated
from tests.system.load.simulated import SimulatedNetwork
from tests.system.load.uploads import read_jpegs, with_answers

CONNECTIONS = (1, 16, 64)
LONG = {"VGG_MAX_QUEUE_DELAY_S": "600", "VGG_LOG_LEVEL": "critical"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixed-ms", type=float, default=200, help="a batch takes at least (default: %(default)s)")
    parser.add_argument("--per-image-ms", type=float, default=20, help="and for each image (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=10, help="how long each measurement takes (default: %(default)s)"
    )
    arguments = parser.parse_args()
    uploads = with_answers(read_jpegs(None), SimulatedNetwork())

    def measure(name: str, port: int, servers: list[RunningServer]) -> None:
        for connections in CONNECTIONS:
            cpu_s = -sum(server.cpu().all for server in servers)
            outcome: Outcome = asyncio.run(closed_loop(port, uploads, connections, arguments.seconds))
            cpu_s += sum(server.cpu().all for server in servers)
            answers = max(1, len(outcome.latencies))
            say(f"{name:34} {connections:3} callers: {outcome.per_second:6.1f}/s, "
                f"p50 {outcome.percentile_ms(50):5.0f} ms, "
                f"p99 {outcome.percentile_ms(99):5.0f} ms, batches of {outcome.mean_batch:4.1f}, "
                f"{1000 * cpu_s / answers:.2f} ms of processor per image, "
                f"{outcome.wrong} wrong, {dict(outcome.statuses)}")  # fmt: skip

    fixed, each = arguments.fixed_ms, arguments.per_image_ms
    with start_simulated("ours", fixed, each, **LONG) as server:
        measure("one device, one process", server.port, [server])
    with start_simulated("ours", fixed / 2, each / 2, **LONG) as server:
        measure("two devices, one process (ideal)", server.port, [server])
    with ExitStack() as stack:
        servers = [stack.enter_context(start_simulated("ours", fixed, each, **LONG)) for _ in range(2)]
        port = stack.enter_context(_proxy([server.port for server in servers]))
        measure("two devices, a process each, proxy", port, servers)


@contextmanager
def _proxy(ports: list[int]) -> Iterator[int]:
    """The deployed configuration, without TLS (the measuring client has none) and with this machine's addresses."""
    text = (CHECKOUT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
    port = free_port()
    text = text.replace("bind :8443 ssl crt /run/secrets/tls.pem alpn h2,http/1.1", f"bind 127.0.0.1:{port}")
    for name, behind in zip(("gpu gpu:8000", "gpu-b gpu-b:8000"), ports, strict=True):
        text = text.replace(f"server {name}\n", f"server {name.split()[0]} 127.0.0.1:{behind}\n")
    with tempfile.NamedTemporaryFile("w", suffix=".cfg", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        limits = {"VGG_MAX_UPLOAD_MB": "32", "VGG_MAX_FILES": "16"}
        with running(["haproxy", "-f", file.name], {}, limits):
            time.sleep(3)  # both have passed their first check; through the proxy only one of them can be seen
            yield port


if __name__ == "__main__":
    main()
