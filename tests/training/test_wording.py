"""No language may lack a word, a figure or the way that it is written in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from string import Formatter

import pytest

from app.model.labels import Label
from app.training.measurement import ORIGINS
from app.training.split import PARTS
from app.training.wording import CHINESE, ENGLISH, LANGUAGES, WORDINGS, Language, Wording

# What a Chinese reader knows by these letters: figures' names, digests, and names of files and of answers' fields.
KNOWN_LETTERS = {"F1", "NLL", "UTC", "SHA-256", "split.csv", "suspects.csv", "excluded.csv", "known", "false"}


def sentences(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text under the name of its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from sentences(one, f"{place}.{key}")
    elif isinstance(value, tuple):
        for number, one in enumerate(value):
            yield from sentences(one, f"{place}.{number}")
    else:
        assert is_dataclass(value)
        for field in fields(value):
            yield from sentences(getattr(value, field.name), f"{place}.{field.name}")


def figures(text: str) -> list[tuple[str, str | None, str | None]]:
    """What is filled in, and how it is formatted; in whatever order the language wants."""
    return sorted((name, form, change) for _, name, form, change in Formatter().parse(text) if name is not None)


def words(text: str) -> set[str]:
    """Those in Latin letters; not what is filled in, nor mark-up."""
    return set(re.findall(r"[A-Za-z][\w.-]*", re.sub(r"\{.*?\}|</?\w+>", " ", text)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything_with_the_same_figures(language: Language) -> None:
    english, other = dict(sentences(ENGLISH)), dict(sentences(WORDINGS[language]))
    assert other.keys() == english.keys()
    for place, text in other.items():
        assert figures(text) == figures(english[place]), place
        assert bool(text) == bool(english[place]), place


@pytest.mark.parametrize("wording", WORDINGS.values(), ids=WORDINGS)
def test_every_part_and_every_way_to_be_held_out_has_its_words(wording: Wording) -> None:
    assert wording.origin_cards.keys() == ORIGINS.keys()
    assert set(wording.facts.parts) == set(PARTS)


def test_no_english_is_left_in_the_chinese() -> None:
    for place, text in sentences(CHINESE):
        if place != ".tag":
            assert words(text) <= KNOWN_LETTERS, place
            assert not re.search(r"[\u4e00-\u9fff]\s*[,;:!?()]", text), f"{place}: half-width punctuation"


def test_a_class_is_called_what_it_is_called_in_the_language() -> None:
    cat = Label(0, None, "cat", "猫", (), ())
    assert (ENGLISH.names(cat), CHINESE.names(cat)) == (("cat", "猫"), ("猫", "cat"))
