"""What the commands tell the person at the terminal.

Modules log; one handler writes what they log to standard output, line by line, and leaves progress bars (on standard
error) whole. Where nobody is meant to read along, such as in the second of two processes, there is neither.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

PACKAGE = logging.getLogger("app.training")


class _TerminalHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


@contextmanager
def terminal() -> Iterator[None]:
    """Show what the trainer and the evaluation log."""
    handler, level = _TerminalHandler(), PACKAGE.level
    PACKAGE.addHandler(handler)
    PACKAGE.setLevel(logging.INFO)
    PACKAGE.propagate = False
    try:
        yield
    finally:
        PACKAGE.removeHandler(handler)
        PACKAGE.setLevel(level)
        PACKAGE.propagate = True


def progress_bar(what: str, total: int, unit: str, *, done: int = 0) -> "tqdm[None]":
    """A bar for ``total`` units, ``done`` of which are done already."""
    hidden = not PACKAGE.isEnabledFor(logging.INFO)
    return tqdm(total=total, initial=done, desc=what, unit=unit, mininterval=0.5, disable=hidden)
