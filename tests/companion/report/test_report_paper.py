"""A paper as a PDF: what its tables become, and what is said where something is not there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from dreamlib.companion.report import layouts
from dreamlib.companion.report.paper import WIDE, bind, printable
from dreamlib.core.errors import DataError, DreamlibError

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "reports" / "paper" / "dream" / "table1.ipynb"


def table_of(page: Path) -> str:
    """The first accuracy table of an executed notebook, as it stands there."""
    for cell in nbformat.read(page, as_version=4).cells:
        for output in cell.get("outputs", ()):
            if 'class="measured best"' in output.get("data", {}).get("text/html", ""):
                return str(output.data["text/html"])
    raise AssertionError(page)


def words(markup: str) -> list[str]:
    """All that a reader reads, word by word and comma by comma, without style sheets."""
    soup = BeautifulSoup(markup, "html.parser")
    for style in soup("style"):
        style.decompose()
    # Next to a comma a link ends, or it does not: a PDF has none.
    return soup.get_text(" ").replace("\N{NO-BREAK SPACE}", " ").replace(",", " , ").split()


def test_not_a_word_of_a_table_is_lost() -> None:
    markup = table_of(PAGE)
    shown, folded, wide = printable(markup)
    assert sorted(words(shown) + words(folded)) == sorted(words(markup))
    assert wide
    assert "<details>" not in shown
    assert "What every cell cost" in folded


def test_long_evidence_stays_in_its_place() -> None:
    """On a page it is folded away in its place; a PDF has nothing to unfold."""
    places = "; ".join(f"Digits, IPC {ipc}: +1.0 points over 3 sets" for ipc in range(1, 9))
    shown, folded, _ = printable(
        layouts.verdicts("The claim", "quick", [("a is best", True, places)], "the rule")
    )
    row = BeautifulSoup(shown, "html.parser").select("tbody tr")[0]
    assert [cell.get_text() for cell in row("td")] == ["a is best", "holds", places]
    assert places not in folded
    assert "the rule" in folded


def test_looks_become_tags() -> None:
    soup = BeautifulSoup(printable(table_of(PAGE))[0], "html.parser")
    best = [mark.get_text() for mark in soup("mark")]
    assert best
    assert all(mark.b is not None for mark in soup("mark"))
    assert not soup("style")
    groups = [cell for cell in soup("td") if cell.get("colspan") and cell.b]
    assert [cell.get_text() for cell in groups] == ["Table 1 of the paper", "coresets"]
    whole = {cell["colspan"] for cell in groups}
    assert whole == {str(len(soup("tr")[1]("th")))}  # over every column
    assert all("\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}" in mark.get_text() for mark in soup("mark"))


@pytest.mark.parametrize(("columns", "wide"), [(WIDE, False), (WIDE + 1, True)])
def test_a_table_with_many_columns_is_wide(columns: int, wide: bool) -> None:
    frame = pd.DataFrame({f"c{number}": [1.0] for number in range(columns)})
    shown, folded, found = printable(layouts.styled(frame).text)
    assert found is wide
    assert folded == ""
    assert shown.count("text-align: right") == columns


def test_no_page_says_which_command_makes_one(tmp_path: Path) -> None:
    (tmp_path / "notebooks" / "dm").mkdir(parents=True)
    with pytest.raises(DataError, match="make dm PROFILE=cpu"):
        bind(tmp_path, "dm", "cpu", notebooks=tmp_path / "notebooks")


@pytest.mark.parametrize("tool", ["pypandoc", "typst"])
def test_a_tool_that_is_not_there_is_named(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypandoc", object())
    monkeypatch.setitem(sys.modules, "typst", object())
    monkeypatch.setitem(sys.modules, tool, None)  # importing it fails
    page = tmp_path / "paper" / "dream" / PAGE.name
    page.parent.mkdir(parents=True)
    page.write_bytes(PAGE.read_bytes())
    with pytest.raises(
        DreamlibError, match=rf"{tool} is not installed\n  try: pip install 'dreamlib\[paper\]'"
    ):
        bind(tmp_path, "dream", "paper", notebooks=ROOT / "notebooks")
    assert not (tmp_path / "paper" / "dream.pdf").exists()


@pytest.mark.processes
def test_a_page_is_bound_and_what_is_missing_is_listed(tmp_path: Path) -> None:
    """Where make paper has been used; the workflow of the site uses it."""
    pytest.importorskip("pypandoc")
    pytest.importorskip("typst")
    page = tmp_path / "paper" / "dream" / PAGE.name
    page.parent.mkdir(parents=True)
    page.write_bytes(PAGE.read_bytes())
    shutil.copytree(PAGE.parent / "figures", page.parent / "figures")
    made = bind(tmp_path, "dream", "paper", notebooks=ROOT / "notebooks", reading="Small.")
    first = made.read_bytes()
    assert made == tmp_path / "paper" / "dream.pdf"
    assert first.startswith(b"%PDF")
    assert (
        bind(tmp_path, "dream", "paper", notebooks=ROOT / "notebooks", reading="Small.").read_bytes() == first
    )
