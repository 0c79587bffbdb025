"""Run one notebook, in a fresh process, with checked parameters; a failed run never replaces a good one."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError, PapermillMissingParameterException

from ...core.atomic import cannot_write, write_atomically
from ...core.errors import DataError, DreamlibError, unknown
from ...core.places import project_root

SOCKETS = "dreamlib-run"  # where a kernel is talked to: folders of this name and a process number
LONGEST = 103  # bytes of a socket's path: 108 on Linux, 104 on macOS, with the zero at its end
SHORT = "/tmp"  # where sockets lie when the temporary folder is too long for them
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
STARTS = 3  # attempts at starting a kernel before giving up


class ThisInterpreter(AsyncKernelManager):
    """A kernel that is the very Python that runs us, whatever kernels are installed on this machine.

    Talks over Unix sockets in a private folder where there are any: TCP ports are chosen before they are
    bound, and notebooks started side by side can choose the same one.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command of the kernel; without the debugger's warning, which would land in the terminal."""
        # tqdm.auto asks for a widget that would not live in a stored page anyway; its plain bar is what is wanted.
        quiet = "ignore:IProgress not found"
        warnings = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), quiet]))
        return KernelSpec(
            argv=[sys.executable, "-m", "dreamlib.companion.kernel", "-f", "{connection_file}"],
            display_name=KERNEL["display_name"],
            language=KERNEL["language"],
            env={"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONWARNINGS": warnings},
        )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        usual = tempfile.gettempdir()
        for folder in {usual, SHORT}:
            for old in Path(folder).glob(f"{SOCKETS}*"):
                if not _alive(old):  # left by a run that was killed
                    shutil.rmtree(old, ignore_errors=True)
        prefix = f"{SOCKETS}{os.getpid()}-"
        # A socket's path is short by law of the system, and a cluster's temporary folder may be long.
        short = len(os.fsencode(Path(usual, f"{prefix}12345678", "k-5"))) <= LONGEST
        there = short or os.access(SHORT, os.W_OK)
        self._folder = tempfile.mkdtemp(prefix=prefix, dir=None if short or not there else SHORT)
        self.connection_file = str(Path(self._folder, "kernel.json"))
        if there and platform.system() != "Windows":
            self.transport = "ipc"
            self.ip = str(Path(self._folder, "k"))

    def cleanup_connection_file(self) -> None:
        """Remove the connection file and its private folder."""
        super().cleanup_connection_file()
        shutil.rmtree(self._folder, ignore_errors=True)


def run_notebook(
    source: str | Path,
    output: str | Path,
    parameters: Mapping[str, Any],
    *,
    kernel: str = "python3",
    timeout: int | None = None,
    progress: bool = True,
    root: str | Path | None = None,
) -> Path:
    """Execute a notebook with these parameters and keep the result as `output`.

    Runs in the project's root folder, in a fresh process of the interpreter that runs us; its garbage is collected from
    :meth:`.Session.of_notebook` on. The result appears all at once: until the last cell has passed, `output` is the
    last good version. A failed run is kept next to it as ``<name>.failed.ipynb`` for reading, until a run succeeds.

    Parameters
    ----------
    source : str or Path
        A ``.py`` file in percent format, or an ``.ipynb``; its first code cell is tagged ``parameters``.
    output : str or Path
        The ``.ipynb`` to write.
    parameters : dict
        Name to plain value; every name must be set in the ``parameters`` cell.
    kernel : str
        Name of the kernel stored in the result; what runs is always this interpreter.
    timeout : int, optional
        Seconds a single cell may take; None is no limit.
    progress : bool
        Show a progress bar over cells on the terminal.
    root : str or Path, optional
        Working directory of the run; the project's root by default.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    UnknownName
        A parameter the notebook does not have; names the valid ones.
    DataError
        `source` is missing or is no notebook.
    StoreError
        The folder of `output` cannot be written.
    DreamlibError
        A cell failed, took too long or killed its process; names the cell and the error.
    """
    source, output = Path(source), Path(output)
    folder = Path(root) if root is not None else project_root()
    failed = output.with_suffix(".failed.ipynb")
    notebook = _read(source, kernel)
    _check(notebook, parameters, source)
    with _scratch(output) as scratch:
        given, ran = scratch / "in.ipynb", scratch / "out.ipynb"
        nbformat.write(notebook, given)
        error = _execute(given, ran, parameters, folder, kernel, timeout, progress)
        if ran.exists():
            result = tidy(nbformat.read(ran, as_version=4))
            _place(result, source, output, folder, failed=error is not None)
            target = output if error is None else failed
            write_atomically(target, lambda temporary: nbformat.write(result, temporary))
    if error is not None:
        raise _explain(error, source, failed, timeout) from error
    failed.unlink(missing_ok=True)
    return output


def _read(source: Path, kernel: str) -> nbformat.NotebookNode:
    """The notebook with a kernel papermill accepts, no outputs, and cell ids made of the text alone."""
    if not source.is_file():
        raise DataError(f"no notebook {source}", f"ls {source.parent}")
    try:
        notebook = jupytext.read(source)
    except (ValueError, OSError) as error:
        raise DataError(f"{source} cannot be read as a notebook: {error}") from error
    notebook = nbformat.from_dict(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL | {"name": kernel}, "language_info": {"name": "python"}}
    )
    for position, cell in enumerate(notebook.cells):
        cell["id"] = hashlib.sha256(f"{position} {cell.source}".encode()).hexdigest()[:8]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """A folder for half-made files, in the folder of `output`: papermill saves after every cell."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        for old in output.parent.glob(f".{output.stem}-run*-*"):
            if not _alive(old):  # left by a run that was killed
                shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.stem}-run{os.getpid()}-"))
    except OSError as error:
        raise cannot_write(output, error) from error
    try:
        yield folder
    except OSError as error:
        raise cannot_write(output, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(scratch: Path) -> bool:
    """Whether the process that made a scratch folder still runs, as far as this machine can tell."""
    process = re.search(r"-run(\d+)-", scratch.name)
    if platform.system() == "Windows":  # there, signal 0 is Ctrl-C
        return True
    try:
        os.kill(int(process.group(1)) if process else 0, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def check_parameters(source: str | Path, parameters: Mapping[str, Any]) -> None:
    """Raise what :func:`run_notebook` would raise for these parameters, before anything is computed."""
    _check(_read(Path(source), KERNEL["name"]), parameters, Path(source))


def _check(notebook: nbformat.NotebookNode, parameters: Mapping[str, Any], source: Path) -> None:
    """Papermill only warns about a name it does not know, and runs on with the default: refuse it instead."""
    valid = papermill.inspect_notebook(notebook)
    for name in parameters:
        if name not in valid:
            raise unknown(
                "notebook parameter", name, valid or ["(none: no cell is tagged parameters)"], f" ({source})"
            )


def _execute(
    given: Path,
    ran: Path,
    parameters: Mapping[str, Any],
    folder: Path,
    kernel: str,
    timeout: int | None,
    progress: bool,
) -> Exception | None:
    """Run it; returns what a cell raised. A kernel that does not start is started again."""
    for attempt in range(STARTS):
        try:
            papermill.execute_notebook(
                str(given),
                str(ran),
                parameters=dict(parameters),
                kernel_name=kernel,
                language=KERNEL["language"],
                progress_bar={"leave": False} if progress and sys.stderr.isatty() else False,
                execution_timeout=timeout,
                cwd=str(folder),
                kernel_manager_class=ThisInterpreter,
            )
        except (PapermillExecutionError, CellTimeoutError, DeadKernelError) as error:
            return error
        except (RuntimeError, PapermillMissingParameterException) as error:
            started = any(word in str(error) for word in ("Kernel died before", "Kernel didn't respond"))
            if not started or attempt == STARTS - 1:
                return error
        else:
            return None
    return None


def _explain(error: Exception, source: Path, failed: Path, timeout: int | None) -> DreamlibError:
    """What a reader needs of a failed run: which cell, which error, where to look."""
    look = f"open {failed}"
    if isinstance(error, PapermillExecutionError):
        first = next((line.strip() for line in error.source.splitlines() if line.strip()), "")
        return DreamlibError(
            f"{source}: cell [{error.exec_count}] ({first}) failed with {error.ename}: {error.evalue}", look
        )
    if isinstance(error, CellTimeoutError):
        return DreamlibError(f"{source}: a cell took longer than {timeout} s", look)
    if isinstance(error, DeadKernelError):
        return DreamlibError(f"{source}: the notebook's process was killed (out of memory?)", look)
    return DreamlibError(
        f"{source}: the notebook could not be run: {error}", f"{sys.executable} -m ipykernel --version"
    )


def _place(result: nbformat.NotebookNode, source: Path, output: Path, folder: Path, *, failed: bool) -> None:
    """Replace the scratch folder's paths by the notebook's own, relative to the project where possible."""
    about = result.metadata.setdefault("papermill", {})
    about["input_path"], about["output_path"] = _relative(source, folder), _relative(output, folder)
    about["exception"] = failed or None
    result.metadata["kernelspec"] = dict(KERNEL, name=result.metadata.kernelspec.name)


def _relative(path: Path, folder: Path) -> str:
    here, root = path.resolve(), folder.resolve()
    return here.relative_to(root).as_posix() if here.is_relative_to(root) else path.name


_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]")  # cursor movements; colours end in m and stay


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Outputs as a reader of a terminal would have seen them in the end, each of them once.

    Joins pieces of the same stream, keeps only the last state of a progress bar, drops widgets that need a
    live kernel where there is a text in their place, and drops per-cell timings, which differ in every run.
    Figures that lie next to the page are referred to, the style of tables is kept once, and no output is there in
    a second form that a code host would not show.
    """
    styles: set[str] = set()
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept: list[nbformat.NotebookNode] = []
        for output in cell.outputs:
            if output.output_type == "stream":
                if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
                    kept[-1].text += output.text
                    continue
            elif "data" in output:
                output.data.pop("application/vnd.jupyter.widget-view+json", None)
                if not output.data:
                    continue
                _once(output, styles)
            kept.append(output)
        for output in kept:
            if output.output_type == "stream":
                output.text = _last_states(output.text)
        cell.outputs = [output for output in kept if output.output_type != "stream" or output.text.strip()]
    notebook.metadata.pop("widgets", None)
    return notebook


_STYLE = re.compile(r"<style>.*?</style>\n?", re.DOTALL)


def _once(output: nbformat.NotebookNode, styles: set[str]) -> None:
    """The one form of an output that is kept; ``styles`` are the style sheets that the notebook has already."""
    about = output.get("metadata", {}).get("dreamlib", {})
    if "figure" in about:
        words = " ".join(re.sub(r"[\[\]\\<>*$`|]", "", about["alt"]).replace("_", " ").split())
        output.data = nbformat.from_dict({"text/markdown": f"![{words}]({about['figure']})"})
        output.metadata = nbformat.from_dict({})
    if "text/html" in output.data:
        for sheet in set(_STYLE.findall(output.data["text/html"])):
            if sheet in styles:
                output.data["text/html"] = output.data["text/html"].replace(sheet, "")
            else:  # in a table of its own it may stand several times
                first, _, rest = output.data["text/html"].partition(sheet)
                output.data["text/html"] = first + sheet + rest.replace(sheet, "")
                styles.add(sheet)
    if any(kind in output.data for kind in ("text/html", "text/markdown")):
        output.data.pop("text/plain", None)


def _last_states(text: str) -> str:
    """Resolve carriage returns line by line and drop progress bars that reached their end."""
    lines = []
    for line in _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n"):
        states = [state for state in line.split("\r") if state.strip()]
        last = states[-1] if states else ""
        if line and re.search(r"100%\|[^|]*\|", last):
            continue
        lines.append(last)
    return "\n".join(lines)
