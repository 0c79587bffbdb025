"""Running cells: most valuable first, stoppable at any moment, by one process or several."""

from __future__ import annotations

import logging
import math
import os
import pickle
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import torch

from ..compute import backend
from ..core import plugins
from ..core.errors import BadValue, DreamlibError, PluginError
from ..core.startup import started
from .cells import Cell
from .clock import Clock, checkpoint_seconds
from .forecast import Kind, like
from .interrupts import Interrupts, ignoring_keyboard
from .progress import Progress
from .store import Store
from .worker import OutOfTime, Worker

LONGEST = 100 * 365 * 86400.0  # seconds
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
    steps : int
        Steps that were made.
    """

    computed: int
    found: int
    missing: int
    failed: dict[str, str]
    steps: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Order:
    """What every process of a run is told; crosses process borders, so numbers and texts only.

    Attributes
    ----------
    root, data
        The store's.
    device, threads, memory_gb, deterministic
        See :func:`run_cells`.
    plugin_files : tuple of str
        Files that register a user's parts and methods, for the workers to import too.
    deadline : float, optional
        When to have stopped, as :func:`time.time` counts: of the clocks the only one that processes share.
    run_id : str
        Name of the run in its failure notes.
    known : frozenset of Kind, optional
        Kinds of cells that some record speaks for; None: nothing is to be forecast.
    parent : int
        The process that started the run: workers end when it does.
    verbose : bool
        Workers say what they do.
    """

    root: str
    data: str | None
    device: str
    threads: int
    memory_gb: float | None
    deterministic: bool
    deadline: float | None
    known: frozenset[Kind] | None
    verbose: bool
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    plugin_files: tuple[str, ...] = field(default_factory=plugins.files)
    parent: int = field(default_factory=os.getpid)

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
    memory_gb: float | None = None,
    deterministic: bool = False,
    forecast: bool = False,
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
        Stop cleanly inside this time; the next run goes on from there. No step is made that there is no time for, as
        far as can be known: what the last one at a cell took, until its first step was made, is remembered.
    progress : bool
        Show a bar on a terminal; elsewhere single lines, for a log.
    memory_gb : float, optional
        Gibibytes that tensors may take while images are matched, in each worker; default: no bound.
    deterministic : bool
        See :func:`dreamlib.compute.backend.deterministic`.
    forecast : bool
        Begin with a few steps of every kind of cell that no record speaks for, which are kept, and say on standard
        error how long such cells will take.

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
    started()
    check_choices(workers, seconds, memory_gb)
    # From here on, not from when a worker has started: starting is part of the time given.
    deadline = None if seconds is None else time.time() + seconds
    where = backend.resolve_device(device)
    checkpoint_seconds()  # raises here rather than in every worker
    # Read once, here: each worker looks again before it begins a cell.
    todo = [cell for cell in cells if not store.finished(cell)]
    if workers == -1:
        return Summary(0, len(cells) - len(todo), len(todo), {})
    for cell in set(cells) - set(todo):  # of a process that was killed between a record and its tidying up
        store.drop_checkpoint(cell, "evaluate")
    found = len(cells) - len(todo)
    if not todo:
        return Summary(0, found, 0, {})
    store.check_writable()
    # As many as fit next to each other with their threads; a GPU is not shared by default.
    count = workers or (max(1, _cores() // threads) if where.type == "cpu" else 1)
    # More processes than locks would only wait for each other.
    count = min(count, len({cell.lock_key for cell in todo}))
    order = Order(
        root=str(store.root),
        data=None if store.data is None else str(store.data),
        device=str(where),
        threads=threads,
        memory_gb=memory_gb,
        deterministic=deterministic,
        deadline=deadline,
        known=frozenset(map(like, set(cells) - set(todo))) if forecast else None,
        verbose=log.isEnabledFor(logging.INFO),
    )
    log.info("%d cells to compute, %d processes on %s, results in %s", len(todo), count, where, store.root)
    interrupts, clock = Interrupts(), order.clock()
    with Progress(store, cells, todo, progress) as bar, interrupts.listening():
        if count == 1:
            _compute(todo, order, interrupts, clock, bar)
            steps = clock.steps
        else:
            steps = _share(todo, order, count, bar)
    # From the store, not from the workers: whoever has finished a cell, it is finished.
    left = [cell for cell in todo if not store.finished(cell)]
    failed = {cell.name: why for cell in left if (why := store.failure(cell, order.run_id)) is not None}
    return Summary(len(todo) - len(left), found, len(left) - len(failed), failed, steps)


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


def _cores() -> int:
    """CPU cores this process may use: on a cluster fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compute(
    cells: Sequence[Cell], order: Order, interrupts: Interrupts, clock: Clock, bar: Progress | None = None
) -> None:
    """In this very process."""
    started()
    backend.tune_allocator()
    backend.deterministic(order.deterministic)
    backend.resolve_device(order.device)  # a process that only reads a GPU's memory has not started it
    # The threads decide the last bits of sums, so they are the profile's, and the caller gets its own back.
    before = torch.get_num_threads()
    torch.set_num_threads(order.threads)
    store, device = Store(order.root, order.run_id, data=order.data), torch.device(order.device)
    worker = Worker(store, device, clock, interrupts, bar.say if bar else lambda _: None, order.memory_gb)
    try:
        worker.run(cells, bar.done if bar else lambda _: None, known=order.known)
    except OutOfTime:
        pass
    finally:
        torch.set_num_threads(before)


def _share(cells: Sequence[Cell], order: Order, count: int, bar: Progress) -> int:
    """Several processes on the same list: the store's locks share the work out, and its notes say how far they are.

    Returns the steps that they made.
    """
    parcel = pickle.dumps((order, pickle.dumps(list(cells))))
    # What this process imports is what they import, and nothing else that lies in the folder where it was started.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
    command, pipe = [sys.executable, "-P", "-m", "dreamlib.companion"], subprocess.PIPE
    processes: list[subprocess.Popen[bytes]] = []
    try:
        # Ctrl-C reaches this process alone, which then asks its workers to save.
        with ignoring_keyboard():
            for _ in range(count):
                processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment))
        for process in processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin:  # it may have been killed
                process.stdin.write(parcel)
        for process in processes:
            while process.poll() is None:
                pause = bar.look(order.run_id)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(pause)
        bar.look(order.run_id)
    except BaseException:
        _stop(processes)
        raise
    finally:
        answers = [_answer(process) for process in processes]
    for _, error in answers:
        if error is not None:
            raise error
    codes = [process.returncode for process in processes]
    # A process that died (killed for memory, say) matters only where it has left work undone.
    if any(codes) and any(not bar.settled(cell, order.run_id) for cell in cells):
        raise DreamlibError(
            f"a worker process died (exit codes {', '.join(map(str, codes))}); what was finished is kept",
            "run the same command again; if it was killed for memory: --workers 1",
        )
    return sum(steps for steps, _ in answers)


def _answer(process: subprocess.Popen[bytes]) -> tuple[int, DreamlibError | None]:
    """How many steps a worker has made, and the error of ours that ended it; of one that was killed, nothing."""
    assert process.stdout is not None
    with process.stdout as output:
        said = output.read()
    return pickle.loads(said) if said else (0, None)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask all workers to save and end, and wait; kill them if the reader at the keyboard cannot."""
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()
            process.wait()


def work(parcel: bytes) -> int:
    """What a worker process does, see ``__main__.py``. What is not an error of ours ends it, with a traceback."""
    order, cells = pickle.loads(parcel)
    if order.verbose:
        logging.basicConfig(format=f"dreamlib {os.getpid()}: %(message)s")
        logging.getLogger("dreamlib").setLevel(logging.INFO)
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no part of the answer
    interrupts, clock, error = Interrupts(say=False, parent=order.parent), order.clock(), None
    with interrupts.listening(), suppress(KeyboardInterrupt):
        try:
            plugins.load(order.plugin_files)
            _compute(_unpacked(cells), order, interrupts, clock)
        except DreamlibError as raised:
            error = raised
    with suppress(BrokenPipeError), answer:
        answer.write(pickle.dumps((clock.steps, error)))
    return 0


def _unpacked(parcel: bytes) -> list[Cell]:
    try:
        # Apart from the order: plug-ins are loaded in between, and cells may be made of their classes.
        return list(pickle.loads(parcel))
    except (AttributeError, ImportError) as error:
        raise PluginError(
            f"a part of your own is not known in a worker process: {error}",
            "put it into a file and name that: PLUGINS=my_parts.py, or run with --workers 1",
        ) from error


__all__ = ["Summary", "run_cells"]
