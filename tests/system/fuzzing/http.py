"""Run schemathesis on the service, as its own OpenAPI document describes it."""

import os
import sys
from pathlib import Path

from tests.system.fuzzing.watch import run_watched
from tests.system.load.servers import RunningServer, start_simulated

KEY = "a-key"
MAX_GROWTH = 1.25
# With X-Request-Timeout-Ms: 1 the right answer is 504. The rest are schemathesis' own defaults.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 504]
"""


def fuzz_http(seconds: int, examples: int, folder: Path) -> int:
    """With valid images, then with broken ones, half of the time each; how many of these failed.

    Once more at the end the service must be ready and not have grown. ``folder`` keeps what schemathesis said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schemathesis.toml").write_text(CONFIG)
    with start_simulated("ours", 1, 0.1, VGG_API_KEYS=KEY, VGG_LOG_LEVEL="error") as server:
        failed = _run(server, "valid", seconds // 2, examples, folder)
        before = server.memory_mib()
        failed += _run(server, "broken", seconds - seconds // 2, examples, folder)
        after = server.memory_mib()
        failed += server.process.poll() is not None
    print(f"memory: {before:.0f} MiB between the runs, {after:.0f} MiB after them")
    return failed + (after > MAX_GROWTH * before)


def _run(server: RunningServer, images: str, seconds: int, examples: int, folder: Path) -> int:
    # Only valid images can promise to be accepted.
    excluded = [] if images == "valid" else ["--exclude-checks", "positive_data_acceptance"]
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schemathesis.toml",
        "run", f"http://127.0.0.1:{server.port}/openapi.json", "--header", f"X-API-Key: {KEY}",
        "--checks", "all", *excluded, "--max-time", str(seconds), "--max-examples", str(examples),
        "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.system.fuzzing.hooks", "IMAGES": images}
    log = folder / f"{images}.log"
    status = run_watched(command, seconds, f"{images} images", log, environment=environment, cwd=folder)
    _, _, summary = log.read_text(errors="replace").rpartition("= SUMMARY =")
    print(f"{images} images: exit status {status}, see {log}\n{summary.lstrip('=')}", flush=True)
    return int(status != 0)
