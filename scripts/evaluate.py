#!/usr/bin/env python3
"""Measure a prepared model on a folder of labelled pictures, exactly as the service would see them.

    scripts/evaluate.py --data DIR --model catdog                cat.N.jpg and dog.N.jpg, or a folder a class
    scripts/evaluate.py --data ILSVRC2012_val --model vgg16      a folder a class, named by wnid or English name
    scripts/evaluate.py --data DIR --csv predictions.csv         every single answer

Runs itself with .venv/bin/python. The device, the precision and the decoder are the service's settings (VGG_DEVICE, …).
Exit status: 0 measured, 1 it cannot be done, 130 interrupted.
"""

import os
import signal
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while importing ends quietly; main() takes over
    PYTHON = CHECKOUT / ".venv" / "bin" / "python"
    if PYTHON.exists() and Path(sys.prefix) != CHECKOUT / ".venv":
        os.execv(PYTHON, [str(PYTHON), *sys.argv])

import argparse

from app.errors import ModelError
from app.logs import set_up_logging
from app.settings import read_settings
from scripts.training.evaluating import Question, evaluate
from scripts.training.options import positive

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = parse_arguments(arguments)
    if given.csv and not given.csv.resolve().parent.is_dir():
        print(f"Cannot write {given.csv}: there is no such folder.", file=sys.stderr)
        return 1
    question = Question(given.data, given.model, given.ten_crop, given.exclude, given.batch_size, given.workers)
    try:
        evaluation = evaluate(question, read_settings())
        for line in evaluation.lines():
            print(line)
        if given.csv:
            evaluation.write_predictions(given.csv)
    except ModelError as error:
        print(f"Cannot evaluate {given.model}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="cat.N.jpg and dog.N.jpg, or a folder a class")
    add("--model", default="vgg16", help="a prepared model (%(default)s)")
    add("--ten-crop", action="store_true", help="ten crops a picture, mean of the softmax")
    add("--exclude", type=Path, metavar="FILE", help="files to leave out, one a line, # for the reason")
    add("--csv", type=Path, metavar="FILE", help="write every prediction there")
    add("--batch-size", type=positive, help="pictures a forward (default: the model's measured one)")
    add("--workers", type=positive, default=os.cpu_count() or 1, help="threads that decode (default: cores)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    set_up_logging("text", "warning")
    sys.exit(main())
