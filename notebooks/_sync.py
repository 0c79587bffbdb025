"""Keep the two forms of every notebook in line: the .py source, and the .ipynb twin that Jupyter opens.

Either may be edited; where their cells differ, the one that was saved last is followed. Cells of a twin that are marked
``# NBVAL_CHECK_OUTPUT`` get the output of the last quick run, which is what nbval compares with, or keep what they have
where there was none; the others carry no output. ``--check`` changes nothing, and fails where something would change.
"""

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat

HERE = Path(__file__).parent
MARK = "# NBVAL_CHECK_OUTPUT"
# What a .py file keeps of a notebook, as [tool.jupytext] in pyproject.toml says it to JupyterLab.
KEPT = {"notebook_metadata_filter": "kernelspec,-jupytext", "cell_metadata_filter": "tags,-all"}
AT_ONCE = 2.0  # seconds between two files that were written together, by git or by JupyterLab


def twin(source: Path, executed: Path) -> nbformat.NotebookNode:
    """The notebook of ``source``, its checked cells with the outputs of the last quick run, or as they were."""
    notebook = jupytext.read(source)
    known = {}
    for place in (source.with_suffix(".ipynb"), executed):  # the latter wins
        if place.exists():
            cells = nbformat.read(place, as_version=4).cells
            marked = [cell for cell in cells if cell.cell_type == "code" and MARK in cell.source]
            known |= {cell.source: cell.outputs for cell in marked if cell.outputs}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem}-{number}"  # stable, so that a change of one cell is a diff of one cell
        if cell.cell_type == "code" and cell.source in known:
            cell.outputs = known[cell.source]
            cell.execution_count = number  # nbval compares with the output of a cell only if it was run
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    notebook.nbformat_minor = 5
    return notebook


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str, list[str]]]:
    """What a notebook says: kind, text and tags of every cell."""
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]


def edited(source: Path) -> bool:
    """Whether the twin was edited after its source: it says something else, and was saved later."""
    other = source.with_suffix(".ipynb")
    if not other.exists() or other.stat().st_mtime <= source.stat().st_mtime + AT_ONCE:
        return False
    return cells(nbformat.read(other, as_version=4)) != cells(jupytext.read(source))


def source_of(source: Path) -> str:
    """What ``source`` has to hold for its twin: the twin's cells under its own header."""
    notebook = jupytext.read(source)
    notebook.cells = nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells
    notebook.metadata["jupytext"] = KEPT
    return str(jupytext.writes(notebook, fmt="py:percent"))


def sources() -> list[Path]:
    """The notebooks: files that say so in jupytext's header. The others are modules that lie next to them."""
    return sorted(
        path for path in HERE.glob("*/*.py") if path.read_text(encoding="utf-8").startswith("# ---\n")
    )


def main(words: list[str] | None = None) -> int:
    """Bring all notebooks in line, or say which are not; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail where something would change"
    )
    check = parser.parse_args(words).check
    stale = []
    for source in sources():
        other = source.with_suffix(".ipynb")
        if edited(source):
            stale.append(source)
            if not check:
                source.write_text(source_of(source), encoding="utf-8")
        executed = HERE.parent / "reports" / "quick" / source.parent.name / other.name
        made = nbformat.writes(twin(source, other if check else executed)) + "\n"
        if not other.exists() or other.read_text(encoding="utf-8") != made:
            stale.append(other)
            if not check:
                other.write_text(made, encoding="utf-8")
    for path in stale:
        print(path.relative_to(HERE.parent))
    if check and stale:
        print("not in line, or with outputs of cells that are not checked; run: make sync", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
