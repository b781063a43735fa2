"""The command behind ``scripts/evaluate.py``."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from app.errors import ModelError
from app.model.evaluation import CROPS
from app.model.wish import ASKED, Wish
from app.settings import read_settings
from app.training.arguments import EXCLUDE, positive
from app.training.evaluation import Question, evaluate
from app.training.terminal import terminal

INTERRUPTED = 130
logger = logging.getLogger(__name__)


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = parse_arguments(text, arguments)
    if given.csv and not given.csv.resolve().parent.is_dir():
        print(f"Cannot write {given.csv}: there is no such folder.", file=sys.stderr)
        return 1
    question = Question(
        given.data,
        given.model,
        given.ten_crop,
        given.exclude,
        given.batch_size,
        given.workers,
        Wish(given.evaluation, given.crops, given.scales),
    )
    try:
        with terminal():
            evaluation = evaluate(question, read_settings())
            for line in evaluation.lines():
                logger.info(line)
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
    folder = "cat.N.jpg and dog.N.jpg, or one folder per class, named by wnid or English label"
    add("--data", type=Path, required=True, metavar="DIR", help=folder)
    add("--model", default="vgg16", help="the prepared model to measure (default: %(default)s)")
    add("--ten-crop", action="store_true", help="the same as --evaluation multi_crop")
    add("--evaluation", choices=ASKED, default="single", help="what the network is shown (default: %(default)s)")
    add("--crops", choices=CROPS, help="for crops: corners and centre, or a grid; mirrored, too (default: 10)")
    add("--scales", metavar="LENGTHS", help="of the short side, such as 256,384,512 (default: the model's)")
    add("--exclude", type=Path, metavar="FILE", help=EXCLUDE)
    add("--csv", type=Path, metavar="FILE", help="write every prediction to this file")
    add("--batch-size", type=positive, metavar="N", help="images per forward pass (default: the model's measured best)")
    cores = "threads that decode (default: one per core)"
    add("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help=cores)
    return parser.parse_args(arguments)
