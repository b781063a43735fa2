"""``python -m app``: settings from the environment, or from flags of the same names."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from app.logs import set_up_logging
from app.settings import read_settings

INTERRUPTED = 130


def main() -> NoReturn:
    signal.signal(signal.SIGINT, interrupted)  # until the server takes over
    settings = read_settings(sys.argv[1:])
    set_up_logging(settings.log_format, settings.log_level)
    from app.main import serve  # settings are checked before anything heavy is imported
    from app.server.run import end_process

    end_process(serve(settings))


def interrupted(sig: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
    print("Interrupted before the service was ready.", file=sys.stderr)
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
