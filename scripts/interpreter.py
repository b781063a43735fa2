"""What every door written in Python does first: run with the checkout's own interpreter, whichever one opened it."""

import importlib
import importlib.util
import os
import signal
import sys
from typing import NoReturn

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVIRONMENT = os.path.join(CHECKOUT, ".venv")
PYTHON = os.path.join(ENVIRONMENT, "bin", "python")


def enter(module: str, text: str) -> NoReturn:
    """End with what ``module.main(text)`` returns; ``text`` is the door's own, for its ``--help``."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while importing ends quietly; main() takes over
    # torchrun has chosen an interpreter already, and watches this process.
    if sys.prefix != ENVIRONMENT and os.path.exists(PYTHON) and "LOCAL_RANK" not in os.environ:
        os.execv(PYTHON, [PYTHON, *sys.argv])
    if importlib.util.find_spec("pydantic_settings") is None:
        sys.exit(f"{sys.argv[0]}: nothing is installed yet; scripts/install does that")
    sys.path[0] = CHECKOUT
    try:
        importlib.import_module("app.logs").set_up_logging("text", "warning")
        command = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if {"-h", "--help"} & set(sys.argv):
            print(text)  # it names the extra that the package is in
            sys.exit(0)
        sys.exit(f"{sys.argv[0]}: the package {error.name} is not installed; --help names the extra it is in")
    sys.exit(command.main(text))
