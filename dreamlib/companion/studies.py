"""A study: the cells of an item under one choice of profile, data sets, budgets, methods and seeds."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core import plugins
from ..core.errors import BadValue, StoreError, known
from ..core.limits import MOST_CELLS
from ..data import spelt
from ..recipes import methods as all_methods
from .cells import Cell
from .plans import PLANS, plan
from .profiles import profiles
from .report.words import make_target
from .run import Summary, run_cells
from .store import Store


@dataclass(frozen=True)
class Study:
    """An item under one choice of profile, data sets, budgets, methods and seeds: its cells, and how to run them.

    Made by :func:`study`, which checks every name.
    """

    item: str
    title: str
    profile: str
    datasets: tuple[str, ...]
    ipcs: tuple[int, ...]
    methods: tuple[str, ...]
    seeds: int
    cells: tuple[Cell, ...]
    store: Store

    def run(self, **how: Any) -> Summary:
        """Compute what is missing; keywords of :func:`~dreamlib.companion.run.run_cells`."""
        return run_cells(self.cells, self.store, threads=profiles[self.profile].threads, **how)

    def records(self) -> list[dict[str, Any]]:
        """The records that are there, in the order of the cells.

        Raises
        ------
        StoreError
            If they are of different data sets of a user's own under one name, and none is at hand that would decide.
        """
        found = [record for record in map(self.store.record, self.cells) if record is not None]
        first: dict[str, str] = {}
        for record in found:
            name, mark = record["dataset"], record.get("data_fingerprint", "")
            # Built-in data sets do not change; a user's own folder can.
            if ":" in name and first.setdefault(name, mark) != mark:
                raise StoreError(
                    f"{self.store.root} keeps results of two different data sets, both called {name}",
                    "--data DIR with the one that is meant, or --results DIR with results of one only",
                )
        return found

    def missing(self) -> list[Cell]:
        """The cells that are not finished."""
        return [cell for cell in self.cells if not self.store.finished(cell)]

    def failures(self) -> dict[str, str]:
        """Names of the cells whose last try failed, and why."""
        return {cell.name: why for cell in self.missing() if (why := self.store.failure(cell)) is not None}

    def command(self) -> str:
        """What to type to fill what is missing: the study as it is, its plug-ins and its results folder included."""
        paper, _, name = self.item.partition("/")
        chosen = plan(self.item)
        words = ["make", make_target(paper, name), f"PROFILE={self.profile}"]
        if self.datasets != chosen.datasets_of(self.profile):
            words.append(f"DATASETS={','.join(self.datasets)}")
        if self.ipcs != chosen.ipcs_of(self.profile):
            words.append(f"IPC={','.join(map(str, self.ipcs))}")
        if self.methods != chosen.methods_of(self.profile):
            words.append(f"METHODS={','.join(self.methods)}")
        if self.seeds != chosen.seeds_of(self.profile):
            words.append(f"SEEDS={self.seeds}")
        if files := plugins.files():
            words.append(f"PLUGINS={','.join(files)}")
        # Results in their usual place need not be named, wherever the project lies.
        if self.store.root != Store().root and self.store.root.parts[-2:] != ("reports", "results"):
            words.append(f"RESULTS={self.store.root}")
        return shlex.join(words)


def study(
    item: str,
    *,
    profile: str = "quick",
    datasets: Sequence[str] = (),
    ipcs: Sequence[int] = (),
    methods: Sequence[str] = (),
    seeds: int = 0,
    store: Store | str | None = None,
) -> Study:
    """The cells of an item.

    Parameters
    ----------
    item : str
        ``"dream/table1"`` ...
    profile : str
        ``quick``, ``cpu`` or ``paper``.
    datasets, ipcs, methods : sequence
        Restrict or extend what the item and the profile cover; empty takes their choice.
    seeds : int
        Synthetic sets of each method; 0 takes the profile's.
    store : Store or path, optional
        Results folder.

    Raises
    ------
    UnknownName, BadValue
        Naming what is not known or out of range, with the valid names.
    """
    item, profile = known("item", item, PLANS), known("profile", profile, profiles)
    chosen, scale = plan(item), profiles[profile]
    data = tuple(dict.fromkeys(map(spelt, datasets))) or chosen.datasets_of(profile)
    budgets = tuple(dict.fromkeys(ipcs)) or chosen.ipcs_of(profile)
    rows = tuple(dict.fromkeys(known("method", name, all_methods) for name in methods)) or chosen.methods_of(
        profile
    )
    if seeds < 0:
        raise BadValue(
            f"seeds is {seeds}; expected 1 or more (0: the profile's {scale.seeds})",
            "--seeds 3, or SEEDS=3 to make",
        )
    count = seeds or chosen.seeds_of(profile)
    # Counted before any cell is made: a slip such as SEEDS=1000000 must not take the memory first.
    if (many := count * len(budgets) * len(data) * len(rows)) > MOST_CELLS:
        raise BadValue(
            f"{count} seeds x {len(budgets)} IPC x {len(data)} data sets x {len(rows)} methods are {many:,} cells; "
            f"expected at most {MOST_CELLS:,}",
            "SEEDS=3",
        )
    cells: list[Cell] = []
    # Most valuable first: one seed of everything before the second of anything, then budget by budget.
    for seed in range(count):
        for ipc in budgets:
            for name in data:
                for row in rows:
                    made = chosen.cells(profile, row, name, ipc, seed)
                    cells += [replace(one, with_set=chosen.sets and not one.recipe.whole) for one in made]
    cells = list(
        {one.name: one for one in cells}.values()
    )  # the whole training set is the same at every budget
    folder = store if isinstance(store, Store) else Store(store)
    return Study(item, chosen.title, profile, data, budgets, rows, count, tuple(cells), folder)


def items() -> Mapping[str, str]:
    """Every item and its title."""
    return {name: entry.title for name, entry in PLANS.items()}
