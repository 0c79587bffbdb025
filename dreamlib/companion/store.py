"""The results folder: records, synthetic sets, checkpoints, locks."""

from __future__ import annotations

import glob
import itertools
import json
import os
import platform
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from torch.nn.functional import pad

from ..core.atomic import cannot_write, write_atomically
from ..core.errors import BadValue, Damaged, StoreError
from ..core.files import (
    COURSE,
    below,
    canonical,
    read_json,
    read_metadata,
    read_tensors,
    tensors_digest,
    with_prefix,
    write_json,
    write_tensors,
)
from ..core.places import path_of, setting
from ..data import at_hand
from ..distillation.loop import SETTLED
from .cells import Cell
from .measurements import SCHEMA as MEASURED_SCHEMA
from .measurements import Measurement

SCHEMA = 1
MOST_OF_A_NOTE = 2**16  # bytes; our own have some hundred
READINGS = 4  # of a note that is no note, before it is taken for one of a stranger
# What a record says of how it was measured, where it does; tables and forecasts reckon with it.
MEASURED: dict[str, type] = {
    "accuracies_on": dict,
    "seconds": dict,
    "curve": dict,
    "images_stored": int,
    "images_decoded": int,
    "steps_trained": int,
    "bytes_stored": int,
    "device": str,
}


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, or held it last: which process on which machine, since when (UTC), as part of which run.

    Attributes
    ----------
    text : str
        What it is at.
    paces : dict of str to dict
        How fast it is, by phase; see :meth:`Store.tell`.
    """

    host: str
    pid: int
    since: str
    run: str = ""
    text: str = field(default="", compare=False)
    paces: dict[str, dict[str, float]] = field(default_factory=dict, compare=False)


class Store:
    """What has been computed, under one folder.

    ::

        <root>/<profile>/<cell name>.json            one record per cell
        <root>/<profile>/measured/<name>.json        what a notebook measures by itself
        <root>/<profile>/sets/<set name>.safetensors  the synthetic set, and its course in <...>.course.safetensors
        <root>/<profile>/unfinished/<key>.*           locks, checkpoints and failures of what is not finished

    Every file is written atomically and carries a checksum. A damaged or foreign file is passed over with a warning,
    never read as a result and never deleted. Who holds the lock of its cell, to compute it again, sets it aside
    (renames it); reading alone changes nothing. A file that cannot be opened is not damaged: that is an error.

    Parameters
    ----------
    root : path
        Default: the environment variable ``DREAMLIB_RESULTS``, else ``reports/results``, below the project's folder.
    data : path, optional
        Data folder; see :func:`dreamlib.data.load`. What is kept of a user's own data set (``folder:``, ``parquet:``)
        counts as not there where that data set is another one now.
    run_id : str
        What the run is called in the locks it holds.
    """

    def __init__(
        self, root: str | Path | None = None, run_id: str = "", *, data: str | Path | None = None
    ) -> None:
        self.run_id = run_id
        self.root = path_of(root) if root else setting("DREAMLIB_RESULTS", "reports/results")
        self.data = data
        self._at_hand: dict[str, str | None] = {}  # fingerprints by the name of a data set
        self._of_other_data: set[Path] = set()  # files that were passed over for that
        self._held: set[str] = set()  # keys of the locks that this store holds
        self._settled: dict[
            Path, str
        ] = {}  # checksums of the parts of checkpoints that stand in files of their own

    def check_writable(self) -> None:
        """Raise :class:`StoreError` now rather than after an hour of computing."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b"?")
        except OSError as error:
            raise cannot_write(self.root, error) from error

    # Records

    def record_path(self, cell: Cell) -> Path:
        """Where the record of a cell is, or will be."""
        return self.root / cell.profile / f"{cell.name}.json"

    def record(self, cell: Cell) -> dict[str, Any] | None:
        """The record of a cell, or None when it is not there (or is damaged).

        Raises
        ------
        StoreError
            If it is there and cannot be opened.
        """
        path = self.record_path(cell)
        try:
            record = read_json(path)
            # The file's name holds only ten digits of the key; the whole key is compared.
            if record.get("schema") != SCHEMA or record.get("key") != cell.key:
                raise Damaged(f"{path} is the record of another cell or schema", "")
            _check_whole(path, record, cell)
        except FileNotFoundError:
            return None
        except Damaged as error:
            self._pass_over(cell, path, error)
            return None
        return record if self.fits(cell, record, path) else None

    def finished(self, cell: Cell) -> bool:
        """Whether nothing is left to do for a cell."""
        if self.record(cell) is None:
            return False
        # A page that shows images needs the sets too, and these are no part of a repository.
        return not cell.with_set or all(self.read_set(one) is not None for one in cell.sets)

    def write_record(self, cell: Cell, result: dict[str, Any]) -> None:
        """Write the record of a finished cell; its failures are forgotten."""
        # Results of other data under the same name are the user's: renamed, never overwritten.
        self._make_room(self.record_path(cell))
        write_json(self.record_path(cell), {"schema": SCHEMA, "key": cell.key, **cell.describe(), **result})
        self._drop_failure(cell, "distill")
        self._drop_failure(cell, "evaluate")

    # What notebooks measure by themselves

    def measurement_path(self, wanted: Measurement) -> Path:
        """Where a measurement is, or will be."""
        return self.root / wanted.profile / "measured" / f"{wanted.name}.json"

    def measurement(self, wanted: Measurement) -> dict[str, Any] | None:
        """What was measured, its ``rows`` among it, or None when it is not there (or is damaged).

        Raises
        ------
        StoreError
            If it is there and cannot be opened.
        """
        path = self.measurement_path(wanted)
        try:
            found = _whole_measurement(path, wanted)
        except FileNotFoundError:
            return None
        except Damaged as error:
            warnings.warn(f"passed over {path}, which is measured again: {error}", stacklevel=4)
            return None
        return found if self.fits(wanted, found, path) else None

    def write_measurement(self, wanted: Measurement, result: dict[str, Any]) -> dict[str, Any]:
        """Keep what was measured, its ``rows`` and how they came about; what the file has of it.

        Raises
        ------
        BadValue
            A row holds what JSON cannot: a number that is not finite, or one of NumPy's.
        """
        for number, row in enumerate(result["rows"]):
            for name, value in row.items():
                try:
                    canonical(value)
                except (TypeError, ValueError) as error:
                    raise BadValue(
                        f"{wanted.name}, row {number}: {name} is {value!r}; expected finite numbers, text, "
                        f"None or lists of them ({error})",
                        "leave it out, or None where there is no number",
                    ) from error
        path = self.measurement_path(wanted)
        self._make_room(path)
        try:
            _whole_measurement(path, wanted)
        except FileNotFoundError:
            pass
        except Damaged as error:
            self._set_aside(path, error)
        write_json(path, {"schema": MEASURED_SCHEMA, "key": wanted.key, **wanted.describe(), **result})
        return _whole_measurement(path, wanted)

    # Synthetic sets

    def set_path(self, cell: Cell) -> Path:
        """Where the synthetic set of a cell is, or will be."""
        return self.root / cell.profile / "sets" / f"{cell.set_name}.safetensors"

    def course_path(self, cell: Cell) -> Path:
        """Where the set's states along the way are, or will be."""
        return self.set_path(cell).with_suffix(COURSE)

    def read_set(
        self, cell: Cell, needs: Sequence[str] = ()
    ) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The finished synthetic set of a cell and its metadata, or None; one that does not say all it ``needs`` to is
        damaged.
        """
        path = self.set_path(cell)
        found = self._read(cell, path, cell.set_key, needs)
        return found if found is None or self.fits(cell, found[1], path) else None

    def read_course(self, cell: Cell) -> dict[int, dict[str, Tensor]] | None:
        """The set at each of its snapshots, by ascending matching step; None when the course was not kept."""
        path = self.course_path(cell)
        found = self._read(cell, path, cell.set_key)
        if found is None or not self.fits(cell, found[1], path):
            return None
        course: dict[int, dict[str, Tensor]] = {}
        for name, value in found[0].items():
            step, _, tensor = name.partition(".")
            course.setdefault(int(step), {})[tensor] = value
        # A safetensors file gives its tensors in any order.
        return dict(sorted(course.items()))

    def write_set(
        self,
        cell: Cell,
        tensors: dict[str, Tensor],
        course: dict[int, dict[str, Tensor]],
        metadata: dict[str, Any],
    ) -> None:
        """Write a finished set and its course (step -> tensors)."""
        metadata = {"key": cell.set_key, **metadata}
        flat = {f"{step}.{name}": value for step, at in course.items() for name, value in at.items()}
        if (
            self.set_path(cell) in self._of_other_data
        ):  # then its course is too, which nobody may have looked at
            self._of_other_data.add(self.course_path(cell))
        self._make_room(self.course_path(cell))
        self._make_room(self.set_path(cell))
        # The course first, so that a finished set always has it.
        write_tensors(self.course_path(cell), flat, metadata)
        write_tensors(self.set_path(cell), tensors, metadata)
        self._drop_failure(cell, "distill")

    # Unfinished work

    def _work(self, cell: Cell) -> Path:
        return self.root / cell.profile / "unfinished"

    def checkpoint_path(self, cell: Cell, phase: str) -> Path:
        """The checkpoint of a phase: ``"distill"``, one for all cells of a set, or ``"evaluate"``."""
        return self._work(cell) / f"{_key(cell, phase)[:24]}.{phase}.safetensors"

    def progress(self, cell: Cell, phase: str) -> dict[str, Any] | None:
        """The metadata of an unfinished phase, its ``step`` of ``steps`` among them, or None; its state is not read."""
        path = self.checkpoint_path(cell, phase)
        try:
            about = read_metadata(path)
            if about.get("key") != _key(cell, phase):
                raise Damaged(f"{path} belongs to another cell", "")
        except FileNotFoundError:
            return None
        except Damaged as error:
            self._pass_over(cell, path, error)
            return None
        data = about.get("origin", {}).get("data")
        return about if phase == "evaluate" or self.fits(cell, {"data_fingerprint": data}, path) else None

    def read_checkpoint(self, cell: Cell, phase: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The state and metadata of an unfinished phase, or None; one of whose parts a file is missing is damaged."""
        path = self.checkpoint_path(cell, phase)
        self.start_over(cell, phase)
        found = self._read(cell, path, _key(cell, phase))
        if found is None or phase == "evaluate":
            return found
        # An evaluation goes on from a set, whose own data have been looked at.
        about = {"data_fingerprint": found[1].get("origin", {}).get("data")}
        if not self.fits(cell, about, path):
            return None
        parts = {
            self._part_path(cell, phase, name): seal for name, seal in found[1].get("settled", {}).items()
        }
        try:
            for part, seal in parts.items():
                state, _ = read_tensors(part)
                if tensors_digest(state) != seal:
                    raise Damaged(f"{part} is not the part that {path.name} was written with", "")
                found[0].update(state)
        except (FileNotFoundError, Damaged) as error:
            if path.exists():  # else another process has finished, and removed them all
                self._pass_over(cell, path, error)
            return None
        self._settled |= parts
        return found

    def write_checkpoint(
        self, cell: Cell, phase: str, state: dict[str, Tensor], metadata: dict[str, Any]
    ) -> None:
        """Keep the state of an unfinished phase. What is :data:`SETTLED` in it is written the first time only."""
        key = {"key": _key(cell, phase)}
        settled = {name for name in state if name.startswith(SETTLED)}
        seals: dict[str, str] = {}
        # The parts first: a checkpoint never refers to one that is not there.
        for part in dict.fromkeys(name.split(".")[1] for name in settled):
            path, prefix = self._part_path(cell, phase, part), f"{SETTLED}{part}."
            if path not in self._settled:
                tensors = with_prefix(prefix, below(state, prefix))
                write_tensors(path, tensors, key)
                self._settled[path] = tensors_digest(tensors)
            seals[part] = self._settled[path]
        more = {"settled": seals} if seals else {}
        self._make_room(self.checkpoint_path(cell, phase))
        rest = {name: value for name, value in state.items() if name not in settled}
        write_tensors(self.checkpoint_path(cell, phase), rest, {**key, **more, **metadata})

    def start_over(self, cell: Cell, phase: str) -> None:
        """Forget which parts of a checkpoint are written: those that come now are of another run."""
        self._settled = {
            path: seal
            for path, seal in self._settled.items()
            if not path.match(self._part_path(cell, phase, "*").name)
        }

    def _part_path(self, cell: Cell, phase: str, part: str) -> Path:
        return self._work(cell) / f"{_key(cell, phase)[:24]}.{part}.{phase}.safetensors"

    def preview_path(self, cell: Cell) -> Path:
        """Where one looks at what an unfinished generator draws: a PNG, a row for each class."""
        return self._work(cell) / f"{cell.set_name}.png"

    def write_preview(self, cell: Cell, images: Tensor) -> None:
        """Save unit images (C, n, c, h, w) of an unfinished generator."""
        # Not by torchvision's save_image: to import it takes three seconds, in every process that trains a generator.
        from PIL import Image

        eight = (images.cpu() * 255).round().clamp(0, 255).to(torch.uint8)
        # (C, n, c, h, w) to one picture: a row for each class, two black pixels around every image.
        apart = pad(eight, (2, 0, 2, 0)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
        pixels = pad(apart, (0, 2, 0, 2)).permute(1, 2, 0)
        picture = Image.fromarray((pixels[:, :, 0] if images.shape[2] == 1 else pixels).numpy())
        write_atomically(self.preview_path(cell), lambda path: picture.save(path, format="png"))

    def drop_checkpoint(self, cell: Cell, phase: str) -> None:
        """Remove the checkpoint of a phase that is finished."""
        # The checkpoint before its parts: it never refers to one that is gone.
        for path in (
            self.checkpoint_path(cell, phase),
            *self._work(cell).glob(self._part_path(cell, phase, "*").name),
            *((self.preview_path(cell),) if phase == "distill" else ()),
        ):
            with suppress(OSError):
                path.unlink()
        self.start_over(cell, phase)

    def _failure_path(self, cell: Cell, phase: str) -> Path:
        return self._work(cell) / f"{_key(cell, phase)[:24]}.failed.json"

    def write_failure(self, cell: Cell, phase: str, error: str, run_id: str) -> None:
        """Note why a phase failed, and in which run; a set that failed stands for all its cells."""
        note = {"key": _key(cell, phase), "error": error, "run": run_id, **cell.describe()}
        write_json(self._failure_path(cell, phase), note)

    def failure(self, cell: Cell, run_id: str | None = None) -> str | None:
        """Why the last try at a cell or a set of it failed, or None; with ``run_id``, only what failed in that run."""
        for one, phase in (*((one, "distill") for one in cell.sets), (cell, "evaluate")):
            with suppress(Damaged, FileNotFoundError):  # one that is damaged is overwritten by the next
                note = read_json(self._failure_path(one, phase))
                if run_id in (None, note.get("run")):
                    return str(note.get("error"))
        return None

    def _drop_failure(self, cell: Cell, phase: str) -> None:
        with suppress(OSError):
            self._failure_path(cell, phase).unlink()

    @contextmanager
    def lock(self, cell: Cell) -> Iterator[bool]:
        """Hold a cell and its synthetic set for oneself; yields False at once when another process has it.

        The operating system drops the lock of a process that dies, however it dies. What such a process was writing
        is removed then: nobody else writes these files.
        """
        path = self._lock_path(cell)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not a "soft" lock, where the file system knows no other: it would outlive a process that is killed.
            lock = FileLock(path, fallback_to_soft=False)
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        except OSError as error:
            hint = "--results DIR on a disk that supports locks (flock) and that you may write to"
            raise StoreError(f"cannot lock {path}: {error.strerror or error}", hint) from error
        try:
            self._held.add(cell.lock_key)
            # The paces of whoever held it last stay: forecasts reckon with them.
            before = self.holder(cell)
            now, paces = datetime.now(UTC).isoformat(" ", "seconds"), before.paces if before else {}
            self._note(cell, Holder(platform.node(), os.getpid(), now, self.run_id, paces=paces))
            self._sweep(cell)
            yield True
        finally:
            self._held.discard(cell.lock_key)
            if (note := self.holder(cell)) is not None and note.text:
                self._note(cell, replace(note, text=""))
            lock.release()

    def _lock_path(self, cell: Cell) -> Path:
        return self._work(cell) / f"{cell.lock_key[:24]}.lock"

    def holder(self, cell: Cell) -> Holder | None:
        """Who holds the lock of a cell, or held it last; None if nobody has said so."""
        with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
            path = self._lock_path(cell)
            if not path.is_file():  # a pipe that lies there would never end
                return None
            found = Holder(**_read_note(path))
            if all(_number(value) for pace in found.paces.values() for value in pace.values()):
                return found
        return None

    def tell(self, cell: Cell, text: str, phase: str, pace: dict[str, float]) -> None:
        """Note in a lock that is held how far the work is, for a parent to show and for forecasts.

        ``pace`` has the ``step`` of ``steps``, how many steps are ``ahead`` that take like the last ones, the mean
        ``seconds`` of those, and the seconds until the ``first`` step of a process was made, with what comes before.
        """
        if (held := self.holder(cell)) is not None:
            self._note(cell, replace(held, text=text, paces={**held.paces, phase: pace}))

    def pace(self, cell: Cell, phase: str) -> dict[str, float]:
        """What the last process at a phase of a cell told of it; empty where none has."""
        held = self.holder(cell)
        return {} if held is None else held.paces.get(phase, {})

    def _note(self, cell: Cell, note: Holder) -> None:
        path = self._lock_path(cell)
        with suppress(OSError), path.open("r+b", buffering=0) as stream:  # only to tell others
            # One write over what is there, spaces behind it: who reads meanwhile never finds an empty file.
            stream.write(json.dumps(asdict(note)).encode().ljust(path.stat().st_size))

    def _sweep(self, cell: Cell) -> None:
        targets = (
            self.record_path(cell),
            self.set_path(cell),
            self.course_path(cell),
            self.preview_path(cell),
            self.checkpoint_path(cell, "distill"),
            self.checkpoint_path(cell, "evaluate"),
        )
        patterns = [(target.parent, glob.escape(target.name)) for target in targets]
        for folder, pattern in (*patterns, (self._work(cell), self._part_path(cell, "distill", "*").name)):
            for leftover in folder.glob(f".{pattern}.*.tmp"):
                with suppress(OSError):
                    leftover.unlink()

    # Other data under the same name

    def fits(self, cell: Cell | Measurement, about: dict[str, Any], path: Path) -> bool:
        """Whether what ``path`` holds (``about`` has its ``data_fingerprint``) is of the data set as it is now.

        Where the data are not at hand, it is.
        """
        name = cell.dataset
        if name not in self._at_hand:
            self._at_hand[name] = at_hand(name, self.data)
        now = self._at_hand[name]
        if now is None or about.get("data_fingerprint") == now:
            return True
        self._of_other_data.add(path)
        how = "holds other images than when it was measured" if now else "cannot be read now"
        warnings.warn(
            f"{name} {how}, so what {self.root} has of it counts as not there; a run keeps that and computes it again",
            stacklevel=4,
        )
        return False

    def _make_room(self, path: Path) -> None:
        """Before ``path`` is written: what it holds of other data is kept under another name."""
        if path in self._of_other_data:
            self._of_other_data.discard(path)
            with suppress(FileNotFoundError):
                os.replace(path, _free_name(path, "other-data"))

    # Damage

    def _read(
        self, cell: Cell, path: Path, key: str, needs: Sequence[str] = ()
    ) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        try:
            tensors, metadata = read_tensors(path)
            if metadata.get("key") != key:
                raise Damaged(f"{path} belongs to another cell", "")
            if missing := [name for name in needs if name not in metadata]:
                raise Damaged(f"{path} does not say its {', '.join(missing)}", "")
        except FileNotFoundError:
            return None
        except Damaged as error:
            self._pass_over(cell, path, error)
            return None
        return tensors, metadata

    def _pass_over(self, cell: Cell, path: Path, error: Exception) -> None:
        """Warn of a damaged file, and set it aside if this store holds the lock of its cell."""
        if cell.lock_key in self._held:
            self._set_aside(path, error)
        else:
            warnings.warn(f"passed over {path}, which a run would compute again: {error}", stacklevel=4)

    def _set_aside(self, path: Path, error: Exception) -> None:
        aside = _free_name(path, "damaged")
        try:
            os.replace(path, aside)
        except FileNotFoundError:
            return  # another process was faster: it has set it aside, or finished and removed it
        except OSError as refused:
            warnings.warn(f"passed over {path}, it cannot be set aside ({refused}): {error}", stacklevel=5)
            return
        warnings.warn(f"set aside {path} as {aside.name}: {error}", stacklevel=5)


def _check_whole(path: Path, record: dict[str, Any], cell: Cell) -> None:
    """Raise Damaged for a record that lacks what its readers rely on; a right checksum does not make it complete."""
    asked = {name: type(value) for name, value in cell.describe().items()}
    wrong = [name for name, kind in asked.items() if not isinstance(record.get(name), kind)]
    wrong += [name for name, kind in MEASURED.items() if not isinstance(record.get(name, kind()), kind)]
    if wrong:
        raise Damaged(f"{path} lacks {', '.join(wrong)}, or has it in another form", "")
    networks = cell.evaluation.networks
    for values in (record.get("accuracies"), *record.get("accuracies_on", {}).values()):
        if not isinstance(values, list) or len(values) != networks:
            raise Damaged(f"{path} does not hold {networks} accuracies", "")
        if not all(_number(value) and value <= 100 for value in values):
            raise Damaged(f"{path} holds accuracies outside 0 to 100", "")
    if not all(map(_number, record.get("seconds", {}).values())):
        raise Damaged(f"{path} holds seconds that are no durations", "")


def _whole_measurement(path: Path, wanted: Measurement) -> dict[str, Any]:
    """What a file has of a measurement; raise Damaged where it is another one's, or has no rows."""
    found = read_json(path)
    if found.get("schema") != MEASURED_SCHEMA or found.get("key") != wanted.key:
        raise Damaged(f"{path} is another measurement, or of another schema", "")
    rows = found.get("rows")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Damaged(f"{path} has no rows", "")
    if lacks := [name for name in ("device", "seconds", "versions", "revision") if name not in found]:
        raise Damaged(f"{path} does not say its {', '.join(lacks)}", "")
    return found


def _read_note(path: Path) -> dict[str, Any]:
    """The note in a lock; ValueError for what is none."""
    for left in reversed(range(READINGS)):
        try:
            with path.open("rb") as stream:
                return dict(json.loads(stream.read(MOST_OF_A_NOTE)))
        except ValueError:
            # A reader may see the first half of a new note and the second of the old one: the next look is whole.
            if not left:
                raise
    raise AssertionError("unreachable")


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _free_name(path: Path, why: str) -> Path:
    """A name for a file that is set aside."""
    names = (path.with_name(f"{path.name}{number or ''}.{why}") for number in itertools.count())
    return next(name for name in names if not name.exists())


def _key(cell: Cell, phase: str) -> str:
    return cell.set_key if phase == "distill" else cell.key
