"""Sets by name: ``digits/dream/ipc10`` is a set of the results folder, whatever its file is called.

This is what ``dreamlib.load_set`` and ``dreamlib.export`` are: those of :mod:`dreamlib.distillation`, and the names and
records of this folder.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import BadValue, Damaged, DreamlibError, StoreError, known
from ..core.files import COURSE, read_json, read_metadata
from ..core.places import path_of
from ..core.reading import is_folder, present
from ..distillation import exports, sets
from ..distillation.sets import DistilledSet
from . import cards
from .cells import Cell, make_cell
from .profiles import profiles
from .store import Store

# Where several profiles have a set of one name, the nearest to what is published is meant.
BEST_FIRST = ("paper", "cpu", "quick")
ITEM = "dream/figure3"  # which shows sets, of any method, and so makes what is missing of them
MOST_NAMED = 20  # sets that an error lists
_NAME = re.compile(
    r"(?P<dataset>.+)/(?P<method>[^/]+)/in?pc(?P<ipc>[0-9]{1,9})(?:/s(?P<seed>[0-9]{1,18}))?", re.I
)


@dataclass(frozen=True)
class Name:
    """A set's name: ``DATASET/METHOD/ipcN``, and ``/sN`` behind it for another seed than 0."""

    dataset: str
    method: str
    ipc: int
    seed: int = 0

    @classmethod
    def of(cls, text: object) -> Name | None:
        """The name that a text is; None if it is none. A path of something that is there is a path."""
        found = _NAME.fullmatch(text) if isinstance(text, str) else None
        if found is None or present(path_of(found[0])) or is_folder(path_of(found[0])):
            return None
        return cls(found["dataset"], found["method"], int(found["ipc"]), int(found["seed"] or 0))

    @classmethod
    def told(cls, about: dict[str, Any]) -> Name | None:
        """The name of what a set says of itself; None where it does not say enough."""
        with suppress(KeyError, TypeError, ValueError):
            per_class = about.get("drawn", {}).get("per_class", about["ipc"])
            return cls(str(about["dataset"]), str(about["method"]), int(per_class), int(about["seed"]))
        return None

    def __str__(self) -> str:
        seed = f"/s{self.seed}" if self.seed else ""
        return f"{self.dataset}/{self.method}/ipc{self.ipc}{seed}"

    def cell(self, profile: str) -> Cell:
        """The cell whose set it is under a profile."""
        return make_cell(profile, self.method, self.dataset, self.ipc, self.seed)

    def command(self, profile: str, store: Store | None = None) -> str:
        """What to type to make it."""
        chosen = {"profile": profile, "datasets": self.dataset, "ipc": self.ipc, "methods": self.method}
        words = ["python", "-m", "dreamlib", "run", ITEM]
        for option, value in {**chosen, "seeds": self.seed + 1}.items():
            words += [f"--{option}", str(value)]
        if store is not None and store.root != Store().root:
            words += ["--results", str(store.root)]
        return shlex.join(words)


def find(
    name: str | Name, profile: str = "", results: str | Path | None = None, *, data: str | Path | None = None
) -> tuple[Store, Cell]:
    """The results folder and the cell of a set by its name.

    Parameters
    ----------
    name : str
        ``"digits/dream/ipc10"``, or ``"digits/dream/ipc10/s2"``. Of a generator ``ipc`` counts the images to
        draw of each class.
    profile : str
        Empty: the first of ``paper``, ``cpu``, ``quick`` that has it.
    results, data : path, optional
        See :class:`~.store.Store`.

    Raises
    ------
    UnknownName, BadValue
        For a data set, a method or a profile that there is not, and a method that has no sets.
    StoreError
        If there is no such set: it says which there are, and what makes this one.
    """
    asked = name if isinstance(name, Name) else Name.of(name)
    if asked is None:
        raise BadValue(f"{name!r} is no name of a set; expected DATASET/METHOD/ipcN", "digits/dream/ipc10")
    store = Store(results, data=data)
    others = tuple(one for one in profiles if one not in BEST_FIRST)
    tried = (known("profile", profile, profiles),) if profile else (*BEST_FIRST, *others)
    for cell in map(asked.cell, tried):
        if cell.recipe.whole:
            raise BadValue(
                f"{cell.method!r} trains on the whole training set and has no set of its own",
                f"dreamlib.data.load({asked.dataset!r})",
            )
        if present(store.set_path(cell)):
            return store, cell
    there = [f"{one} ({where})" for where, one in available(store)]
    more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    said = f"there are {', '.join(there[:MOST_NAMED])}{more}" if there else "there is none yet"
    smallest = next((one for one in reversed(BEST_FIRST) if asked.dataset in profiles[one].datasets), "cpu")
    raise StoreError(
        f"no set {asked}{f' of profile {profile}' if profile else ''} in {store.root}: {said}",
        asked.command(profile or smallest, store),
    )


def available(store: Store) -> Iterator[tuple[str, Name]]:
    """The sets that :func:`find` finds in a results folder: profile and name, by path. Only headers are read."""
    for path in sorted(store.root.glob("*/sets/*.safetensors")):
        if path.name.endswith(COURSE):
            continue
        # Damaged files, methods of a plug-in that is not loaded, and what an item of its own has made have no name.
        with suppress(DreamlibError, FileNotFoundError):
            name = Name.told(read_metadata(path))
            if name is not None and store.set_path(name.cell(path.parts[-3])) == path:
                yield path.parts[-3], name


def load_set(
    path: str | Path,
    dataset: str = "",
    *,
    profile: str = "",
    results: str | Path | None = None,
    data: str | Path | None = None,
) -> DistilledSet:
    """Load a distilled set by its name, or from a file or folder; see :func:`dreamlib.distillation.sets.load_set`.

    Parameters
    ----------
    path : str or path
        ``"digits/dream/ipc10"``: data set, method, stored images of each class, of seed 0;
        ``"digits/dream/ipc10/s2"`` of seed 2. Or the file, or the folder of images. Of a generator so many
        images are drawn, with that seed.
    dataset : str
        The data set that a file is expected to hold; empty takes any.
    profile : str
        Of a name. Empty: the first of ``paper``, ``cpu``, ``quick`` that has it.
    results, data : path, optional
        Of a name: the results folder and the data folder, as for :class:`~.store.Store`.

    Raises
    ------
    UnknownName, BadValue
        For a data set, a method or a profile that there is not.
    StoreError
        If there is no such set, or it is damaged, or was distilled from other data than the data set is now.
    """
    name = Name.of(path)
    if name is None:
        return sets.load_set(path, dataset)
    store, cell = find(name, profile, results, data=data)
    file = store.set_path(cell)
    if cell.recipe.drawn:
        found = sets.load_generator(file, dataset).draw(cell.ipc, seed=cell.seed)
    else:
        found = sets.load_set(file, dataset)
    if not store.fits(cell, found.about, file):
        raise StoreError(
            f"{file} is no distilled set of {cell.dataset} as it is now", name.command(cell.profile, store)
        )
    return found


def records_of(distilled: DistilledSet, store: Store) -> list[dict[str, Any]]:
    """The records of all sets that were made and judged in the same way, by seed; damaged ones are passed over.

    A draw from a generator is not what was judged, and has none.
    """
    about, found = distilled.about, {}
    same = ("method", "dataset", "ipc", "recipe", "evaluation", "iterations", "data_fingerprint")
    if "drawn" in about or any(name not in about for name in ("profile", "seed", *same)):
        return []
    for path in sorted((store.root / str(about["profile"])).glob("*.json")):
        with suppress(Damaged, FileNotFoundError):
            record = read_json(path)
            if record.get("iteration") != about["iterations"]:  # of a state along the way
                continue
            if all(record.get(name) == about[name] for name in same) and record.get("accuracies"):
                found[int(record["seed"])] = record
    return [found[seed] for seed in sorted(found)]


def card(distilled: DistilledSet, store: Store | None = None, form: str = "", file: str = "") -> str:
    """The card of a set as Markdown: what it is, how it was made, what it is worth, how to use it.

    Parameters
    ----------
    distilled : DistilledSet
        The set.
    store : Store, optional
        Where its records are; default: the results folder.
    form, file : str
        Format of an export, and its name, so that the card says how to read it.
    """
    store = store or Store()
    name = Name.told(distilled.about)
    profile = str(distilled.about.get("profile", ""))
    made_by = name.command(profile) if name is not None and profile else ""
    title = str(name) if name is not None else "A distilled set"
    try:
        return cards.written(distilled, title, records_of(distilled, store), made_by, form, file)
    except sets.NOT_OURS as error:
        raise StoreError(
            f"what this set says of itself is not of this version: {error!r}", "distil it again"
        ) from error


def export(
    distilled: DistilledSet,
    target: str | Path,
    form: str = "",
    *,
    overwrite: bool = False,
    results: str | Path | None = None,
) -> Path:
    """Write a set and its card for use elsewhere; see :func:`dreamlib.distillation.exports.export`.

    The card is ``README.md`` in a folder, and ``set.parquet.md`` next to ``set.parquet``. ``results`` is the results
    folder whose records it tells of.
    """
    form = exports.form_of(target, form)
    told = card(distilled, Store(results), form, path_of(target).name)
    return exports.export(distilled, target, form, overwrite=overwrite, card=told)
