"""The command behind ``scripts/finetune.py``."""

import signal
import sys
from contextlib import nullcontext

from app.errors import ModelError
from app.settings import read_settings
from app.training.distributed import Ranks, choose_device
from app.training.options import parse_options
from app.training.steps import finetune
from app.training.terminal import terminal

INTERRUPTED = 130


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = parse_options(arguments, text)
    settings = read_settings()
    try:
        ranks = Ranks(choose_device(settings))
        with terminal() if ranks.is_first else nullcontext():
            finetune(options, settings, ranks)
        ranks.close()
    except ModelError as error:
        print(f"Cannot train {options.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command with --resume to go on.", file=sys.stderr)
        return INTERRUPTED
    return 0
