"""The results folder: records, synthetic sets, checkpoints, locks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from ..errors import StoreError
from .cells import Cell
from .files import read_json, read_tensors, write_json, write_tensors

SCHEMA = 1


class Store:
    """What has been computed, under one folder.

    ::

        <root>/<profile>/<cell name>.json            one record per cell
        <root>/<profile>/sets/<set name>.safetensors  the synthetic set, and its course in <...>.course.safetensors
        <root>/<profile>/work/<set key>.*             locks, checkpoints and failures of what is not finished

    Every file is written atomically and carries a checksum. A damaged or foreign file is set aside (renamed, with a
    warning) and computed again, never read as a result and never deleted.

    Parameters
    ----------
    root : path
        Default: the environment variable ``DREAMLIB_RESULTS``, else ``reports/results``.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root or os.environ.get("DREAMLIB_RESULTS") or "reports/results")

    def check_writable(self) -> None:
        """Raise :class:`StoreError` now rather than after an hour of computing."""
        probe = self.root / ".writable"
        write_json(probe, {})
        with suppress(OSError):
            probe.unlink()

    # Records

    def record_path(self, cell: Cell) -> Path:
        return self.root / cell.profile / f"{cell.name}.json"

    def record(self, cell: Cell) -> dict[str, Any] | None:
        """The record of a cell, or None when it is not there (or was damaged, and has been set aside)."""
        path = self.record_path(cell)
        if not path.exists():
            return None
        try:
            record = read_json(path)
            if record.get("schema") != SCHEMA or record.get("key") != cell.key:
                raise StoreError(f"{path} is the record of another cell or schema", "")
            accuracies = record["accuracies"]
            if len(accuracies) != cell.evaluation.networks or not all(0 <= a <= 100 for a in accuracies):
                raise StoreError(f"{path} does not hold {cell.evaluation.networks} accuracies", "")
        except (StoreError, KeyError, TypeError) as error:
            self._set_aside(path, error)
            return None
        return record

    def write_record(self, cell: Cell, result: dict[str, Any]) -> None:
        write_json(self.record_path(cell), {"schema": SCHEMA, "key": cell.key, **cell.describe(), **result})
        with suppress(OSError):
            self._failure_path(cell).unlink()

    # Synthetic sets

    def set_path(self, cell: Cell) -> Path:
        return self.root / cell.profile / "sets" / f"{cell.set_name}.safetensors"

    def course_path(self, cell: Cell) -> Path:
        return self.set_path(cell).with_suffix(".course.safetensors")

    def read_set(self, cell: Cell) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The finished synthetic set of a cell and its metadata, or None."""
        return self._read(self.set_path(cell), cell.set_key)

    def read_course(self, cell: Cell) -> dict[int, dict[str, Tensor]] | None:
        """The set at each of its snapshots, by matching step, or None when the course was not kept."""
        found = self._read(self.course_path(cell), cell.set_key)
        if found is None:
            return None
        course: dict[int, dict[str, Tensor]] = {}
        for name, value in found[0].items():
            step, _, tensor = name.partition(".")
            course.setdefault(int(step), {})[tensor] = value
        return course

    def write_set(
        self, cell: Cell, tensors: dict[str, Tensor], course: dict[int, dict[str, Tensor]], metadata: dict[str, Any]
    ) -> None:
        metadata = {"key": cell.set_key, **metadata}
        flat = {f"{step}.{name}": value for step, tensors_ in course.items() for name, value in tensors_.items()}
        write_tensors(self.course_path(cell), flat, metadata)  # first, so that a finished set always has its course
        write_tensors(self.set_path(cell), tensors, metadata)

    # Unfinished work

    def _work(self, cell: Cell) -> Path:
        return self.root / cell.profile / "work"

    def checkpoint_path(self, cell: Cell, phase: str) -> Path:
        key = cell.set_key if phase == "distill" else cell.key
        return self._work(cell) / f"{key[:24]}.{phase}.safetensors"

    def read_checkpoint(self, cell: Cell, phase: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        return self._read(self.checkpoint_path(cell, phase), cell.set_key if phase == "distill" else cell.key)

    def write_checkpoint(self, cell: Cell, phase: str, state: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        key = cell.set_key if phase == "distill" else cell.key
        write_tensors(self.checkpoint_path(cell, phase), state, {"key": key, **metadata})

    def drop_checkpoint(self, cell: Cell, phase: str) -> None:
        with suppress(OSError):
            self.checkpoint_path(cell, phase).unlink()

    def _failure_path(self, cell: Cell) -> Path:
        return self._work(cell) / f"{cell.key[:24]}.failed.json"

    def write_failure(self, cell: Cell, error: str) -> None:
        write_json(self._failure_path(cell), {"key": cell.key, "error": error, **cell.describe()})

    def failure(self, cell: Cell) -> str | None:
        """Why the last try at a cell failed, or None."""
        path = self._failure_path(cell)
        if not path.exists():
            return None
        with suppress(StoreError):
            return str(read_json(path)["error"])
        return "unreadable failure note"

    @contextmanager
    def lock(self, cell: Cell) -> Iterator[bool]:
        """Hold a synthetic set for oneself; yields False at once when another process has it.

        The operating system drops the lock of a process that dies, however it dies.
        """
        path = self._work(cell) / f"{cell.set_key[:24]}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise StoreError(f"cannot lock {path}: {error}", "--results DIR on a disk that supports locks") from error
        try:
            yield True
        finally:
            lock.release()

    # Damage

    def _read(self, path: Path, key: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        if not path.exists():
            return None
        try:
            tensors, metadata = read_tensors(path)
            if metadata.get("key") != key:
                raise StoreError(f"{path} belongs to another cell", "")
        except StoreError as error:
            self._set_aside(path, error)
            return None
        return tensors, metadata

    def _set_aside(self, path: Path, error: Exception) -> None:
        aside = path.with_name(f"{path.name}.damaged")
        with suppress(OSError):
            os.replace(path, aside)
        warnings.warn(f"set aside as {aside.name}, to be computed again: {error}", stacklevel=3)
