"""What each attack costs a decoder with its bounds: ``python -m tests.system.attacks [BEGINNING OF A NAME]``."""

import sys

from tests.system.attacks.corpus import attacks
from tests.system.attacks.trial import Ground


def main(beginning: str) -> None:
    rows = []
    with Ground() as ground:
        for name, data in attacks():
            if name.startswith(beginning):
                rows.append((name, len(data), ground.try_out(data)))
    for name, size, trial in sorted(rows, key=lambda row: -row[2].cpu_s / row[1]):
        cpu = f"{trial.cpu_s:7.2f} s ({1e6 * trial.cpu_s / size:9.2f} µs a byte) of {trial.allowed_cpu_s:6.2f}"
        memory = f"{trial.memory_bytes / 1e6:6.0f} MB of {trial.allowed_bytes / 1e6:6.0f}"
        print(f"{name:48} {size:9,} bytes {cpu} {memory}  {trial.outcome}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
