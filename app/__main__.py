"""``python -m app``: settings from the environment, or from flags of the same names."""

import sys

from app.logs import set_up_logging
from app.settings import read_settings


def main() -> int:
    settings = read_settings(sys.argv[1:])
    set_up_logging(settings.log_format, settings.log_level)
    from app.server import serve  # noqa: PLC0415 - settings are checked before anything heavy is imported

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
