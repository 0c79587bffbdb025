"""Make the .ipynb twins from the .py sources.

Cells marked ``# NBVAL_CHECK_OUTPUT`` get the output of the last quick run, which is what nbval compares with; the
others carry none.
"""

from pathlib import Path

import jupytext
import nbformat

HERE = Path(__file__).parent
MARK = "# NBVAL_CHECK_OUTPUT"


def twin(source: Path, executed: Path) -> nbformat.NotebookNode:
    """The notebook of ``source``, with the outputs of its checked cells where a quick run has left them."""
    notebook = jupytext.read(source)
    known = {}
    if executed.exists():
        cells = nbformat.read(executed, as_version=4).cells
        known = {
            cell.source: cell.outputs for cell in cells if cell.cell_type == "code" and MARK in cell.source
        }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem}-{number}"  # stable, so that a change of one cell is a diff of one cell
        if cell.cell_type == "code" and cell.source in known:
            cell.outputs = known[cell.source]
            cell.execution_count = number  # nbval compares with the output of a cell only if it was run
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    notebook.nbformat_minor = 5
    return notebook


def main() -> None:
    """Write every twin."""
    for source in sorted(HERE.glob("*/*.py")):
        executed = HERE.parent / "reports" / "quick" / source.parent.name / f"{source.stem}.ipynb"
        nbformat.write(twin(source, executed), source.with_suffix(".ipynb"))
        print(source.with_suffix(".ipynb").relative_to(HERE.parent))


if __name__ == "__main__":
    main()
