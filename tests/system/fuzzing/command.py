"""The command behind ``scripts/fuzz.py``."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from app.settings import CHECKOUT
from tests.system.fuzzing.decode import fuzz_decode, reproduce
from tests.system.fuzzing.decoders import fuzz_decoders
from tests.system.fuzzing.http import fuzz_http


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    given = parse_arguments(text, arguments)
    needed = {"decode": "atheris", "http": "schemathesis"}.get(given.command)
    if needed and find_spec(needed) is None:
        print(f"{needed} is not installed: scripts/install --extras embedded,dev,fuzz", file=sys.stderr)
        return 1
    folder = given.folder.absolute()
    if given.command == "http":
        return fuzz_http(given.seconds, given.examples, folder / "http")
    if given.command == "decoders":
        return fuzz_decoders(given.seconds, given.seed, folder / "decoders", folder / "decode" / "corpus")
    if given.reproduce is not None:
        return reproduce(given.reproduce.absolute())
    return fuzz_decode(given.seconds, given.restarts, folder / "decode")


def parse_arguments(text: str, given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder",
        type=Path,
        default=CHECKOUT / ".fuzz",
        help="where to keep what was learned and found (default: %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    decode = commands.add_parser("decode", help="atheris on decoding")
    decode.add_argument("--seconds", type=int, default=600, help="in all (default: %(default)s)")
    decode.add_argument(
        "--restarts", type=int, default=2, help="how often to begin anew with what was learned (default: %(default)s)"
    )
    decode.add_argument("--reproduce", type=Path, metavar="FILE", help="check this input instead, once")
    decoders = commands.add_parser("decoders", help="damaged images through real decoder processes")
    decoders.add_argument("--seconds", type=int, default=300, help="in all (default: %(default)s)")
    decoders.add_argument("--seed", type=int, default=1, help="for the damage (default: %(default)s)")
    http = commands.add_parser("http", help="schemathesis on the service")
    http.add_argument("--seconds", type=int, default=300, help="in all (default: %(default)s)")
    http.add_argument(
        "--examples", type=int, default=100, help="at most, for each operation and round (default: %(default)s)"
    )
    return parser.parse_args(given)
