"""Either form of a notebook may be edited: notebooks/_sync.py and jupytext's own pairing bring the other in line."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType

import jupytext.cli
import nbformat
import pytest

ROOT = Path(__file__).parents[2]
CELL = "# %%\nsession.settings()\n"  # one of the cells of the notebook below


@pytest.fixture
def copied(tmp_path: Path) -> tuple[ModuleType, Path, Path]:
    """A project with one notebook, both of its files of the same age: its sync, source and twin."""
    folder = tmp_path / "notebooks" / "dream"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "notebooks" / "_sync.py", folder.parent)
    for kind in ("py", "ipynb"):
        shutil.copy(ROOT / "notebooks" / "dream" / f"table2.{kind}", folder)
        os.utime(folder / f"table2.{kind}", (1_000_000, 1_000_000))
    spec = importlib.util.spec_from_file_location("copied_sync", folder.parent / "_sync.py")
    assert spec is not None
    assert spec.loader is not None
    sync = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sync)
    return sync, folder / "table2.py", folder / "table2.ipynb"


def edit_source(source: Path) -> None:
    text = source.read_text()
    assert CELL in text
    source.write_text(text.replace(CELL, CELL + "# seen\n"))
    os.utime(source, (1_000_100, 1_000_100))


def edit_twin(twin: Path, when: int = 1_000_100) -> None:
    """As JupyterLab leaves it after a run: another text, outputs everywhere, metadata of its own."""
    notebook = nbformat.read(twin, as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.source == "session.settings()"]
    cell.source += "\n# seen"
    for number, one in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        if "NBVAL" not in one.source:
            one.outputs, one.execution_count = [nbformat.v4.new_output("stream", text="here")], number + 1
    notebook.metadata["language_info"] = {"name": "python", "version": "3.13.0"}
    notebook.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    nbformat.write(notebook, twin)
    os.utime(twin, (when, when))


def outputs(twin: Path) -> list[str]:
    """The cells that hold outputs."""
    cells = nbformat.read(twin, as_version=4).cells
    return [cell.source.splitlines()[0] for cell in cells if cell.get("outputs")]


def test_what_is_in_line_stays_as_it_is(copied: tuple[ModuleType, Path, Path]) -> None:
    sync, source, twin = copied
    before = source.read_bytes(), twin.read_bytes()
    assert sync.main(["--check"]) == 0
    assert sync.main([]) == 0
    assert (source.read_bytes(), twin.read_bytes()) == before


def test_an_edit_of_the_source_reaches_its_twin(copied: tuple[ModuleType, Path, Path]) -> None:
    sync, source, twin = copied
    edit_source(source)
    edited = source.read_text()
    assert sync.main(["--check"]) == 1
    assert "# seen" not in twin.read_text()
    assert sync.main([]) == 0
    assert source.read_text() == edited
    assert 'session.settings()\\n",\n    "# seen' in twin.read_text()
    assert outputs(twin) == ["# NBVAL_CHECK_OUTPUT"]


def test_an_edit_of_the_twin_reaches_its_source(copied: tuple[ModuleType, Path, Path]) -> None:
    sync, source, twin = copied
    wanted = source.read_text().replace(CELL, CELL + "# seen\n")
    ids = [cell.id for cell in nbformat.read(twin, as_version=4).cells]
    edit_twin(twin)
    assert sync.main(["--check"]) == 1
    assert sync.main([]) == 0
    assert source.read_text() == wanted  # the header is its own, and nothing of the run is in it
    assert outputs(twin) == ["# NBVAL_CHECK_OUTPUT"]
    assert [cell.id for cell in nbformat.read(twin, as_version=4).cells] == ids
    assert sync.main(["--check"]) == 0


def test_of_two_files_that_git_wrote_together_the_source_is_followed(
    copied: tuple[ModuleType, Path, Path],
) -> None:
    sync, source, twin = copied
    before = source.read_bytes(), twin.read_bytes()
    edit_twin(twin, when=1_000_001)
    sync.main([])
    assert (source.read_bytes(), twin.read_bytes()) == before


def test_an_output_that_nbval_does_not_compare_is_not_committed(
    copied: tuple[ModuleType, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sync, _, twin = copied
    notebook = nbformat.read(twin, as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.source == "session.settings()"]
    cell.outputs = [nbformat.v4.new_output("stream", text="here")]
    nbformat.write(notebook, twin)
    assert sync.main(["--check"]) == 1
    told = capsys.readouterr()
    assert told.out.strip() == "notebooks/dream/table2.ipynb"
    assert "make sync" in told.err


@pytest.mark.filterwarnings("ignore")  # what jupytext's command warns of is not ours
def test_jupytexts_own_pairing_goes_either_way(copied: tuple[ModuleType, Path, Path]) -> None:
    """JupyterLab saves the other file as this command does: the pairing stands in pyproject.toml alone."""
    sync, source, twin = copied
    wanted = source.read_text().replace(CELL, CELL + "# seen\n")
    edit_twin(twin)
    jupytext.cli.jupytext(["--sync", str(twin)])
    assert source.read_text().partition("# %%")[2] == wanted.partition("# %%")[2]
    os.utime(twin, (1_000_200, 1_000_200))
    source.write_text(source.read_text().replace("# seen", "# seen again"))
    jupytext.cli.jupytext(["--sync", str(source)])
    assert "# seen again" in twin.read_text()
    assert sync.cells(nbformat.read(twin, as_version=4)) == sync.cells(jupytext.read(source))
