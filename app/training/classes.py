"""The order of a new model's outputs, and their names in both languages."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from app.errors import ModelError
from app.model.labels import COLUMNS, Label, read_labels

CAT_DOG = ("cat", "dog")
CAT_DOG_LABELS = Path("labels", "catdog.csv")


def choose_labels(found: Sequence[str], given: Path | None, models_dir: Path) -> list[Label]:
    """A label for every class that the data has, in the order of the network's outputs.

    From the user's file, or from ours where the classes are cat and dog, else the folders' names stand for both
    languages. Raises ``ModelError`` when a file does not name exactly the classes that were found.
    """
    if given is None and tuple(sorted(found)) == CAT_DOG:
        given = models_dir / CAT_DOG_LABELS
    if given is None:
        return [Label(index, None, name, name, (), ()) for index, name in enumerate(sorted(found))]
    if not given.is_file():
        raise ModelError(f"There is no file {given}.")
    labels = read_labels(given)
    _one_each(match_classes(found, labels, str(given)), labels, given)
    return list(labels)


def _one_each(matched: dict[str, int], labels: Sequence[Label], given: Path) -> None:
    """Raises ``ModelError`` unless every label is some class's, and no two classes'."""
    counts = Counter(matched.values())
    unused = [label.label_en for label in labels if not counts[label.class_index]]
    if unused:
        raise ModelError(f"{given} names classes that no image has: {', '.join(unused[:5])}.")
    shared = [name for name, index in matched.items() if counts[index] > 1]
    if shared:
        raise ModelError(f"{given} has a single class for several in the data: {', '.join(shared[:5])}.")


def match_classes(found: Sequence[str], labels: Sequence[Label], where: str) -> dict[str, int]:
    """Class name as found in the data -> class index. A class is known by its wnid or any English name.

    Raises ``ModelError`` naming the classes that nothing, or two labels, answer to.
    """
    by_name: dict[str, set[int]] = {}
    for label in labels:
        for name in _names(label):
            by_name.setdefault(name, set()).add(label.class_index)
    for label in labels:  # a wnid or a label is unique, and goes before somebody else's synonym
        for own in (label.label_en, label.wnid):
            if own:
                by_name[own.casefold()] = {label.class_index}
    unclear = [name for name in found if len(by_name.get(name, ())) != 1]
    if unclear:
        raise ModelError(f"{where} has no class, or several classes, for: {', '.join(unclear[:5])}.")
    return {name: next(iter(by_name[name])) for name in found}


def _names(label: Label) -> set[str]:
    return {name.casefold() for name in (label.wnid, label.label_en, *label.synonyms_en) if name}


def class_names(found: Sequence[str], labels: Sequence[Label]) -> list[str]:
    """The names found in the data, in the order of the labels."""
    indices = match_classes(found, labels, "The label file")
    return sorted(found, key=indices.__getitem__)


def write_labels(labels: Sequence[Label], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in labels:
            names = (one.label_en, one.label_zh, ";".join(one.synonyms_en), ";".join(one.synonyms_zh))
            writer.writerow((one.class_index, one.wnid or "", *names))
