"""The command behind ``scripts/chaos.py``."""

import argparse

from tests.system.chaos.attacks import attack
from tests.system.chaos.ends import hang_kill_and_restart, stop_under_load
from tests.system.chaos.losses import losses
from tests.system.chaos.siege import siege
from tests.system.chaos.soak import soak
from tests.system.chaos.storm import storm
from tests.system.load.simulated import SimulatedNetwork
from tests.system.load.uploads import read_jpegs, with_answers


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    given = parse_arguments(text, arguments)
    uploads = with_answers(read_jpegs(None), SimulatedNetwork())
    if given.soak:
        failures = soak(uploads, 60 * given.soak, given.seed)
    elif given.attacks:
        failures = attack(uploads, 60 * given.attacks, given.seed)
    else:
        failures = storm(uploads, 1 if given.short else 20, given.seed)
        failures += siege(uploads, 0.6 if given.short else 12, short=given.short)
        failures += losses(uploads, 1 if given.short else 20, given.seed)
        for fronts in (0, 2):
            failures += stop_under_load(uploads, 1 if given.short else 20, fronts)
        failures += hang_kill_and_restart(uploads)
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"{len(failures)} failed" if failures else "all held")
    return bool(failures)


def parse_arguments(text: str, given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="fewer of everything, for scripts/test")
    length.add_argument("--soak", type=float, metavar="MINUTES", help="mixed traffic for so long, and nothing else")
    length.add_argument("--attacks", type=float, metavar="MINUTES", help="costly files for so long, and nothing else")
    parser.add_argument("--seed", type=int, default=1, help="for the random faults (default: %(default)s)")
    return parser.parse_args(given)
