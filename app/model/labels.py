"""Label files: ``class_index,wnid,label_en,label_zh,synonyms_en,synonyms_zh``, one row a class."""

import csv
from dataclasses import dataclass
from pathlib import Path

from app.errors import ModelError

COLUMNS = ("class_index", "wnid", "label_en", "label_zh", "synonyms_en", "synonyms_zh")


@dataclass(frozen=True, slots=True)
class Label:
    """A class's names. ``wnid`` is its WordNet id, ``None`` for classes outside WordNet."""

    class_index: int
    wnid: str | None
    label_en: str
    label_zh: str
    synonyms_en: tuple[str, ...]
    synonyms_zh: tuple[str, ...]


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels in the order of the network's outputs.

    Raises ``ModelError`` on other columns, on indices that are not 0, 1, 2, …, and on names that are empty or given
    to two classes.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ModelError(f"{path}: the columns must be {','.join(COLUMNS)}.")
            labels = tuple(_label(row, path) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not labels:
        raise ModelError(f"{path} has no rows.")
    if [label.class_index for label in labels] != list(range(len(labels))):
        raise ModelError(f"{path}: class_index must count 0, 1, 2, … without a gap.")
    for language in ("label_en", "label_zh"):
        names = [getattr(label, language) for label in labels]
        if len(set(names)) != len(names):
            doubled = sorted({name for name in names if names.count(name) > 1})
            raise ModelError(f"{path}: {language} is not unique: {', '.join(doubled)}.")
    return labels


def _label(row: dict[str, str], path: Path) -> Label:
    try:
        index, wnid, english, chinese, synonyms_en, synonyms_zh = (row[column] for column in COLUMNS)
        label = Label(int(index), wnid or None, english, chinese, _split(synonyms_en), _split(synonyms_zh))
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: this row cannot be read: {row}") from error
    if not (label.label_en and label.label_zh):
        raise ModelError(f"{path}: class {label.class_index} has no name in one of the languages.")
    return label


def _split(synonyms: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in synonyms.split(";") if name.strip())
