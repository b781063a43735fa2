"""The command behind ``scripts/prepare_model.py``."""

import argparse
import re
import signal
import sys
from pathlib import Path

from app.errors import BatchTooLarge, ModelError, UnknownModel, WeightsUnavailable
from app.model.library import Library
from app.model.manifest import NAME_PATTERN, Manifest
from app.preparing import batch_size, engine, launch
from app.preparing.install import install, roll_back
from app.preparing.origin import IMAGENET_LABELS, own_manifest, published_manifest, refuse_unusable, with_digest
from app.preparing.prepare import note_unavailable, prepare, renew
from app.settings import Settings, read_settings

UNAVAILABLE = 3
INTERRUPTED = 130
TAKE_IN = "A running service goes on with what it has; POST /models/{}/load or a restart takes this one in."


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = parse_arguments(text, arguments)
    settings = read_settings()
    library = Library.from_settings(settings)
    name = given.name or given.rollback or given.model or given.install
    try:
        manifest = bring(given, library)
        if not given.no_measure:
            measure(manifest, settings, again=given.force)
    except WeightsUnavailable as error:
        store = library.store(name)
        note_unavailable(store, error)
        print(store.explain_unavailable(str(error)), file=sys.stderr)
        return UNAVAILABLE
    except ModelError as error:
        doing = "roll back" if given.rollback else "install" if given.install else "prepare"
        print(f"Cannot {doing} {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the next run continues from here.", file=sys.stderr)
        return INTERRUPTED
    return 0


def measure(manifest: Manifest, settings: Settings, *, again: bool) -> None:
    """What is best on this machine and not known yet: the engine, the batch size with it, the way to run batches."""
    if engine.has_choice(manifest, settings) and (again or not engine.is_measured(manifest, settings)):
        engine.measure_engine(manifest, settings, print)
    if again or not batch_size.is_measured(manifest, settings):
        batch_size.measure_batch_size(manifest, settings, print)
    if launch.has_choice(settings) and (again or not launch.is_measured(manifest, settings)):
        try:
            launch.measure_launch(manifest, settings, print)
        except (RuntimeError, BatchTooLarge) as error:  # the service can do without
            print(f"Ways to run a batch cannot be measured here ({error}); batches are run plainly.", file=sys.stderr)


def parse_arguments(text: str, given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model with a manifest, or one of torchvision's VGGs")
    parser.add_argument("--from-file", type=Path, metavar="PATH", help="use this file instead of downloading")
    parser.add_argument("--url", help="download from this mirror; the digest must still match")
    parser.add_argument("--weights", help="torchvision's name for them (default: the manifest's)")
    parser.add_argument("--name", help="make a new model of this name from --from-file, or give --install another one")
    parser.add_argument("--architecture", help="the new model's architecture: vgg11 to vgg19_bn, or timm:NAME")
    parser.add_argument("--labels", type=Path, help="the new model's label file (default: ImageNet's 1,000 classes)")
    parser.add_argument("--sha256", help="refuse the file unless this is its digest (64 hexadecimal digits)")
    parser.add_argument("--install", type=Path, metavar="DIR", help="put a finished model, such as an export, in place")
    parser.add_argument("--rollback", metavar="NAME", help="go back to the model that the last --install replaced")
    parser.add_argument("--force", action="store_true", help="prepare it again even if it is prepared")
    parser.add_argument("--no-measure", action="store_true", help="do not measure what is best on this machine")
    arguments = parser.parse_args(given)
    is_own = arguments.name and not arguments.install
    if is_own and not (arguments.architecture and arguments.from_file):
        parser.error("--name needs --architecture and --from-file, or --install")
    for name in (arguments.name, arguments.rollback):
        if name and not re.fullmatch(NAME_PATTERN, name):
            parser.error("a name takes lower-case letters and digits, and after the first one also _ . -")
    if sum(map(bool, (arguments.model, is_own, arguments.install, arguments.rollback))) != 1:
        parser.error("give a model, --name for a new one of your own, --install or --rollback")
    return arguments


def bring(given: argparse.Namespace, library: Library) -> Manifest:
    """Do what was asked for; the manifest of the model that is prepared then."""
    if given.rollback:
        manifest = roll_back(given.rollback, library)
        print(f"{manifest.name} is version {manifest.version} again. {TAKE_IN.format(manifest.name)}")
    elif given.install:
        manifest, is_new = install(given.install, library, given.name)
        done = f"is installed. {TAKE_IN.format(manifest.name)}" if is_new else "is installed already."
        print(f"{manifest.name}, version {manifest.version}, {done}")
    else:
        manifest, is_new = choose_manifest(given, library)
        bring_up_to_date(manifest, given, library, is_new=is_new)
    return manifest


def choose_manifest(arguments: argparse.Namespace, library: Library) -> tuple[Manifest, bool]:
    """The manifest that lies there, or a new one for weights of torchvision's or of the user's; whether it is new."""
    refuse_unusable(arguments.weights or "")
    is_new = True
    if arguments.name:
        labels = "labels.csv" if arguments.labels else IMAGENET_LABELS
        manifest = own_manifest(arguments.name, arguments.architecture, arguments.from_file, labels)
    else:
        try:
            manifest = library.manifest(arguments.model)
            is_new = False
        except UnknownModel:
            manifest = published_manifest(arguments.model, arguments.weights or "IMAGENET1K_V1")
        else:
            if arguments.weights:
                _check_weights(arguments.weights, manifest)
    return (with_digest(manifest, arguments.sha256.lower()) if arguments.sha256 else manifest), is_new


def _check_weights(wanted: str, manifest: Manifest) -> None:
    """Raises ``ModelError`` for others than those of the manifest."""
    source = published_manifest(manifest.name, wanted).weights.source
    if source != manifest.weights.source:
        raise ModelError(
            f"The manifest of {manifest.name!r} names {manifest.weights.source}, not {source}. Leave --weights out, or "
            "prepare the others by another name: --name, --architecture and --from-file."
        )


def bring_up_to_date(manifest: Manifest, given: argparse.Namespace, library: Library, *, is_new: bool) -> None:
    """As little as is needed for weights that are those of the manifest."""
    store = library.store(manifest.name)
    if store.is_prepared() and not (given.force or given.name):
        receipt = store.read_receipt()
        if receipt.is_of(manifest.weights) and not receipt.changed(manifest, library.labels(manifest)):
            print(f"{manifest.name} is already prepared ({store.weights}); use --force to prepare it again.")
            return
        print(f"The manifest of {manifest.name} has changed since it was prepared.")
        if renew(manifest, library):
            print("Its weights are the same, and fit it.")
            return
    prepare(
        manifest,
        library,
        from_file=given.from_file,
        url=given.url,
        labels_file=given.labels if given.name else None,
        is_new=is_new,
        say=print,
    )
    print(f"{manifest.name} is prepared: {store.weights}")
