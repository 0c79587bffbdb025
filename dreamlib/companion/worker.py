"""A worker: computes cells one after the other, saves as it goes, and stops where everything is whole."""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..compute import backend
from ..compute.engine import Engine, Programs
from ..containers import Images
from ..core.errors import DataError, Diverged, DreamlibError, OutOfMemory, StoreError
from ..core.files import digest, tensors_digest, with_prefix
from ..core.limits import check_fits
from ..core.version import version
from ..criteria import Embedding
from ..data import ClassData, Dataset, derive, load, names
from ..data.splits import parse
from ..distillation.evaluate import EvaluationRun, Trained, check_judge
from ..distillation.loop import BESIDE, Distillation
from ..distillation.selection import carried
from ..distillation.sets import NOT_OURS, WHITENING
from .cells import Cell
from .clock import Clock, Pace, checkpoint_seconds
from .forecast import BUDGET, Kind, forecast, unknown_kinds
from .interrupts import Interrupts
from .store import Holder, Store

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
NOTE_SECONDS = 1.0  # between two notes on how far a task is
TIMED_STEPS, TIMED_SECONDS = 3, 2.0  # both, at least, before a task is forecast
COMPILING = (
    60.0  # seconds until the first step is made, where a compiler has to come first and nothing more is known
)
PATIENCE_SECONDS = 2.0  # of waiting before a first word on that
TELL_SECONDS = 600.0  # between two words on what is waited for
# What a set has to say of itself before it is judged.
ABOUT = (
    "data_fingerprint",
    "seconds",
    "curve",
    "resumed",
    "peak_memory_bytes",
    "normalisation",
    "images_stored",
    "bytes_stored",
    "set_sha256",
)
DERIVED_KEPT = 12  # both kinds of data set of every step of a five-step stream


class OutOfTime(Exception):
    """The time given is over; everything is saved."""


class Begun(Exception):
    """Enough steps have been timed for a forecast; they are saved."""


class HeldElsewhere(Exception):
    """A set that a cell needs is being distilled by another process."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell


class Task(Protocol):
    """Work that advances by small steps and can be saved between any two of them."""

    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def ahead(self) -> int: ...
    @property
    def done(self) -> bool: ...
    @property
    def engine(self) -> Engine: ...
    def advance(self) -> object: ...
    def state(self) -> dict[str, Tensor]: ...
    def restore(self, state: dict[str, Tensor]) -> None: ...


T = TypeVar("T", bound=Task)


class Worker:
    """Computes cells one after the other, in this process.

    Parameters
    ----------
    store : Store
        Where results are and go, of which data. No worker of the store's run tries again what another one failed at.
    device : torch.device
        Where to compute.
    clock : Clock
        When to stop.
    interrupts : Interrupts
        Who may ask to stop earlier.
    say : callable
        Is given a line about progress, once a second.
    memory_gb : float, optional
        See :class:`~dreamlib.distillation.loop.Distillation`.
    """

    def __init__(
        self,
        store: Store,
        device: torch.device,
        clock: Clock,
        interrupts: Interrupts,
        say: Callable[[str], object] = lambda _: None,
        memory_gb: float | None = None,
    ) -> None:
        self.store, self.device, self.clock, self.interrupts = store, device, clock, interrupts
        self.say, self.memory_gb = say, memory_gb
        self.checkpoint_seconds = checkpoint_seconds()
        self.programs = Programs()
        self.timing = False  # whether a task is left as soon as it can be forecast
        self._datasets: dict[tuple[str, bool], Dataset | DataError] = {}  # whether a test part is needed
        self._derived: dict[str, Dataset] = {}
        self._classes: dict[tuple[str, int | None], ClassData] = {}

    def dataset(self, name: str, *, test: bool = True) -> Dataset:
        """A data set, read once; one that cannot be read is not tried (or downloaded) again for every cell.

        Those derived from it are copies of its images, and there can be hundreds: only the last ones are kept.
        """
        parent, split = parse(name)
        if split is not None:
            whole = self.dataset(parent, test=split.keeps_test)
            kept = self._derived.pop(name, None)
            self._derived[name] = derive(whole, name) if kept is None else kept  # the latest one last
            while len(self._derived) > DERIVED_KEPT:
                oldest = next(iter(self._derived))
                del self._derived[oldest]
                self._classes = {key: kept for key, kept in self._classes.items() if key[0] != oldest}
            return self._derived[name]
        key = name, test or name in names()
        if key not in self._datasets:
            try:
                self._datasets[key] = load(name, self.store.data, test=test)
            except DataError as error:
                self._datasets[key] = error
        found = self._datasets[key]
        if isinstance(found, DataError):
            raise found
        return found

    def classes(self, name: str, per_class: int | None) -> ClassData:
        """Training images by class, on the device."""
        if (name, per_class) not in self._classes:
            self._classes[name, per_class] = ClassData(self.dataset(name), self.device, per_class=per_class)
        return self._classes[name, per_class]

    def run(
        self,
        cells: Sequence[Cell],
        on_done: Callable[[Cell], object] = lambda _: None,
        *,
        known: Collection[Kind] | None = None,
    ) -> None:
        """Compute every cell that is not there; those that another process holds come again later.

        Parameters
        ----------
        cells : sequence of Cell
            In the order of their value.
        on_done : callable
            Is given every cell that now has its record, or has failed.
        known : collection of Kind, optional
            Begin with the first steps of all other kinds of cells, see :meth:`begin`.

        Raises
        ------
        OutOfTime, KeyboardInterrupt
            After everything has been saved.
        StoreError
            When nothing can be written.
        """
        if known is not None:
            self.begin(cells, on_done, known)
        waiting = [cell for cell in cells if not self.store.finished(cell)]
        # So that the first word comes after two seconds of waiting, the next every ten minutes.
        told = time.monotonic() + PATIENCE_SECONDS - TELL_SECONDS
        while waiting:
            holders = {}
            for cell in waiting:
                if self.clock.over():
                    raise OutOfTime
                if (held := self._take(cell, on_done)) is not None:
                    holders[cell] = held
            waiting = list(holders)
            if waiting:
                self.interrupts.check()
                if self.clock.over():
                    raise OutOfTime
                if time.monotonic() - told > TELL_SECONDS and self._tell(holders):
                    told = time.monotonic()
                time.sleep(POLL_SECONDS)

    def begin(
        self, cells: Sequence[Cell], on_done: Callable[[Cell], object], known: Collection[Kind]
    ) -> None:
        """Take the first steps of one cell of every kind that nothing is known of, and say how long the rest will take.

        The state of what is begun is kept, so nothing is computed twice. Workers of one run share the kinds.
        """
        end = time.monotonic() + BUDGET
        for kind in unknown_kinds(cells, self.store, known):
            if self.clock.over() or time.monotonic() > end:
                return
            try:
                self.timing = True
                self._take(kind[0], on_done)
            except Begun:
                print(forecast(kind, self.store), file=sys.stderr, flush=True)
            finally:
                self.timing = False

    def _take(self, cell: Cell, on_done: Callable[[Cell], object]) -> Cell | None:
        """Compute a cell, unless another process holds what is then returned: the cell, or a set that it needs."""
        # The lock is of the set: cells that share one wait for it, and then find it made.
        with self.store.lock(cell) as mine:
            if not mine:
                return cell
            try:
                self._attempt(cell)
            except HeldElsewhere as elsewhere:
                return elsewhere.cell
        on_done(cell)
        return None

    def _tell(self, holders: Mapping[Cell, Cell]) -> bool:
        """Say what is waited for, and who holds it; of processes of the same run nothing need be said."""
        waiting: dict[Holder | None, list[Cell]] = {}
        for cell, held in holders.items():
            who = self.store.holder(held)
            if who is None or who.run != self.store.run_id:
                waiting.setdefault(who, []).append(cell)
        for who, cells in waiting.items():
            more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
            where = f"process {who.pid} on {who.host} since {who.since}" if who else "another process"
            end = f"kill {who.pid} (on {who.host})" if who else "end what else uses this results folder"
            text = (
                f"waiting for {cells[0].short_name}{more}: held by {where}. This goes on by itself when that "
                f"process is done or has ended.\n  try: Ctrl-C to stop waiting; if it hangs: {end}"
            )
            # On a terminal a progress bar stands in this line.
            print("\n" * sys.stderr.isatty() + text, file=sys.stderr, flush=True)
        return bool(waiting)

    def _attempt(self, cell: Cell) -> None:
        """Compute a cell whose lock is held, unless another process has done so before we got the lock.

        An error of its own is noted, so that the other cells still get their turn.
        """
        if self.store.finished(cell) or self.store.failure(cell, self.store.run_id) is not None:
            return
        at, phase = cell, "distill"
        try:
            for one in (cell, *cell.parts):
                self.dataset(one.dataset)  # a download can be broken off at any moment, a step cannot
            check_judge(self.dataset(cell.dataset))
            # From here on Ctrl-C is only noted: :meth:`_drive` looks at it between two steps.
            with self.interrupts.deferred():
                backend.forget_peak(self.device)
                sets = []
                for at in cell.sets:
                    sets.append(self._distilled(at, locked=at is cell))
                if self.store.record(cell) is not None:
                    return  # only the set was not there
                at, phase = cell, "evaluate"
                run = self._evaluated(cell, [stored for stored, _ in sets])
                self._record(cell, run, [about for _, about in sets])
                log.info("%s: finished", cell.name)
        except StoreError:
            raise  # a folder that cannot be written will not take the next cell either
        except DreamlibError as error:
            self._failed(at, phase, error)
        except (MemoryError, RuntimeError) as error:
            # Before the first step: of images, weights, a forecast's leavings. On a CPU PyTorch has no class for it.
            if not backend.out_of_memory(error):
                raise
            message = f"{self.device} has too little memory to begin with {phase} of {at.name}"
            hint = "--device cpu, or a GPU that nobody else uses"
            self._failed(at, phase, OutOfMemory(message, hint))

    def _failed(self, cell: Cell, phase: str, error: DreamlibError) -> None:
        self.store.write_failure(cell, phase, str(error), self.store.run_id)
        log.info("%s: %s", cell.name, error)

    def _record(self, cell: Cell, run: EvaluationRun, abouts: Sequence[dict[str, Any]]) -> None:
        dataset = self.dataset(cell.dataset)
        about = _together(abouts)
        also = cell.evaluation.also_on
        self.store.write_record(
            cell,
            {
                "accuracies": run.accuracies,
                **({"accuracies_on": {also: run.also_accuracies}} if also else {}),
                "formats": {"distill": about.get("formats", "not recorded"), "evaluate": run.engine.words},
                "curve": about["curve"],
                "seconds": {**about["seconds"], "evaluate": run.seconds, **_core([about["seconds"]], run)},
                **({"earlier": about["earlier"]} if about.get("earlier") else {}),
                "resumed": about["resumed"],
                "peak_memory_bytes": max(about["peak_memory_bytes"], backend.peak_memory(self.device)),
                **provenance(self.device),
                "normalisation": about["normalisation"],
                "data_fingerprint": dataset.fingerprint,
                "images_stored": about["images_stored"],
                "images_decoded": run.training.size,
                "steps_trained": run.training.steps,
                "bytes_stored": about["bytes_stored"],
                "test_images": len(dataset.test_labels),
                "set_sha256": about["set_sha256"],
                **({"classes": list(dataset.classes)} if cell.parts else {}),
                **({"notes": about["notes"]} if about.get("notes") else {}),
            },
        )
        # Only now, with the record on the disk: killed in between, the work would be lost.
        self.store.drop_checkpoint(cell, "evaluate")
        for one in cell.sets:
            self.store.drop_checkpoint(one, "distill")

    def _distilled(self, cell: Cell, *, locked: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The synthetic set after ``cell.step`` steps, from the store or distilled now.

        A set that is part of a union has a lock of its own, which is held while it is made; another union may need it
        too, in another process. The whole training set is empty here: nothing of it is stored.
        """
        if cell.recipe.whole:
            return {}, self._about_whole(cell)
        found = self.store.read_set(cell, ABOUT)
        if found is None and not locked:
            with self.store.lock(cell) as mine:
                if not mine:
                    raise HeldElsewhere(cell)
                return self._distilled(cell, locked=True)
        if found is None:
            found = self._distil(cell)
        # A set of other images must not be judged on these.
        elif found[1]["data_fingerprint"] != self.dataset(cell.dataset).fingerprint:
            raise DataError(
                f"{self.store.set_path(cell)} was distilled from other data than {cell.dataset!r} is now",
                "use another --results folder for other data",
            )
        tensors, about = {n: v for n, v in found[0].items() if not n.startswith(WHITENING)}, found[1]
        if cell.step != cell.recipe.steps:
            tensors, about = self._on_the_way(cell, about)
            tensors = {name: value for name, value in tensors.items() if not name.startswith(BESIDE)}
        return {name: value.to(self.device) for name, value in tensors.items()}, about

    def _on_the_way(self, cell: Cell, about: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state of a finished set after ``cell.step`` steps; distilled again where its course was not kept."""
        course = self.store.read_course(cell)
        if course is None or cell.step not in course:
            _, about = self._distil(cell)
            course = self.store.read_course(cell) or {}
        return course[cell.step], about

    def _maker(self, cell: Cell) -> tuple[Callable[[], Distillation], dict[str, dict[str, float]]]:
        """How the making of a cell's set starts, and the seconds of what has to be there before, by its checksum."""
        data = self.classes(cell.dataset, cell.recipe.per_class)
        about = data, cell.recipe, cell.ipc, cell.seed, self.memory_gb
        start = partial(Distillation, *about, programs=self.programs)
        if not cell.recipe.drawn:
            size = 4 * data.num_classes * cell.ipc * math.prod(data.shape)
            check_fits(size, f"IPC {cell.ipc} of {cell.dataset}", "a smaller --ipc", OutOfMemory)
        given: dict[str, Tensor] = {}
        earlier: dict[str, dict[str, float]] = {}
        for first in cell.needs:
            with self.store.lock(first) as mine:
                if not mine:
                    raise HeldElsewhere(first)
                state, known = self._begun(first)
            given |= carried(state) if isinstance(first.recipe.criterion, Embedding) else state
            # The share of the first stage that was gone on from: a GAN that was trained for longer serves others too.
            share, took = first.step / first.recipe.steps, known["seconds"]
            earlier[known["set_sha256"]] = {
                phase: took[phase] * share for phase in ("distill", "core") if phase in took
            }
        return partial(start, start=given or None), earlier

    def _begun(self, first: Cell) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """A first stage and what is trained with it; where it has failed in this run, it is not tried again."""
        if (known := self.store.failure(first, self.store.run_id)) is not None:
            raise DreamlibError(known)
        try:
            _, about = self._distilled(first, locked=True)
            return self._on_the_way(first, about)
        except StoreError:
            raise
        except DreamlibError as error:
            self.store.write_failure(first, "distill", str(error), self.store.run_id)
            raise

    def _distil(self, cell: Cell) -> tuple[dict[str, Tensor], dict[str, Any]]:
        dataset = self.dataset(cell.dataset)
        normalisation = _normalised(dataset, cell).normalisation
        start, earlier = self._maker(cell)
        before = sum(took["distill"] for took in earlier.values())
        run, resumed = self._drive(cell, start, "distill", {"data": dataset.fingerprint})
        stored = {name: value.cpu() for name, value in run.stored.items()}
        about = {
            **cell.describe(),
            "container": cell.describe()["recipe"]["container"],
            "classes": list(dataset.classes),
            "shape": list(dataset.shape),
            "normalisation": normalisation.about(),
            "data_fingerprint": dataset.fingerprint,
            "formats": run.engine.words,
            "curve": {"step": [step for step, _ in run.losses], "loss": [loss for _, loss in run.losses]},
            "seconds": {
                **({"first stage": before} if earlier else {}),
                **run.seconds,
                "distill": before + sum(run.seconds.values()),
                **_core(earlier.values(), run),
            },
            **({"earlier": earlier} if earlier else {}),
            "resumed": resumed,
            "peak_memory_bytes": backend.peak_memory(self.device),
            "images_stored": 0 if cell.recipe.drawn else len(stored["images"].flatten(0, 1)),
            "bytes_stored": sum(v.numel() * v.element_size() for v in stored.values()),
            "set_sha256": tensors_digest(stored),
            **({"notes": run.notes} if run.notes else {}),
        }
        more = with_prefix(WHITENING, normalisation.tensors())
        self.store.write_set(cell, stored | more, run.snapshots, about)
        self.store.drop_checkpoint(cell, "distill")
        return stored, about

    def _about_whole(self, cell: Cell) -> dict[str, Any]:
        """What a record says of the whole training set in place of a synthetic one."""
        dataset, data = self.dataset(cell.dataset), self.classes(cell.dataset, cell.recipe.per_class)
        return {
            "formats": Engine("plain", self.device).words,
            "curve": {"step": [], "loss": []},
            "seconds": {"distill": 0.0, "core": 0.0},
            "resumed": False,
            "peak_memory_bytes": backend.peak_memory(self.device),
            "normalisation": _normalised(dataset, cell).normalisation.about(),
            "data_fingerprint": dataset.fingerprint,
            "images_stored": data.total,
            "bytes_stored": data.total * math.prod(data.shape),
            "set_sha256": dataset.fingerprint,
        }

    def _evaluated(self, cell: Cell, sets: Sequence[dict[str, Tensor]]) -> EvaluationRun:
        dataset = self.dataset(cell.dataset)
        images: Trained
        if cell.recipe.whole:
            real = self.classes(cell.dataset, cell.recipe.per_class)
            images, origin = real.normalised_as(cell.recipe.normalisation(dataset)), dataset.fingerprint
        else:
            made = [self._training_set(one, stored) for one, stored in zip(cell.sets, sets, strict=True)]
            images = made[0] if len(made) == 1 else _united(made)
            # A checkpoint of an evaluation belongs to these very images, not to a key.
            origin = _digest_of(list(map(tensors_digest, sets)))
        also = self.dataset(cell.evaluation.also_on) if cell.evaluation.also_on else None
        start = partial(
            EvaluationRun, images, _normalised(dataset, cell), cell.evaluation, also, self.programs
        )
        run, _ = self._drive(cell, start, "evaluate", {"set": origin})
        return run

    def _training_set(self, cell: Cell, stored: dict[str, Tensor]) -> Trained:
        """What networks are trained on, normalised as they see it."""
        dataset = _normalised(self.dataset(cell.dataset), cell)
        about = dataset.shape, dataset.num_classes, dataset.normalisation
        try:
            made = cell.recipe.container.training_set(
                stored, *about, self.device, fast=cell.evaluation.mode == "fast"
            )
            if isinstance(made, Images) and tuple(made.images.shape[1:]) != dataset.shape:
                raise ValueError(f"images {tuple(made.images.shape)}, expected (n, *{dataset.shape})")
            return made
        except NOT_OURS as error:
            if backend.out_of_memory(error):
                raise
            path = self.store.set_path(cell)
            raise DataError(
                f"{path} does not hold a set of {cell.dataset}: {error!r}", f"remove {path}"
            ) from error

    def _drive(
        self, cell: Cell, start: Callable[[], T], phase: str, origin: dict[str, Any]
    ) -> tuple[T, bool]:
        """Take a task to its end, with checkpoints; also returns whether it went on from an earlier one."""
        origin = {**origin, "device": self.device.type}  # random streams do not carry over to another kind
        pace, first = Pace(), self.store.pace(cell, phase).get("first", 0.0)
        if self.clock.over(first):
            raise OutOfTime
        run, resumed = self._resumed(cell, start, phase, origin)
        log.info("%s: %s from step %d of %d on", cell.name, phase, run.step, run.steps)
        warm = not run.engine.eager and bool(
            self.programs.compiled
        )  # then a first step compiles nothing, or less
        expected = first or (0.0 if run.engine.eager or warm else COMPILING)
        saved = told = pace.started
        try:
            while not run.done:
                # Here, between two steps, everything is whole, so that what is saved is what an undisturbed run has.
                out = self.clock.over(0.0 if pace.steps else expected)
                timed = pace.counted >= TIMED_STEPS and pace.counted * pace.seconds > TIMED_SECONDS
                if out or self.interrupts.asked or (self.timing and timed):
                    self._save(cell, run, phase, origin)
                    if pace.steps:
                        self._note(cell, run, phase, pace, first)
                    self.interrupts.check()
                    raise OutOfTime if out else Begun
                ahead, before = run.ahead, time.monotonic()
                run.advance()
                pace.tick(ahead)
                # No other step takes as long as one that compiles.
                self.clock.tick(pace.now - before if pace.steps > 1 or run.engine.eager else 0.0)
                if pace.steps == 1:
                    first = max(first if warm else 0.0, pace.now - pace.started)
                if pace.steps == 1 or pace.now - told > NOTE_SECONDS:
                    self._note(cell, run, phase, pace, first)
                    told = pace.now
                if pace.now - saved > self.checkpoint_seconds and not run.done:
                    self._save(cell, run, phase, origin)
                    saved = time.monotonic()
        except Diverged as error:
            path = self.store.checkpoint_path(cell, phase)
            kept = f"; its last good state is kept in {path}" if path.exists() else ""
            raise Diverged(f"{error.message}{kept}", error.hint) from error
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"{self.device} ran out of memory in {phase} of {cell.name}",
                "--device cpu, or fewer evaluation networks",
            ) from error
        return run, resumed

    def _resumed(
        self, cell: Cell, start: Callable[[], T], phase: str, origin: dict[str, Any]
    ) -> tuple[T, bool]:
        """The task as its checkpoint left it, or from the start where there is none that fits."""
        run, found = start(), self.store.read_checkpoint(cell, phase)
        if found is None:
            return run, False
        state, about = found
        try:
            if about["origin"] != origin:
                raise ValueError("it was made from other data, or on another kind of device")
            run.restore(state)
            # After restoring: what a version of this code holds shows only in what it would write.
            if run.state().keys() != state.keys():
                raise ValueError("it has other contents, of another version of this code")
        except torch.OutOfMemoryError:  # a RuntimeError, and no fault of the checkpoint
            raise
        except (KeyError, ValueError, RuntimeError) as error:  # the last: other shapes
            self.store.start_over(cell, phase)
            why = f"its checkpoint does not fit: {error}"
            warnings.warn(f"{phase} of {cell.name} starts over, {why}", stacklevel=2)
            return start(), False
        return run, True

    def _note(self, cell: Cell, run: Task, phase: str, pace: Pace, first: float) -> None:
        losses = getattr(run, "losses", None)
        loss = f" loss {losses[-1][1]:.4g}" if losses else ""
        text = f"{cell.short_name} {phase} {run.step}/{run.steps}{loss}"
        steps = {"step": run.step, "steps": run.steps, "ahead": run.ahead}
        self.store.tell(cell, text, phase, {**steps, "seconds": pace.seconds, "first": first})
        self.say(text)

    def _save(self, cell: Cell, run: Task, phase: str, origin: dict[str, Any]) -> None:
        metadata = {"origin": origin, "step": run.step, "steps": run.steps}
        self.store.write_checkpoint(cell, phase, run.state(), metadata)
        if isinstance(run, Distillation) and (seen := run.preview()) is not None:
            self.store.write_preview(cell, seen)


def _core(before: Iterable[Mapping[str, float]], run: Distillation | EvaluationRun) -> dict[str, float]:
    """Processor seconds of all that led here; nothing where a part of it is older than their counting."""
    parts = list(before)
    if not all("core" in part for part in parts):
        return {}
    return {"core": run.core_seconds + sum(part["core"] for part in parts)}


def _together(abouts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is known of several sets, as of one: sums of what adds up. Of a single set, what is known of it."""
    if len(abouts) == 1:
        return abouts[0]
    first = abouts[0]
    return {
        "formats": ", ".join(dict.fromkeys(about.get("formats", "not recorded") for about in abouts)),
        "curve": {"step": [], "loss": []},  # every set has its own, in its file
        "seconds": {
            phase: sum(about["seconds"][phase] for about in abouts)
            for phase in first["seconds"]
            if all(phase in about["seconds"] for about in abouts)
        },
        "resumed": any(about["resumed"] for about in abouts),
        "peak_memory_bytes": max(about["peak_memory_bytes"] for about in abouts),
        "normalisation": first["normalisation"],
        "images_stored": sum(about["images_stored"] for about in abouts),
        "bytes_stored": sum(about["bytes_stored"] for about in abouts),
        "set_sha256": _digest_of([about["set_sha256"] for about in abouts]),
        "earlier": {name: took for about in abouts for name, took in about.get("earlier", {}).items()},
    }


def _united(made: Sequence[Trained]) -> Images:
    """Sets of images as one, the classes of one behind those of the other."""
    images, targets, classes = [], [], 0
    for one in made:
        assert isinstance(one, Images)
        images.append(one.images)
        targets.append(one.targets + classes)
        classes += int(one.targets.max()) + 1
    return Images(torch.cat(images), torch.cat(targets))


def _digest_of(digests: Sequence[str]) -> str:
    """One checksum of several; of one, that one."""
    return digests[0] if len(digests) == 1 else digest(list(digests))


def _normalised(dataset: Dataset, cell: Cell) -> Dataset:
    """The data set as a cell's recipe normalises it."""
    return dataset.normalised_as(cell.recipe.normalisation(dataset))


def provenance(device: torch.device) -> dict[str, Any]:
    """Where and when a number comes about: the device, versions, this code's revision, the time (UTC)."""
    return {
        "device": backend.describe(device),
        "versions": versions(),
        "revision": revision(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Versions that decide numbers."""
    import platform

    return {"python": platform.python_version(), "torch": torch.__version__, "dreamlib": version()}


@cache
def revision() -> str:
    """Git commit of this code, with "+" when the working tree differs; empty when git does not know the file."""
    import subprocess

    here = Path(__file__).resolve()
    with suppress(OSError, subprocess.SubprocessError):

        def git(*words: str) -> str:
            return subprocess.run(
                ["git", *words], cwd=here.parent, capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()

        # Installed into a virtual environment inside somebody's own repository, the code is not that repository's.
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--", str(here.parent.parent))
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    return ""
