"""A notebook that is opened in Jupyter, changed and run: a kernel in its own folder, and neither make nor papermill."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from dreamlib.companion.report.notebook import ThisInterpreter

pytestmark = [pytest.mark.processes, pytest.mark.trains]

ROOT = Path(__file__).parents[2]


def test_a_notebook_runs_in_its_own_folder_with_a_changed_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the library is this one, wherever another is installed
    notebook = nbformat.read(ROOT / "notebooks" / "dream" / "table1.ipynb", as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    typed = {"methods": '"random"', "ipcs": '"1"', "seeds": "1", "workers": "1"}
    typed |= {name: repr(str(tmp_path / name)) for name in ("results", "reports")}
    lines = parameters.source.splitlines()
    for name, value in typed.items():
        (place,) = [number for number, line in enumerate(lines) if line.startswith(f"{name}:")]
        lines[place] = f"{name} = {value}"
    parameters.source = "\n".join(lines)

    folder = {"metadata": {"path": str(ROOT / "notebooks" / "dream")}}
    NotebookClient(notebook, timeout=300, kernel_manager_class=ThisInterpreter, resources=folder).execute()

    (record,) = (tmp_path / "results" / "quick").glob("*.json")
    about = json.loads(record.read_text())
    assert (about["method"], about["ipc"], about["seed"]) == ("random", 1, 0)
    shown = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "Random" in shown, "the row that was asked for"
    assert "expectations are of profile quick with its own parameters: nothing to compare here" in shown
    assert "Random" in (tmp_path / "reports" / "quick" / "dream" / "table1.md").read_text()
