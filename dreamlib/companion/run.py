"""Running cells: most valuable first, stoppable at any moment, by one process or several."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import pickle
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch
from tqdm import tqdm

from ..compute import backend
from ..core import plugins
from ..core.errors import BadValue, DreamlibError, PluginError
from ..core.reading import present
from .cells import Cell
from .forecast import Kind, like
from .interrupts import Interrupts, ignoring_keyboard
from .store import Store
from .worker import Clock, OutOfTime, Worker, checkpoint_seconds

LONGEST = 100 * 365 * 86400.0  # seconds
UNGUARDED = 79  # exit code of a worker whose script starts workers when it is read; no other part uses it
LINE_SECONDS = 30.0  # between two lines about the steps at work, where there is no terminal
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """What a run has done.

    Attributes
    ----------
    computed, found : int
        Cells finished now, and cells that were there already.
    missing : int
        Cells still to do (out of time, or being computed elsewhere).
    failed : dict of str to str
        Cell name -> error.
    """

    computed: int
    found: int
    missing: int
    failed: dict[str, str]


@dataclass(frozen=True)
class Order:
    """What every process of a run is told; crosses process borders, so plain values only.

    Attributes
    ----------
    root, data_root, device, threads, plugin_files, memory_gb, deterministic
        See :func:`run_cells`.
    deadline : float, optional
        When to have stopped, as :func:`time.time` counts: of the clocks the only one that processes share.
    run_id : str
        Name of the run in its failure notes.
    """

    root: str
    data_root: str | None
    device: str
    threads: int
    plugin_files: tuple[str, ...]
    deadline: float | None
    run_id: str
    memory_gb: float | None = None
    deterministic: bool = False

    def clock(self) -> Clock:
        """The time that is left now."""
        return Clock(None if self.deadline is None else self.deadline - time.time())


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    threads: int = 1,
    workers: int = 0,
    device: str = "auto",
    seconds: float | None = None,
    progress: bool = True,
    plugin_files: Iterable[str] = (),
    data_root: str | None = None,
    memory_gb: float | None = None,
    deterministic: bool = False,
) -> Summary:
    """Compute what is missing of ``cells``, in their order.

    Parameters
    ----------
    cells : sequence of Cell
        Most valuable first.
    store : Store
        Results folder; several processes and machines may share it.
    threads : int
        CPU threads of each worker (part of the profile: it decides the last bits of sums).
    workers : int
        Processes. 0: one per CPU core on the CPU, one on a GPU. 1 computes in this process. -1 computes nothing and
        changes nothing: what is there is counted.
    device : str
        See :func:`dreamlib.compute.backend.resolve_device`.
    seconds : float, optional
        Stop cleanly inside this time; the next run goes on from there. At least one step is always made.
    progress : bool
        Show a bar on a terminal; elsewhere single lines, for a log.
    plugin_files : iterable of str
        Python files that register a user's parts and methods, for the workers to import too.
    data_root : str, optional
        Data folder; see :func:`dreamlib.data.load`.
    memory_gb : float, optional
        Gibibytes that tensors may take while images are matched, in each worker; default: no bound.
    deterministic : bool
        See :func:`dreamlib.compute.backend.deterministic`.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    DreamlibError
        If a worker process died and left cells behind.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, when everything has been saved. A second Ctrl-C stops at once; what then holds is
        the last checkpoint.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker reads the script that started it, and the script starts workers.
        raise SystemExit(UNGUARDED)
    check_choices(workers, seconds, memory_gb)
    if data_root is not None:
        store = Store(store.root, data=data_root)
    deadline = None if seconds is None else time.time() + seconds
    where = backend.resolve_device(device)
    checkpoint_seconds()  # raises here rather than in every worker
    todo = [cell for cell in cells if not store.finished(cell)]
    if workers == -1:
        return Summary(0, len(cells) - len(todo), len(todo), {})
    for cell in set(cells) - set(todo):  # of a process that was killed between a record and its tidying up
        store.drop_checkpoint(cell, "evaluate")
    found = len(cells) - len(todo)
    if not todo:
        return Summary(0, found, 0, {})
    store.check_writable()
    count = workers or (max(1, _cores() // threads) if where.type == "cpu" else 1)
    count = min(count, len({cell.lock_key for cell in todo}))
    plugin_list = tuple(str(file) for file in plugin_files)
    order = Order(
        root=str(store.root),
        data_root=None if store.data is None else str(store.data),
        device=str(where),
        threads=threads,
        plugin_files=plugin_list,
        deadline=deadline,
        run_id=uuid.uuid4().hex,
        memory_gb=memory_gb,
        deterministic=deterministic,
    )
    bar = Progress(len(todo), progress)
    errors: dict[str, str] = {}

    seen: set[str] = set()

    def done(name: str, error: str | None) -> None:
        if name not in seen:  # every worker comes past every cell
            bar.done(name)
            log.info("%s: %s", name, "finished" if error is None else error)
        seen.add(name)
        if error is not None:
            errors[name] = error

    interrupts = Interrupts()
    log.info("%d cells to compute, %d processes on %s, results in %s", len(todo), count, where, store.root)
    with bar, interrupts.listening(), suppress(OutOfTime):
        if count == 1:
            _run_here(todo, order, interrupts, done, bar.say)
        else:
            _run_workers(todo, order, count, done, bar.say)
    left = {cell.name for cell in todo if not store.finished(cell)}
    failed = {name: error for name, error in errors.items() if name in left}
    return Summary(len(todo) - len(left), found, len(left) - len(failed), failed)


def check_choices(workers: int = 0, seconds: float | None = None, memory_gb: float | None = None) -> None:
    """Raise BadValue for what :func:`run_cells` would not take, before anything is computed."""
    if workers < -1:
        raise BadValue(
            f"workers is {workers}; expected 0 (automatic), a number of processes, or -1 to compute nothing",
            "--workers 2",
        )
    if seconds is not None and not 0 < seconds < LONGEST:
        raise BadValue(
            f"the time to run is {seconds:g} s; expected more than 0, and less than a century", "--for 9m"
        )
    if memory_gb is not None and not (memory_gb > 0 and math.isfinite(memory_gb)):
        raise BadValue(f"memory is {memory_gb} GiB; expected a finite number, more than 0", "--memory-gb 8")


class Progress:
    """Cells done and steps made: a bar on a terminal; elsewhere a line for every cell, and now and then one between."""

    def __init__(self, total: int, shown: bool) -> None:
        terminal = shown and sys.stderr.isatty()
        self.total, self.lines, self.count, self.last = total, shown and not terminal, 0, time.monotonic()
        self.bar = tqdm(total=total, unit="cell", disable=not terminal, dynamic_ncols=True, smoothing=0)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def done(self, name: str) -> None:
        """A cell has been finished, or has failed."""
        self.bar.update()
        self.count += 1
        self._line(f"{self.count}/{self.total} cells: {name}")

    def say(self, text: str) -> None:
        """What is at work."""
        self.bar.set_postfix_str(text)
        if time.monotonic() - self.last > LINE_SECONDS:
            self._line(text)

    def _line(self, text: str) -> None:
        if self.lines:
            print(text, file=sys.stderr, flush=True)
            self.last = time.monotonic()


def _cores() -> int:
    """CPU cores this process may use: on a cluster fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_here(
    cells: Sequence[Cell],
    order: Order,
    interrupts: Interrupts,
    done: Callable[[str, str | None], None],
    show: Callable[[str], object],
) -> None:
    """In this very process; raises OutOfTime."""
    backend.tune_allocator()
    backend.deterministic(order.deterministic)
    backend.resolve_device(order.device)  # a process that only reads a GPU's memory has not started it
    before = torch.get_num_threads()
    torch.set_num_threads(order.threads)
    shown = 0.0

    def say(text: str, step: int, steps: int, loss: float | None) -> None:
        nonlocal shown
        if time.monotonic() - shown > 0.5:
            shown = time.monotonic()
            show(f"{text} {step}/{steps}" + ("" if loss is None else f" loss {loss:.4g}"))

    worker = Worker(
        Store(order.root, order.run_id, data=order.data_root),
        torch.device(order.device),
        order.clock(),
        interrupts,
        order.run_id,
        say,
        order.data_root,
        order.memory_gb,
    )
    try:
        worker.run(cells, lambda cell, error: done(cell.name, error))
    finally:
        torch.set_num_threads(before)


def _run_workers(
    cells: Sequence[Cell],
    order: Order,
    count: int,
    done: Callable[[str, str | None], None],
    show: Callable[[str], object],
) -> None:
    """Several processes on the same list: the store's locks share the work out.

    Each has a pipe of its own, so that one that is killed in the middle of a word can silence nobody else.
    """
    context = multiprocessing.get_context("spawn")
    parcel = pickle.dumps(list(cells))
    processes: list[BaseProcess] = []
    readers: list[Connection] = []
    errors: list[DreamlibError] = []
    process: BaseProcess
    try:
        with ignoring_keyboard():
            for _ in range(count):
                reader, writer = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(parcel, order, writer), daemon=True)
                process.start()
                writer.close()
                processes.append(process)
                readers.append(reader)
        while readers:
            talking = wait(readers)
            for reader in [reader for reader in readers if reader in talking]:
                try:
                    kind, *words = reader.recv()
                except (EOFError, OSError):  # it has ended, in whatever way
                    readers.remove(reader)
                    reader.close()
                    continue
                if kind == "done":
                    done(*words)
                elif kind == "say":
                    show(*words)
                else:
                    errors += words
        for process in processes:
            process.join()
    except BaseException:
        _stop(processes)
        raise
    for error in errors:
        raise error
    codes = [process.exitcode for process in processes]
    if UNGUARDED in codes:
        raise DreamlibError(
            "every worker process reads the script that starts it, and this script starts workers wherever it is read",
            'put what the script does below a line: if __name__ == "__main__":',
        )
    store = Store(order.root, data=order.data_root)
    if any(codes) and any(
        not store.finished(cell) and store.failure(cell, order.run_id) is None for cell in cells
    ):
        raise DreamlibError(
            f"a worker process died (exit codes {', '.join(map(str, codes))}); what was finished is kept",
            "run the same command again; if it was killed for memory: --workers 1",
        )


def _stop(processes: Sequence[BaseProcess]) -> None:
    """Ask all workers to save and end, and wait; kill them if the reader at the keyboard cannot."""
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()


def _work(parcel: bytes, order: Order, channel: Connection) -> None:
    """A worker process. What is not an error of ours ends it, with a traceback."""
    interrupts = Interrupts(say=False)

    def tell(*message: object) -> None:
        try:
            channel.send(message)
        except BrokenPipeError:
            interrupts.asked = True  # our parent was killed: save and go, rather than compute on unseen

    with interrupts.listening(), suppress(OutOfTime, KeyboardInterrupt):
        try:
            plugins.load(order.plugin_files)
            _run_here(
                _unpacked(parcel),
                order,
                interrupts,
                lambda name, error: tell("done", name, error),
                lambda text: tell("say", text),
            )
        except DreamlibError as error:
            tell("error", error)


def _unpacked(parcel: bytes) -> list[Cell]:
    try:
        return list(pickle.loads(parcel))
    except (AttributeError, ImportError) as error:
        raise PluginError(
            f"a part of your own is not known in a worker process: {error}",
            "put it into a file and name that: PLUGINS=my_parts.py, or run with --workers 1",
        ) from error


def expected_seconds(cells: Sequence[Cell], store: Store) -> float | None:
    """Computing time still needed for ``cells``, from the records among them; None when there are none to go by.

    Cells of the same method, data set and IPC (another seed, step or network) count as their mean; failing that the
    median over all is taken, so the answer gets better as cells finish. A synthetic set is distilled once for all its
    cells, and a set that is there costs nothing.
    """
    distil: dict[Kind, list[float]] = {}
    evaluate: dict[Kind, list[float]] = {}
    missing = []
    for cell in cells:
        record = store.record(cell)
        if record is None:
            missing.append(cell)
        elif {"distill", "evaluate"} <= (took := record.get("seconds", {})).keys():
            for one in cell.sets:
                distil.setdefault(like(one), []).append(took["distill"] / len(cell.sets))
            evaluate.setdefault(like(cell), []).append(took["evaluate"])
    if not missing:
        return 0.0
    if not distil:
        return None
    needed = (one for cell in missing for one in cell.sets if not one.recipe.whole)
    sets = {one.set_key: one for one in needed if not present(store.set_path(one))}
    return _sum(distil, sets.values()) + _sum(evaluate, missing)


def _sum(known: dict[Kind, list[float]], cells: Iterable[Cell]) -> float:
    means = {kind: statistics.mean(values) for kind, values in known.items()}
    typical = statistics.median(means.values())
    return sum(means.get(like(cell), typical) for cell in cells)


__all__ = ["Summary", "expected_seconds", "run_cells"]
