"""The command behind ``scripts/prepare_model.py``."""

import argparse
import re
import shutil
import signal
import sys
from pathlib import Path

from app.errors import ModelError, UnknownModel, WeightsUnavailable
from app.model.labels import read_labels
from app.model.library import Library
from app.model.manifest import NAME_PATTERN, Manifest
from app.preparing.batch_size import is_measured, measure_batch_size
from app.preparing.origin import IMAGENET_LABELS, own_manifest, published_manifest, refuse_unusable
from app.preparing.prepare import note_unavailable, prepare
from app.settings import Settings, read_settings

UNAVAILABLE = 3
INTERRUPTED = 130


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = parse_arguments(text, arguments)
    settings = read_settings()
    library = Library.from_settings(settings)
    name = given.name or given.model
    try:
        manifest, is_new = choose_manifest(given, library)
        return prepare_and_measure(manifest, given, settings, is_new=is_new)
    except WeightsUnavailable as error:
        store = library.store(name)
        note_unavailable(store, error)
        print(store.explain_unavailable(str(error)), file=sys.stderr)
        return UNAVAILABLE
    except ModelError as error:
        print(f"Cannot prepare {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the next run continues from here.", file=sys.stderr)
        return INTERRUPTED


def parse_arguments(text: str, given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model with a manifest, or one of torchvision's VGGs")
    parser.add_argument("--from-file", type=Path, metavar="PATH", help="use this file instead of downloading")
    parser.add_argument("--url", help="download from this mirror; the digest must still match")
    parser.add_argument("--weights", default="IMAGENET1K_V1", help="torchvision's name for them (default: %(default)s)")
    parser.add_argument("--name", help="make a new model of this name from --from-file")
    parser.add_argument("--architecture", help="the new model's architecture: vgg11 to vgg19_bn, or timm:NAME")
    parser.add_argument("--labels", type=Path, help="the new model's label file (default: ImageNet's 1,000 classes)")
    parser.add_argument("--sha256", help="refuse the file unless this is its digest (64 hexadecimal digits)")
    parser.add_argument("--force", action="store_true", help="prepare it again even if it is prepared")
    parser.add_argument("--no-measure", action="store_true", help="do not measure the best batch size")
    arguments = parser.parse_args(given)
    if arguments.name and not (arguments.architecture and arguments.from_file):
        parser.error("--name needs --architecture and --from-file")
    if arguments.name and not re.fullmatch(NAME_PATTERN, arguments.name):
        parser.error("--name takes lower-case letters and digits, and after the first one also _ . -")
    if bool(arguments.name) == bool(arguments.model):
        parser.error("give a model, or --name for a new one of your own")
    return arguments


def choose_manifest(arguments: argparse.Namespace, library: Library) -> tuple[Manifest, bool]:
    """The manifest that lies there, or a new one for weights of torchvision's or of the user's; whether it is new."""
    refuse_unusable(arguments.weights)
    is_new = True
    if arguments.name:
        manifest = adopt(arguments, library)
    else:
        try:
            manifest = library.manifest(arguments.model)
            is_new = False
        except UnknownModel:
            manifest = published_manifest(arguments.model, arguments.weights)
    if arguments.sha256:
        weights = manifest.weights.model_copy(update={"sha256": arguments.sha256.lower()})
        manifest = manifest.model_copy(update={"weights": weights})
    return manifest, is_new


def adopt(arguments: argparse.Namespace, library: Library) -> Manifest:
    """A manifest for somebody's own weights; their label file is copied to where it will lie."""
    if not arguments.labels:
        return own_manifest(arguments.name, arguments.architecture, arguments.from_file, IMAGENET_LABELS)
    if not arguments.labels.is_file():
        raise ModelError(f"There is no file {arguments.labels}.")
    read_labels(arguments.labels)
    folder = library.store(arguments.name).folder
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.labels, folder / "labels.csv")
    return own_manifest(arguments.name, arguments.architecture, arguments.from_file, "labels.csv")


def prepare_and_measure(manifest: Manifest, arguments: argparse.Namespace, settings: Settings, *, is_new: bool) -> int:
    library = Library.from_settings(settings)
    store = library.store(manifest.name)
    if store.is_prepared() and not (arguments.force or arguments.name):
        print(f"{manifest.name} is already prepared ({store.weights}); use --force to prepare it again.")
    else:
        prepare(manifest, library, from_file=arguments.from_file, url=arguments.url, is_new=is_new, say=print)
        print(f"{manifest.name} is prepared: {store.weights}")
    if not arguments.no_measure and (arguments.force or not is_measured(manifest, settings)):
        measure_batch_size(manifest, settings, print)
    return 0
