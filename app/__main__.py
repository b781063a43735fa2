"""``python -m app``: settings from the environment, or from flags of the same names."""

import sys

from pydantic import ValidationError
from pydantic_settings import CliApp

from app.logs import set_up_logging
from app.settings import Settings


def main() -> int:
    try:
        settings = CliApp.run(Settings, cli_args=sys.argv[1:])
    except ValidationError as error:
        faults = "; ".join(f"VGG_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        print(f"Wrong settings: {faults}", file=sys.stderr)
        return 2
    set_up_logging(settings.log_format, settings.log_level)
    from app.server import serve  # noqa: PLC0415 - settings are checked before anything heavy is imported

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
