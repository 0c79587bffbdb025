from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nbformat
import papermill
import pytest

from dreamlib.companion.report.notebook import ThisInterpreter, run_notebook, tidy
from dreamlib.core.errors import DataError, DreamlibError, StoreError, UnknownName

pytestmark = pytest.mark.processes

SOURCE = """# ---
# jupyter:
#   kernelspec:
#     display_name: Some other kernel
#     language: python
#     name: not-installed-anywhere
# ---

# %% [markdown]
# # A tïtle

# %% tags=["parameters"]
ipc: int = 1
profile: str = "quick"

# %%
import os
import sys
import tempfile
print(sys.executable)
print(os.getcwd())

# %%
# Where it may fail
if ipc == 13:
    raise ValueError("unlucky ±")
print("ipc", ipc)

# %%
if profile == "killed":
    os._exit(9)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "notebooks" / "dream" / "table1.py"
    file.parent.mkdir(parents=True)
    file.write_text(SOURCE, encoding="utf-8")
    return file


def printed(path: Path) -> str:
    notebook = nbformat.read(path, as_version=4)
    return "".join(one.text for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs)


def run(source: Path, output: Path, **parameters: object) -> Path:
    return run_notebook(source, output, parameters, progress=False, root=source.parents[2])


def test_a_run_and_then_a_failed_one(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "reports" / "quick" / "dream" / "table1.ipynb"
    assert run(source, output, ipc=10) == output
    assert printed(output).splitlines() == [sys.executable, str(tmp_path), "ipc 10"]
    notebook = nbformat.read(output, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec == {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    assert notebook.metadata.papermill["input_path"] == "notebooks/dream/table1.py"
    assert notebook.metadata.papermill["output_path"] == "reports/quick/dream/table1.ipynb"
    assert notebook.metadata.papermill["parameters"] == {"ipc": 10}
    assert os.fspath(tmp_path) not in json.dumps(notebook.metadata)
    good = output.read_bytes()

    with pytest.raises(DreamlibError, match="unlucky ±") as caught:
        run(source, output, ipc=13)
    assert "cell [4] (# Where it may fail) failed with ValueError" in caught.value.message
    failed = output.with_suffix(".failed.ipynb")
    assert str(failed) in caught.value.hint
    assert output.read_bytes() == good
    assert "unlucky" in failed.read_text(encoding="utf-8")
    assert nbformat.read(failed, as_version=4).metadata.papermill["exception"] is True

    with pytest.raises(DreamlibError, match="process"):
        run(source, output, profile="killed")
    assert output.read_bytes() == good

    run(source, output, ipc=10)
    assert not failed.exists()
    assert sorted(path.name for path in output.parent.iterdir()) == ["table1.ipynb"]


def test_unknown_parameter(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "table1.ipynb"
    with pytest.raises(UnknownName, match="unknown notebook parameter 'ipcc'; valid: ipc, profile") as caught:
        run(source, output, ipcc=10)
    assert "ipc" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["notebooks"]
    source.write_text("# %%\nprint(1)\n")
    with pytest.raises(UnknownName, match="no cell is tagged parameters"):
        run(source, output, ipc=10)


def test_bad_places(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no notebook"):
        run(tmp_path / "none.py", tmp_path / "a" / "b.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        run(tmp_path / "broken.ipynb", tmp_path / "a" / "b.ipynb")
    (tmp_path / "reports").write_text("")
    with pytest.raises(StoreError, match="reports"):
        run(source, tmp_path / "reports" / "quick" / "table1.ipynb")


def test_what_a_killed_run_left_is_swept_up(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "reports" / "table1.ipynb"
    process = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    gone = output.parent / f".table1-run{int(process.stdout)}-abc"
    ours = output.parent / f".table1-run{os.getpid()}-abc"
    for folder in (gone, ours):
        folder.mkdir(parents=True)
    run(source, output)
    assert sorted(path.name for path in output.parent.iterdir()) == [ours.name, "table1.ipynb"]


def test_interrupting_a_run_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **kwargs: object) -> object:
        raise KeyboardInterrupt

    output = run(source, tmp_path / "reports" / "table1.ipynb")
    good = output.read_bytes()
    monkeypatch.setattr(papermill, "execute_notebook", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(source, output)
    assert output.read_bytes() == good
    assert [path.name for path in output.parent.iterdir()] == ["table1.ipynb"]


def test_a_slow_cell(tmp_path: Path) -> None:
    source = tmp_path / "a" / "b" / "slow.py"
    source.parent.mkdir(parents=True)
    source.write_text("# %%\nimport time\ntime.sleep(60)\n")
    with pytest.raises(DreamlibError, match="longer than 1 s"):
        run_notebook(source, tmp_path / "slow.ipynb", {}, timeout=1, progress=False, root=tmp_path)
    assert not (tmp_path / "slow.ipynb").exists()


def test_a_kernel_that_does_not_start_is_tried_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = papermill.execute_notebook, []

    def shaky(*args: object, **kwargs: object) -> object:
        tries.append(1)
        if len(tries) < 2:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return real(*args, **kwargs)

    monkeypatch.setattr(papermill, "execute_notebook", shaky)
    run(source, tmp_path / "a.ipynb")
    assert len(tries) == 2

    def never(*args: object, **kwargs: object) -> object:
        tries.append(1)
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(papermill, "execute_notebook", never)
    with pytest.raises(DreamlibError, match="could not be run"):
        run(source, tmp_path / "b.ipynb")
    assert len(tries) == 5


def test_the_output_depends_on_the_text_alone(source: Path, tmp_path: Path) -> None:
    ids = [
        [cell["id"] for cell in nbformat.read(run(source, tmp_path / name), as_version=4).cells]
        for name in ("a.ipynb", "b.ipynb")
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])


def test_several_at_once(source: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / f"{number}.ipynb" for number in range(4)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(run, [source] * 4, outputs)) == outputs
    assert all("ipc 1" in printed(output) for output in outputs)


def test_tidy() -> None:
    def stream(text: str, name: str = "stderr") -> nbformat.NotebookNode:
        return nbformat.v4.new_output("stream", name=name, text=text)

    widget = nbformat.v4.new_output(
        "display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "bar"}
    )
    lonely = nbformat.v4.new_output(
        "display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    )
    cell = nbformat.v4.new_code_cell(
        "1",
        outputs=[
            stream("cells:   0%|     | 0/3\r"),
            stream("cells:  33%|#    | 1/3\rcells: 100%|#####| 3/3\n"),
            stream("a real warning\n"),
            stream("step 1\rstep 2\rstep 3\nlast\x1b[A\x1b[31m red\x1b[0m\n", "stdout"),
            widget,
            lonely,
        ],
        metadata={"papermill": {"duration": 1}, "tags": []},
    )
    notebook = tidy(nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}}))
    outputs = notebook.cells[0].outputs
    assert [one.output_type for one in outputs] == ["stream", "stream", "display_data"]
    assert outputs[0].text == "a real warning\n"
    assert outputs[1].text == "step 3\nlast\x1b[31m red\x1b[0m\n"
    assert list(outputs[2].data) == ["text/plain"]
    assert "papermill" not in notebook.cells[0].metadata
    assert "widgets" not in notebook.metadata


def test_the_folder_of_a_kernel_whose_run_was_killed_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = f"run{ended.pid}-x", f"run{os.getpid()}-x", "mine"
    dead, living, other = (tmp_path / f"dreamlib-{name}" for name in names)
    for folder in (dead, living, other):
        folder.mkdir()
    ThisInterpreter().cleanup_connection_file()
    assert not dead.exists()
    assert living.exists()
    assert other.exists()


def test_a_temporary_folder_too_long_for_a_socket_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux takes 107 bytes, macOS 103."""
    long = tmp_path / ("a cluster's own folder for one job" * 4)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    manager = ThisInterpreter()
    try:
        assert manager.transport != "ipc" or len(os.fsencode(f"{manager.ip}-5")) <= 103
        assert not list(long.iterdir())
    finally:
        manager.cleanup_connection_file()
    assert not Path(manager.connection_file).parent.exists()


def test_tidy_keeps_every_figure_and_style_once() -> None:
    new = nbformat.v4.new_output
    about = {"dreamlib": {"figure": "figures/table1-a.svg", "alt": "DM [a_b]: $1 to 2"}}
    sheet = "<style>\n.dl-block { margin: 0 }\n</style>\n"
    cells = [
        nbformat.v4.new_code_cell(
            "figure",
            outputs=[
                new("display_data", {"image/svg+xml": "<svg/>", "text/plain": "DM"}, metadata=about),
                new("display_data", {"image/png": "AAAA", "text/plain": "a figure of someone else"}),
            ],
        ),
        nbformat.v4.new_code_cell(
            "tables",
            outputs=[
                new("display_data", {"text/html": f"{sheet}<b>1</b>{sheet}", "text/plain": "1"}),
                new("display_data", {"text/html": f"{sheet}<b>2</b>", "text/plain": "2"}),
            ],
        ),
    ]
    figure, tables = tidy(nbformat.v4.new_notebook(cells=cells)).cells
    assert figure.outputs[0].data == {"text/markdown": "![DM a b: 1 to 2](figures/table1-a.svg)"}
    assert figure.outputs[0].metadata == {}
    assert figure.outputs[1].data == {"image/png": "AAAA", "text/plain": "a figure of someone else"}
    assert [one.data for one in tables.outputs] == [
        {"text/html": f"{sheet}<b>1</b>"},
        {"text/html": "<b>2</b>"},
    ]


def test_what_comes_late_can_stand_at_the_top(tmp_path: Path) -> None:
    source = tmp_path / "notebooks" / "dream" / "table1.py"
    source.parent.mkdir(parents=True)
    later = """
# %%
from IPython.display import Markdown, display
place = display(Markdown("not yet"), display_id="dreamlib-verdicts")

# %%
place.update(Markdown("**holds**"))
"""
    source.write_text(SOURCE.partition("# %%\nimport os")[0] + later, encoding="utf-8")
    kept = nbformat.read(run(source, tmp_path / "out" / "table1.ipynb"), as_version=4)
    shown = [
        [one.data["text/markdown"] for one in cell.outputs] for cell in kept.cells if cell.cell_type == "code"
    ]
    assert shown[-2:] == [["**holds**"], []]
