#!/usr/bin/env python3
"""Look for bytes and requests that nobody thought of.

    scripts/fuzz.py decode --seconds 600      atheris on decoding: no crash, no other error, bounded time and memory,
                                              and the same answer from the fast path and the exact one
    scripts/fuzz.py decode --reproduce FILE   one of its findings again
    scripts/fuzz.py http --seconds 300        schemathesis on a running service, from its own OpenAPI document

What they learn and find stays in .fuzz/. Exits with 0 when nothing was found. Needs the extras `dev` and `fuzz`.
"""

import os
import signal
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends quietly
    PYTHON = CHECKOUT / ".venv" / "bin" / "python"
    if PYTHON.exists() and Path(sys.prefix) != CHECKOUT / ".venv":
        os.execv(PYTHON, [str(PYTHON), *sys.argv])

import argparse

from scripts.fuzzing.decode import fuzz_decode, reproduce
from scripts.fuzzing.http import fuzz_http


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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


if __name__ == "__main__":
    sys.exit(main())
