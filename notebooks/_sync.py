"""Make the .ipynb twins from the .py sources.

Cells marked ``# NBVAL_CHECK_OUTPUT`` get the output of the last quick run, which is what nbval compares with, or keep
what they have where there was none; the others carry no output.
"""

from pathlib import Path

import jupytext
import nbformat

HERE = Path(__file__).parent
MARK = "# NBVAL_CHECK_OUTPUT"


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


def sources() -> list[Path]:
    """The notebooks: files that say so in jupytext's header. The others are modules that lie next to them."""
    return sorted(
        path for path in HERE.glob("*/*.py") if path.read_text(encoding="utf-8").startswith("# ---\n")
    )


def main() -> None:
    """Write every twin."""
    for source in sources():
        executed = HERE.parent / "reports" / "quick" / source.parent.name / f"{source.stem}.ipynb"
        nbformat.write(twin(source, executed), source.with_suffix(".ipynb"))
        print(source.with_suffix(".ipynb").relative_to(HERE.parent))


if __name__ == "__main__":
    main()
