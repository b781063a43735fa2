"""The command behind ``scripts/evaluate.py``."""

import argparse
import os
import signal
import sys
from pathlib import Path

from app.errors import ModelError
from app.settings import read_settings
from app.training.evaluation import Question, evaluate
from app.training.options import positive

INTERRUPTED = 130


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = parse_arguments(text, arguments)
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


def parse_arguments(text: str, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="cat.N.jpg and dog.N.jpg, or a folder a class")
    add("--model", default="vgg16", help="a prepared model (%(default)s)")
    add("--ten-crop", action="store_true", help="ten crops a picture, mean of the softmax")
    add("--exclude", type=Path, metavar="FILE", help="files to leave out, one a line, # for the reason")
    add("--csv", type=Path, metavar="FILE", help="write every prediction there")
    add("--batch-size", type=positive, help="pictures a forward (default: the model's measured one)")
    add("--workers", type=positive, default=os.cpu_count() or 1, help="threads that decode (default: cores)")
    return parser.parse_args(arguments)
