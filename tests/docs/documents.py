"""The README and ``docs/`` taken apart: prose, code, commands, tables, headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.running import ROOT

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Document:
    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """Everything outside of fenced code."""
        return FENCED.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        return [code for name, code in FENCED.findall(self.text) if name == language]

    def commands(self) -> Iterator[str]:
        """What a reader would type after each ``$``, without the comment behind it."""
        for block in self.blocks("console"):
            for line in block.splitlines():
                if line.startswith("$ "):
                    yield re.sub(r"\s+# .*", "", line[2:]).strip()

    def spans(self) -> list[str]:
        """Inline code."""
        return re.findall(r"`([^`\n]+)`", self.prose)

    def anchors(self) -> set[str]:
        """What its headings are called in links, as GitHub makes it."""
        headings = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    def rows(self, first: str) -> list[list[str]]:
        """The rows of the table whose first column is headed ``first``."""
        table = re.search(rf"^\| {re.escape(first)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", self.text, re.MULTILINE)
        assert table, f"{self} has no table of {first}"
        return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


README = Document(ROOT / "README.md")
API, GPU, OPERATIONS = (Document(ROOT / "docs" / name) for name in ("api.md", "gpu.md", "operations.md"))
CHINESE_README = Document(ROOT / "README.zh-CN.md")
DOCUMENTS = [README, CHINESE_README, *(Document(path) for path in sorted((ROOT / "docs").rglob("*.md")))]


def codes_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
