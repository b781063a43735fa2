"""Links between the documents lead somewhere."""

import pytest

from tests.docs.documents import CHINESE_README, DOCUMENTS, README, Document
from tests.running import ROOT


@pytest.mark.parametrize("document", [*DOCUMENTS, Document(ROOT / "models" / "labels" / "README.md")], ids=str)
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Document) -> None:
    for link in document.links():
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = Document((document.path.parent / name).resolve() if name else document.path)
        assert target.path.exists(), link
        if anchor:
            assert anchor in target.anchors(), link


@pytest.mark.parametrize("document", DOCUMENTS[1:], ids=str)
def test_every_document_can_be_reached_from_the_readme(document: Document) -> None:
    assert str(document) in (*README.links(), *CHINESE_README.links())


def test_the_readme_stays_short_and_begins_with_what_a_newcomer_needs() -> None:
    lines = README.text.splitlines()
    assert len(lines) <= 170
    first = "\n".join(lines[:25])
    for needed in ("scripts/serve", "curl -F file=@photo.jpg localhost:8000/predict", "label_zh", "scripts/test"):
        assert needed in first
