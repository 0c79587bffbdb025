"""Running cells: most valuable first, stoppable at any moment, by one process or several."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .. import backend, plugins
from ..data import ClassData, Dataset, load
from ..distill import Distillation, snapshot_steps
from ..errors import BadValue, DataError, DreamlibError, OutOfMemory, StoreError
from ..evaluate import EvaluationRun
from .cells import Cell
from .files import tensors_digest
from .store import Store

CHECKPOINT_SECONDS = 20.0


class OutOfTime(Exception):
    """The time given is over; everything is saved."""


class Task(Protocol):
    """Work that advances by small steps and can be saved at any of them."""

    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def done(self) -> bool: ...
    def advance(self) -> object: ...
    def state(self) -> dict[str, Tensor]: ...
    def restore(self, state: dict[str, Tensor]) -> None: ...


@dataclass
class Clock:
    """How much time is left, with room for the longest step seen so far."""

    seconds: float | None = None
    started: float = field(default_factory=time.monotonic)
    longest: float = 0.0

    def over(self) -> bool:
        return self.seconds is not None and time.monotonic() - self.started + 2 * self.longest > self.seconds

    def remaining(self) -> float | None:
        return None if self.seconds is None else self.seconds - (time.monotonic() - self.started)


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


class Worker:
    """Computes cells one after the other, in this process.

    Parameters
    ----------
    store : Store
        Where results are and go.
    device : torch.device
        Where to compute.
    clock : Clock
        When to stop.
    say : callable
        ``say(text, step, steps, loss)`` is told about progress.
    """

    def __init__(
        self,
        store: Store,
        device: torch.device,
        clock: Clock,
        say: Callable[[str, int, int, float | None], None] = lambda *_: None,
        data_root: str | None = None,
    ) -> None:
        self.store, self.device, self.clock, self.say, self.data_root = store, device, clock, say, data_root
        self._datasets: dict[str, Dataset] = {}
        self._classes: dict[tuple[str, int | None], ClassData] = {}

    def dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            self._datasets[name] = load(name, self.data_root)
        return self._datasets[name]

    def classes(self, name: str, per_class: int | None) -> ClassData:
        if (name, per_class) not in self._classes:
            self._classes[name, per_class] = ClassData(self.dataset(name), self.device, per_class=per_class)
        return self._classes[name, per_class]

    def compute(self, cell: Cell) -> None:
        """Compute one cell whose lock is held: distil unless the set is there, then evaluate, then record."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        stored, about = self._distilled(cell)
        run = self._evaluated(cell, stored)
        dataset = self.dataset(cell.dataset)
        self.store.write_record(
            cell,
            {
                "accuracies": run.accuracies,
                "curve": about["curve"],
                "seconds": {**about["seconds"], "evaluate": run.seconds},
                "resumed": about["resumed"],
                "peak_memory_bytes": max(about["peak_memory_bytes"], backend.peak_memory(self.device)),
                "device": backend.describe(self.device),
                "versions": versions(),
                "revision": revision(),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "normalisation": about["normalisation"],
                "data_fingerprint": about["data_fingerprint"],
                "images_stored": about["images_stored"],
                "images_decoded": run.training.size,
                "bytes_stored": about["bytes_stored"],
                "test_images": len(dataset.test_labels),
                "set_sha256": about["set_sha256"],
            },
        )
        self.store.drop_checkpoint(cell, "evaluate")
        self.store.drop_checkpoint(cell, "distill")

    def _distilled(self, cell: Cell) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The synthetic set after ``cell.step`` steps, from the store or distilled now."""
        found = self.store.read_set(cell)
        if found is not None:
            tensors, about = found
            if about["data_fingerprint"] != self.dataset(cell.dataset).fingerprint:
                raise DataError(
                    f"{self.store.set_path(cell)} was distilled from other data than {cell.dataset!r} is now",
                    "use another --results folder for other data",
                )
            if cell.step != cell.recipe.steps:
                course = self.store.read_course(cell)
                if course is None or cell.step not in course:
                    tensors, about = self._distil(cell)
                    course = self.store.read_course(cell) or {}
                tensors = course[cell.step]
        else:
            tensors, about = self._distil(cell)
            if cell.step != cell.recipe.steps:
                tensors = (self.store.read_course(cell) or {})[cell.step]
        return {name: value.to(self.device) for name, value in tensors.items()}, about

    def _distil(self, cell: Cell) -> tuple[dict[str, Tensor], dict[str, Any]]:
        dataset = self.dataset(cell.dataset)
        data = self.classes(cell.dataset, cell.recipe.per_class)
        run = Distillation(data, cell.recipe, cell.ipc, cell.seed)
        resumed = self._drive(cell, run, "distill", {"data": dataset.fingerprint})
        stored = {name: value.cpu() for name, value in run.stored.items()}
        about = {
            **cell.describe(),
            "container": cell.describe()["recipe"]["container"],
            "classes": list(dataset.classes),
            "shape": list(dataset.shape),
            "normalisation": {
                "name": dataset.normalisation.name,
                "mean": list(dataset.normalisation.mean),
                "std": list(dataset.normalisation.std),
            },
            "data_fingerprint": dataset.fingerprint,
            "curve": {"step": [step for step, _ in run.losses], "loss": [loss for _, loss in run.losses]},
            "seconds": {**run.seconds, "distill": sum(run.seconds.values())},
            "resumed": resumed,
            "peak_memory_bytes": backend.peak_memory(self.device),
            "images_stored": sum(len(v.flatten(0, 1)) for v in stored.values()),
            "bytes_stored": sum(v.numel() * v.element_size() for v in stored.values()),
            "set_sha256": tensors_digest(stored),
        }
        self.store.write_set(cell, stored, run.snapshots, about)
        return stored, about

    def _evaluated(self, cell: Cell, stored: dict[str, Tensor]) -> EvaluationRun:
        dataset = self.dataset(cell.dataset)
        with torch.no_grad():
            images = cell.recipe.container.decode(stored)
        if cell.recipe.container.space == "unit":
            images = dataset.normalisation.apply(images.clamp(0, 1))
        run = EvaluationRun(images, dataset, cell.evaluation, cell.seed)
        self._drive(cell, run, "evaluate", {"set": tensors_digest(stored)})
        return run

    def _drive(self, cell: Cell, run: Task, phase: str, origin: dict[str, Any]) -> bool:
        """Advance a task to its end, with checkpoints; returns whether it went on from an earlier one."""
        found = self.store.read_checkpoint(cell, phase)
        resumed = found is not None and found[1].get("origin") == origin
        if found is not None and resumed:
            run.restore(found[0])
        saved = time.monotonic()
        try:
            while not run.done:
                if self.clock.over():
                    raise OutOfTime
                begun = time.monotonic()
                run.advance()
                now = time.monotonic()
                self.clock.longest = max(self.clock.longest, now - begun)
                losses = getattr(run, "losses", None)
                self.say(f"{cell.set_name[:-11]} {phase}", run.step, run.steps, losses[-1][1] if losses else None)
                if now - saved > CHECKPOINT_SECONDS and not run.done:
                    self._save(cell, run, phase, origin)
                    saved = time.monotonic()
        except (OutOfTime, KeyboardInterrupt):
            self._save(cell, run, phase, origin)
            raise
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"{self.device} ran out of memory in {phase} of {cell.name}", "--device cpu, or fewer evaluation networks"
            ) from error
        return resumed

    def _save(self, cell: Cell, run: Task, phase: str, origin: dict[str, Any]) -> None:
        metadata = {"origin": origin, "step": run.step, "steps": run.steps, "seconds": _seconds(run)}
        self.store.write_checkpoint(cell, phase, run.state(), metadata)

    def run(self, cells: Sequence[Cell], on_done: Callable[[Cell, str | None], None]) -> None:
        """Compute every cell that is not there, skipping and later coming back to those that another process holds."""
        waiting = [cell for cell in cells if self.store.record(cell) is None]
        while waiting:
            held = []
            for cell in waiting:
                if self.clock.over():
                    raise OutOfTime
                with self.store.lock(cell) as mine:
                    if not mine:
                        held.append(cell)
                        continue
                    error = None
                    if self.store.record(cell) is None:
                        error = self._guarded(cell)
                on_done(cell, error)
            waiting = held
            if waiting:
                time.sleep(0.5)

    def _guarded(self, cell: Cell) -> str | None:
        """Compute a cell; an error of its own is noted and returned, so that the other cells still get their turn."""
        try:
            self.compute(cell)
        except StoreError:
            raise  # a folder that cannot be written will not take the next cell either
        except DreamlibError as error:
            self.store.write_failure(cell, str(error))
            return str(error)
        return None


def _seconds(run: Task) -> float:
    spent: Any = getattr(run, "seconds", 0.0)
    return float(sum(spent.values()) if isinstance(spent, dict) else spent)


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
        Processes. 0: one per CPU core on the CPU, one on a GPU. 1 computes in this process.
    device : str
        See :func:`dreamlib.backend.resolve_device`.
    seconds : float, optional
        Stop cleanly inside this time; the next run goes on from there.
    progress : bool
        Show a tqdm bar.
    plugin_files : iterable of str
        Python files that register a user's parts and methods, for the workers to import too.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    KeyboardInterrupt
        After everything has been saved.
    """
    if workers < 0:
        raise BadValue(f"workers is {workers}; expected 0 (automatic) or more", "--workers 2")
    if seconds is not None and not seconds > 0:
        raise BadValue(f"the time to run is {seconds} s; expected more than 0", "--for 9m")
    where = backend.resolve_device(device)
    clock = Clock(seconds)
    todo = [cell for cell in cells if store.record(cell) is None]
    found = len(cells) - len(todo)
    if not todo:
        return Summary(0, found, 0, {})
    store.check_writable()
    sets = len({cell.set_key for cell in todo})
    count = workers or (max(1, (os.cpu_count() or 1) // threads) if where.type == "cpu" else 1)
    count = min(count, sets)
    bar = tqdm(total=len(todo), unit="cell", disable=not progress, dynamic_ncols=True, smoothing=0)
    failed: dict[str, str] = {}
    try:
        if count == 1:
            _run_here(todo, store, where, threads, clock, bar, failed, data_root)
        else:
            _run_workers(todo, store, where, threads, clock, bar, failed, list(plugin_files), count, data_root)
    except OutOfTime:
        pass
    finally:
        bar.close()
    computed = sum(store.record(cell) is not None for cell in todo)
    return Summary(computed, found, len(todo) - computed - len(failed), failed)


def _run_here(
    cells: Sequence[Cell],
    store: Store,
    device: torch.device,
    threads: int,
    clock: Clock,
    bar: Any,
    failed: dict[str, str],
    data_root: str | None,
) -> None:
    backend.tune_allocator()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    shown = 0.0

    def say(text: str, step: int, steps: int, loss: float | None) -> None:
        nonlocal shown
        if time.monotonic() - shown > 0.5:
            shown = time.monotonic()
            bar.set_postfix_str(f"{text} {step}/{steps}" + ("" if loss is None else f" loss {loss:.4g}"))

    def done(cell: Cell, error: str | None) -> None:
        bar.update(1)
        if error is not None:
            failed[cell.name] = error

    try:
        Worker(store, device, clock, say, data_root).run(cells, done)
    finally:
        torch.set_num_threads(before)


def _run_workers(
    cells: Sequence[Cell],
    store: Store,
    device: torch.device,
    threads: int,
    clock: Clock,
    bar: Any,
    failed: dict[str, str],
    plugin_files: list[str],
    count: int,
    data_root: str | None,
) -> None:
    """Several processes on the same list: the store's locks share the work out."""
    context = multiprocessing.get_context("spawn")
    parcel = pickle.dumps(list(cells))
    messages = context.Queue()
    arguments = (parcel, str(store.root), str(device), threads, clock.remaining(), plugin_files, data_root, messages)
    processes = [context.Process(target=_work, args=arguments, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    errors: list[BaseException] = []
    try:
        while any(process.is_alive() for process in processes):
            _drain(messages, bar, failed, errors)
        _drain(messages, bar, failed, errors)
    except KeyboardInterrupt:
        # The terminal has sent the same signal to the workers; they save and go.
        for process in processes:
            process.join(60)
        raise
    for process in processes:
        process.join()
    for error in errors:
        raise error
    if any(process.exitcode for process in processes) and any(store.record(c) is None for c in cells):
        codes = ", ".join(str(process.exitcode) for process in processes)
        raise DreamlibError(
            f"a worker process died (exit codes {codes}); what was finished is kept",
            "run the same command again; if it was killed for memory: --workers 1",
        )


def _drain(messages: Any, bar: Any, failed: dict[str, str], errors: list[BaseException]) -> None:
    """Show what the workers say, for at most half a second."""
    until = time.monotonic() + 0.5
    while (left := until - time.monotonic()) > 0:
        with suppress(Exception):
            kind, *rest = messages.get(timeout=left)
            if kind == "done":
                name, error = rest
                bar.update(1 if bar.n < bar.total else 0)
                if error is not None:
                    failed[name] = error
            elif kind == "say":
                bar.set_postfix_str(rest[0], refresh=False)
            elif kind == "error":
                errors.append(rest[0])


def _work(
    parcel: bytes,
    root: str,
    device: str,
    threads: int,
    seconds: float | None,
    plugin_files: list[str],
    data_root: str | None,
    messages: Any,
) -> None:
    """A worker process."""
    backend.tune_allocator()
    torch.set_num_threads(threads)
    shown = 0.0

    def say(text: str, step: int, steps: int, loss: float | None) -> None:
        nonlocal shown
        if time.monotonic() - shown > 1:
            shown = time.monotonic()
            messages.put(("say", f"{text} {step}/{steps}" + ("" if loss is None else f" loss {loss:.4g}")))

    try:
        plugins.load(plugin_files)
        cells: list[Cell] = pickle.loads(parcel)
        worker = Worker(Store(root), torch.device(device), Clock(seconds), say, data_root)
        worker.run(cells, lambda cell, error: messages.put(("done", cell.name, error)))
    except (OutOfTime, KeyboardInterrupt):
        return
    except Exception as error:
        messages.put(("error", error))


def versions() -> dict[str, str]:
    """Versions that decide numbers."""
    import platform

    own = "0"
    with suppress(PackageNotFoundError):
        own = version("dreamlib")
    return {"python": platform.python_version(), "torch": torch.__version__, "dreamlib": own}


def revision() -> str:
    """Git commit of the code, with "+" when the working tree differs; empty outside a repository."""
    import subprocess

    here = Path(__file__).resolve().parent
    with suppress(OSError, subprocess.SubprocessError):

        def git(*words: str) -> str:
            return subprocess.run(
                ["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()

        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", str(here)) else "")
    return ""


def expected_seconds(cells: Sequence[Cell], store: Store) -> float | None:
    """Computing time still needed for ``cells``, from records of like cells; None when there is nothing to go by.

    A cell of the same method, data set and IPC (another seed) counts as it is; failing that the median over the
    profile's records is taken, so the answer gets better as cells finish.
    """
    like: dict[tuple[str, str, int, int], float] = {}
    for cell in cells:
        record = store.record(cell)
        if record is not None:
            seconds = record["seconds"]
            like[cell.method, cell.dataset, cell.ipc, cell.step] = seconds["distill"] + seconds["evaluate"]
    missing = [cell for cell in cells if store.record(cell) is None]
    if not missing:
        return 0.0
    if not like:
        return None
    median = sorted(like.values())[len(like) // 2]
    total = math.fsum(like.get((cell.method, cell.dataset, cell.ipc, cell.step), median) for cell in missing)
    return total


__all__ = [
    "Clock",
    "OutOfTime",
    "Summary",
    "Worker",
    "expected_seconds",
    "revision",
    "run_cells",
    "snapshot_steps",
    "versions",
]
