"""The command behind ``scripts/predict.py``."""

import argparse
import signal
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from PIL import Image
from tqdm import tqdm

from app.errors import ModelError, ServiceError
from app.image.reader import Reader
from app.model.evaluation import CROPS, Heatmap
from app.model.labels import Label
from app.model.load import load_model
from app.model.network import TorchNetwork
from app.model.registry import LoadedModel
from app.model.selection import select_models
from app.model.wish import ASKED, CannotEvaluate, Wish
from app.predicting.answer import Answered, answer, read_file
from app.predicting.font import find_font
from app.predicting.picture import annotate
from app.predicting.shown import given_to, sheet
from app.settings import Settings, read_settings

INTERRUPTED = 130


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = parse_arguments(text, arguments)
    settings = read_settings()
    try:
        if given.save:
            find_font(given.font)  # before a long load
        if given.model:
            settings = settings.model_copy(update={"model": given.model, "fallback_model": ""})
        model = load_model(select_models(settings).default, settings)
        return _predict_all(given, model, settings)
    except (ModelError, CannotEvaluate) as error:
        print(f"Cannot predict: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED


def parse_arguments(text: str, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="files of any format that the service understands")
    add("--model", metavar="NAME", help="a prepared model (default: VGG_MODEL, or its fallback)")
    add("--top-k", type=int, default=5, metavar="K", help="how many classes to show (default: %(default)s)")
    add("--evaluation", choices=ASKED, default="single", help="what the network is shown (default: %(default)s)")
    add("--crops", choices=CROPS, help="for crops: corners and centre, or a grid; mirrored, too (default: 10)")
    add("--scales", metavar="LENGTHS", help="of the short side, such as 256,384,512 (default: the model's)")
    add("--save", type=Path, metavar="OUT.png", help="write the photograph with what was found, and where")
    add("--show-input", type=Path, metavar="OUT.png", help="write what the network was really given")
    add("--font", type=Path, metavar="FILE", help="a font with Chinese characters, for --save")
    given = parser.parse_args(arguments)
    if given.top_k < 1:
        parser.error("--top-k must be at least 1")
    return given


def _predict_all(given: argparse.Namespace, model: LoadedModel, settings: Settings) -> int:
    """A photograph that cannot be read is said, and does not keep the others from being looked at."""
    reader = Reader(settings.max_pixels, exact=settings.decode == "exact")
    wish = Wish(given.evaluation, given.crops, given.scales, heatmap=given.save is not None)
    wish.evaluation_by(model)  # said once, and not of each photograph
    status = 0
    for path in tqdm(given.photos, disable=len(given.photos) < 2, unit="photo"):
        try:
            data = read_file(path)
            answered = answer(data, model, reader, wish, given.top_k)
        except (ServiceError, ModelError) as error:
            tqdm.write(f"{path}: {error}", file=sys.stderr)
            status = 1
            continue
        tqdm.write(_table(path, model, answered))
        many = len(given.photos) > 1
        if given.save:
            photograph = reader.photograph(data)
            picture = annotate(photograph, _named(model, answered), _map(answered), find_font(given.font))
            _write(picture, given.save, path if many else None)
        if given.show_input:
            network = cast(TorchNetwork, model.network)
            shown = sheet([given_to(network.module, part) for part in answered.parts])
            _write(shown, given.show_input, path if many else None)
    return status


def _named(model: LoadedModel, answered: Answered) -> list[tuple[Label, float]]:
    return [(model.labels[index], probability) for index, probability in answered.found.candidates]


def _map(answered: Answered) -> Heatmap:
    assert answered.found.heatmap is not None  # the wish has it
    return answered.found.heatmap


def _write(picture: Image.Image, out: Path, photo: Path | None) -> None:
    """Of several photographs each picture has the name of its own. Raises ``ModelError``."""
    path = out.with_name(f"{out.stem}-{photo.stem}{out.suffix}") if photo else out
    try:
        picture.save(path)
    except (OSError, ValueError) as error:  # no such folder; no such format
        raise ModelError(f"{path} cannot be written ({error}).") from error
    tqdm.write(f"written: {path}")


def _table(path: Path, model: LoadedModel, answered: Answered) -> str:
    views = "1 view" if answered.views == 1 else f"{answered.views} views"
    lines = [f"{path}  ({model.name} {model.manifest.version}, {answered.evaluation.method}, {views})"]
    named = _named(model, answered)
    wide = max(_width(label.label_en) for label, _ in named)
    lines += [
        f"  {rank:>2}  {probability:7.2%}  {_padded(label.label_en, wide)}  {label.label_zh}"
        for rank, (label, probability) in enumerate(named, start=1)
    ]
    return "\n".join(lines)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: Sequence[str]) -> int:
    """Columns of a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
