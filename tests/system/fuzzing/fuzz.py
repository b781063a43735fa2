"""The command behind ``scripts/fuzz.py``."""

import argparse
from pathlib import Path

from app.settings import CHECKOUT
from tests.system.fuzzing.decode import fuzz_decode, reproduce
from tests.system.fuzzing.http import fuzz_http


def main(text: str) -> int:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=CHECKOUT / ".fuzz", help="where to keep things (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    decode = commands.add_parser("decode", help="atheris on decoding")
    decode.add_argument("--seconds", type=int, default=600, help="in all (%(default)s)")
    decode.add_argument("--restarts", type=int, default=2, help="new processes with what was learned (%(default)s)")
    decode.add_argument("--reproduce", type=Path, metavar="FILE", help="check this input instead")
    http = commands.add_parser("http", help="schemathesis on the service")
    http.add_argument("--seconds", type=int, default=300, help="in all (%(default)s)")
    http.add_argument("--examples", type=int, default=100, help="at most per operation and round (%(default)s)")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    if arguments.command == "http":
        return fuzz_http(arguments.seconds, arguments.examples, folder / "http")
    if arguments.reproduce is not None:
        return reproduce(arguments.reproduce.absolute())
    return fuzz_decode(arguments.seconds, arguments.restarts, folder / "decode")
