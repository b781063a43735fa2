#!/usr/bin/env python3
"""Fine-tune a prepared model on a folder of pictures, and leave a model that the service serves.

    scripts/finetune.py --data DIR                         cat.N.jpg and dog.N.jpg, or a folder a class
    scripts/finetune.py --data DIR --train head            only the last layer: an export of tens of kilobytes
    scripts/finetune.py --data DIR --resume                go on after an interruption
    torchrun --nproc-per-node 2 scripts/finetune.py …      several GPUs or machines

Writes models/catdog/ (weights that differ from the base, manifest, labels.csv, split.csv, metrics.csv, report.html).
Runs itself with .venv/bin/python. Exit status: 0 done, 1 it cannot be done, 130 interrupted (--resume goes on).
"""

import os
import signal
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while importing ends quietly; main() takes over
    PYTHON = CHECKOUT / ".venv" / "bin" / "python"
    # torchrun has chosen an interpreter already, and watches this process.
    if PYTHON.exists() and Path(sys.prefix) != CHECKOUT / ".venv" and "LOCAL_RANK" not in os.environ:
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    if str(CHECKOUT) not in sys.path:
        sys.path.append(str(CHECKOUT))

from app.errors import ModelError
from app.logs import set_up_logging
from app.settings import read_settings
from scripts.training.distributed import Ranks, choose_device
from scripts.training.finetuning import finetune
from scripts.training.options import parse_options

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = parse_options(arguments, __doc__)
    settings = read_settings()
    try:
        ranks = Ranks(choose_device(settings))
        finetune(options, settings, ranks)
        ranks.close()
    except ModelError as error:
        print(f"Cannot train {options.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same command with --resume goes on.", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    set_up_logging("text", "warning")
    sys.exit(main())
