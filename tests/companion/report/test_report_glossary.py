"""The glossary that every page links to."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamlib.companion.report.glossary import glossary
from dreamlib.companion.report.offline import assert_offline
from dreamlib.core.errors import DataError

SOURCE = Path(__file__).parents[3] / "docs" / "glossary.md"
WORDS = (
    "ipc",
    "inpc",
    "matcher",
    "sampler",
    "container",
    "teacher",
    "synthetic-set",
    "verdict",
    "profile",
    "record",
)


def test_every_word_can_be_linked_to(tmp_path: Path) -> None:
    page = glossary(tmp_path, SOURCE)
    assert page == tmp_path / "glossary.html"
    text = page.read_text(encoding="utf-8")
    assert_offline(text)
    for word in WORDS:
        assert f'<h2 id="{word}">' in text
        assert f'<a href="#{word}">' in text
    assert text.count("<h2 ") == len(WORDS)


def test_the_committed_one_is_made_of_the_source(tmp_path: Path) -> None:
    committed = SOURCE.parents[1] / "reports" / "glossary.html"
    assert committed.read_text(encoding="utf-8") == glossary(tmp_path, SOURCE).read_text(encoding="utf-8")


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"glossary\.md"):
        glossary(tmp_path, tmp_path / "glossary.md")
