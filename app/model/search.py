"""Which classes a word names, in either language."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app.model.labels import Label

EXACT, WORD, BEGINS, BEGINS_A_WORD, INSIDE = range(5)


class Match(NamedTuple):
    """A class that was found, and which of its names or ids it was found by."""

    label: Label
    name: str


class LabelIndex:
    """Every name of a model's classes, ready to be searched: their English and Chinese labels, synonyms, WordNet ids.

    Case, accents, the width of characters and everything that is neither letter nor digit make no difference. A WordNet
    id counts only as a whole.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = labels
        self._names = [
            (label.class_index, fold(name), name, is_synonym)
            for label in labels
            for name, is_synonym in _names_of(label)
        ]
        self._ids = {label.wnid: label for label in labels if label.wnid}

    def search(self, query: str) -> list[Match]:
        """Each class that has the query in a name once, by its best name, the likeliest class first.

        A name that is the query comes first, then one of which it is a word, one that begins with it, one of which a
        word does, and one that has it inside; of the same kind labels before synonyms, and names that hold little else
        before long ones. A query without a letter or digit finds nothing.
        """
        wanted = fold(query)
        if not wanted:
            return []
        best: dict[int, tuple[tuple[int, bool, int], str]] = {}
        for index, folded, name, is_synonym in self._names:
            if wanted in folded:
                found = (_place(wanted, folded), is_synonym, len(folded)), name
                best[index] = min(found, best.get(index, found))
        by_id = self._ids.get(wanted)
        if by_id is not None and by_id.wnid is not None:
            best[by_id.class_index] = (EXACT, False, len(wanted)), by_id.wnid
        ordered = sorted(best.items(), key=lambda entry: (entry[1][0], entry[0]))
        return [Match(self._labels[index], name) for index, (_, name) in ordered]


def fold(name: str) -> str:
    """A name as it is compared: ``Jack-o'-Lantern`` and ``jack o lantern`` are the same, and so are ＣＤ and cd."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    plain = unicodedata.normalize("NFKC", "".join(one for one in decomposed if not unicodedata.combining(one)))
    return re.sub(r"[\W_]+", " ", plain).strip()


def _names_of(label: Label) -> Iterator[tuple[str, bool]]:
    yield label.label_en, False
    yield label.label_zh, False
    for name in (*label.synonyms_en, *label.synonyms_zh):
        yield name, True


def _place(wanted: str, name: str) -> int:
    if name == wanted:
        return EXACT
    # Chinese has no spaces: what a name ends with says what kind of thing it is (波斯猫), what it begins with need not.
    if f" {wanted} " in f" {name} " or (not wanted.isascii() and name.endswith(wanted)):
        return WORD
    if name.startswith(wanted):
        return BEGINS
    return BEGINS_A_WORD if f" {wanted}" in name else INSIDE
