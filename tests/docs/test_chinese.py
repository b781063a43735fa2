"""The Chinese pages say what the English ones say: as many paragraphs, the same commands, codes, figures and links.

Whoever changes an English page is told here what the Chinese one lacks.
"""

import re
from pathlib import Path

import pytest

from tests.docs.documents import FENCED, Document
from tests.running import ROOT

PAIRS = [
    (Document(ROOT / english), Document(ROOT / chinese))
    for english, chinese in (("README.md", "README.zh-CN.md"), ("docs/api.md", "docs/zh/api.md"))
]
both = pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=[str(english) for english, _ in PAIRS])
IN_CHINESE = {one.path: other.path for one, other in PAIRS}
WORDS = {"empty": "空"}  # of the defaults of settings
HAN = r"[\u4e00-\u9fff]"


def sections(document: Document) -> list[str]:
    """What stands under each heading, code left out."""
    return re.split(r"^#+ .*$", document.prose, flags=re.MULTILINE)


def blocks_of(section: str) -> list[str]:
    """Paragraphs, lists and tables."""
    return [block for block in re.split(r"\n\s*\n", section.strip()) if block]


def codes(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def figures(text: str) -> set[str]:
    """The numbers outside of code and links."""
    plain = re.sub(r"`[^`\n]+`|\]\([^)]*\)|<[^>]*>", " ", text)
    return set(re.findall(r"\d+(?:[.,]\d+)*", plain))


def tables(document: Document) -> list[list[list[str]]]:
    found = re.findall(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\n)+)", document.text, re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows.splitlines()] for rows in found]


def code_of(document: Document) -> list[tuple[str, str]]:
    """Every fenced block without the comments of a shell, which are in the reader's language."""
    return [(language, re.sub(r"\s+# .*", "", code)) for language, code in FENCED.findall(document.text)]


@both
def test_each_leads_to_the_other_from_its_first_lines(english: Document, chinese: Document) -> None:
    for here, there in ((english, chinese), (chinese, english)):
        (link,) = re.findall(r"\]\(([^)]+)\)", "\n".join(here.text.splitlines()[:4]))
        assert (here.path.parent / link).resolve() == there.path


@both
def test_the_examples_are_the_same(english: Document, chinese: Document) -> None:
    assert code_of(chinese) == code_of(english)


@both
def test_headings_and_paragraphs_are_as_many(english: Document, chinese: Document) -> None:
    levels = [re.findall(r"^(#+) ", one.prose, re.MULTILINE) for one in (english, chinese)]
    assert levels[0] == levels[1]
    for number, (one, other) in enumerate(zip(sections(english), sections(chinese), strict=True)):
        assert len(blocks_of(one)) == len(blocks_of(other)), f"section {number}: {other[:60]}"
        assert one.count("\n* ") == other.count("\n* "), f"section {number}: {other[:60]}"


@both
def test_codes_and_figures_are_the_same_in_each_section(english: Document, chinese: Document) -> None:
    for one, other in zip(sections(english), sections(chinese), strict=True):
        assert codes(other) == codes(one), other[:60]
        assert figures(other) == figures(one), other[:60]


@both
def test_tables_have_the_same_rows(english: Document, chinese: Document) -> None:
    assert len(tables(english)) == len(tables(chinese))
    for ours, theirs in zip(tables(chinese), tables(english), strict=True):
        assert len(ours) == len(theirs), f"{len(theirs)} rows in English: {theirs[0][0]} …"
        for here, there in zip(ours, theirs, strict=True):
            assert codes(" ".join(here)) == codes(" ".join(there)), here[0]
            assert figures(" ".join(here)) == figures(" ".join(there)), here[0]


def test_the_settings_have_the_same_defaults() -> None:
    english, chinese = PAIRS[0]
    defaults = [[name, WORDS.get(default, default)] for name, default, _ in english.rows("setting")]
    assert [row[:2] for row in chinese.rows("设置")] == defaults


@both
def test_links_lead_to_the_same_pages_in_chinese_where_there_are_some(english: Document, chinese: Document) -> None:
    def targets(document: Document) -> set[Path | str]:
        links = document.links()[1:]  # the first leads to the other language
        paths = [(document.path.parent / link.partition("#")[0]).resolve() for link in links if "://" not in link]
        anchored = {link for link in links if link.startswith("#")}
        return {path for path in paths if path.is_file()} | {f"{len(anchored)} places on this page"}

    expected = {IN_CHINESE.get(one, one) if isinstance(one, Path) else one for one in targets(english)}
    assert targets(chinese) == expected


@both
def test_it_is_chinese(english: Document, chinese: Document) -> None:
    """Paragraphs stand on one line: a break between two Chinese characters would be drawn as a space."""
    assert not re.search(rf"{HAN}[，。；：、]?\n{HAN}", chinese.prose)
    assert not re.search(rf"{HAN}[,;:?!]|[,;:?!]{HAN}", re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)", "", chinese.prose))
    for section in sections(chinese):
        for block in blocks_of(section):
            assert re.search(HAN, block) or block.startswith("[English]"), block
    assert len(re.findall(HAN, chinese.prose)) > len(english.prose) / 6
