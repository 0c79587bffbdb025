"""Every notebook has a twin with the same cells, and takes the same parameters as the others."""

import importlib.util
from pathlib import Path

import jupytext
import nbformat
import pytest

from dreamlib.companion.plans import PLANS

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("sync", ROOT / "notebooks" / "_sync.py")
assert SPEC is not None
assert SPEC.loader is not None
SYNC = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(SYNC)
SOURCES = SYNC.sources()  # a module that lies next to a notebook is none


def test_there_is_a_notebook_for_every_item_and_no_other() -> None:
    assert {f"{path.parent.name}/{path.stem}" for path in SOURCES} == set(PLANS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_page_has_the_title_of_its_plan(source: Path) -> None:
    heading = jupytext.read(source).cells[0].source.splitlines()[0]
    title = heading.partition(": ")[2]
    assert title.lower() == PLANS[f"{source.parent.name}/{source.stem}"].title.lower()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_twins_hold_the_same_cells(source: Path) -> None:
    twin = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    ours = [
        (cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in jupytext.read(source).cells
    ]
    theirs = [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in twin.cells]
    assert ours == theirs, "run: make sync"
    assert twin.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_notebook_has_parameters_a_claim_a_verdict_and_a_checked_output(source: Path) -> None:
    cells = nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells
    assert cells[0].source.startswith("# ")
    assert "**The claim.**" in cells[0].source or "**What the paper shows.**" in cells[0].source
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code[0].metadata.tags == ["parameters"]
    assert any("session.verdict(" in cell.source for cell in code)
    checked = [cell for cell in code if "# NBVAL_CHECK_OUTPUT" in cell.source]
    assert checked, "no cell that nbval compares"
    stored = all(cell.outputs and cell.execution_count for cell in checked)
    assert stored, "no stored output to compare with: make dream && make sync"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_one_cell_holds_the_numbers_to_what_is_expected_and_is_committed_as_it_should_be(
    source: Path,
) -> None:
    cells = nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells
    checked = [cell for cell in cells if "# NBVAL_CHECK_OUTPUT" in cell.source]
    assert len(checked) == 1
    assert "session.check(" in checked[0].source
    told = "".join(output.get("text", "") for output in checked[0].outputs)
    # A page that stands on no cell and on no reported number would hold to nothing.
    assert any(word in told for word in (" within ", " reported number", "weights: "))
    for missed in ("measured, where", "nothing to compare"):
        assert missed not in told, "the committed output is one of numbers that were not expected"


def test_sync_would_change_no_source_cell(tmp_path: Path) -> None:
    for source in SOURCES:
        made = SYNC.twin(source, tmp_path / "not-there.ipynb")
        kept = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
        assert [cell.id for cell in made.cells] == [cell.id for cell in kept.cells]
