"""What an accuracy table holds: measured and reported, by row and column. :mod:`.tables` says how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ...core.errors import BadValue
from .reported import Reported, where
from .statistics import deviation
from .verdicts import Evidence, Verdict, all_of, compare, conjunction, in_most
from .words import MEASURED, MISSING, NOT_IMPLEMENTED, data_set

Column = tuple[str, int | str]


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    method : str or None
        Name in the records; None: not implemented here, so only the reported number is shown, and as such.
    label : str
        What the table calls it.
    reported_as : str or None
        The paper's name for it; None: no paper reports it.
    group : str
        Heading above consecutive rows of the same group.
    bound : bool
        An upper bound such as the whole training set: its records answer for every number of images per
        class, and it is never marked as the best.
    absent : str
        Why a row without a method has none.
    apart : bool
        Judged without networks, by the kernel that made it: shown, but neither the best nor anyone's rival.
    """

    method: str | None
    label: str
    reported_as: str | None
    group: str = ""
    bound: bool = False
    absent: str = NOT_IMPLEMENTED
    apart: bool = False


@dataclass(frozen=True)
class Wording:
    """What a table calls its columns and what its accuracies stand on.

    Attributes
    ----------
    by : str
        What the columns vary, in its first sentence, and ``head`` the same above them.
    made : str
        What a seed makes.
    budget : str
        The budget of the reported numbers that needs no footnote: ``"ipc"``, ``"inpc"``.
    absent : str
        The footnote of a heading under which no number is reported.
    """

    by: str = "images per class"
    head: str = "images/class"
    made: str = "distilled set"
    budget: str = "ipc"
    absent: str = "no paper reports this data set"


@dataclass(frozen=True)
class Entry:
    """One row under one column: what was measured, what is reported, and what it cost.

    Attributes
    ----------
    status : str
        ``"measured"``, ``"missing"`` (could be measured, was not), ``"not implemented"`` or ``"not on this page"``.
    accuracies : tuple of float
        Last-epoch top-1 in percent of every trained network of every set.
    sets : int
        Distilled sets, one per seed.
    number : Reported or None
        The paper's number.
    seconds : float or None
        Of computing that made and judged all sets (:func:`~.statistics.work`); None where a record does not say it.
    peak_memory_bytes : int or None
        The largest of all sets.
    by_seed : dict of int to tuple of float
        The accuracies of every set.
    keys : dict of int to str
        The key of every set's record.
    """

    row: Row
    dataset: str
    ipc: int
    status: str
    accuracies: tuple[float, ...] = ()
    sets: int = 0
    number: Reported | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    by_seed: Mapping[int, tuple[float, ...]] = field(default_factory=dict, repr=False, hash=False)
    keys: Mapping[int, str] = field(default_factory=dict, repr=False, hash=False)

    @property
    def n(self) -> int:
        """Trained networks."""
        return len(self.accuracies)

    @property
    def mean(self) -> float | None:
        """Mean accuracy in percent over all networks of all sets; None when nothing was measured."""
        return float(np.mean(self.accuracies)) if self.accuracies else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation (ddof 1) over all networks of all sets; None below two networks."""
        return deviation(self.accuracies) if self.n > 1 else None

    @property
    def difference(self) -> float | None:
        """Measured minus reported, in points; None unless there are both."""
        return None if self.mean is None or self.number is None else self.mean - self.number.value


@dataclass(frozen=True)
class Accuracies:
    """Cells of measured and reported accuracy, by row and column.

    Attributes
    ----------
    columns : tuple of (str, int or str)
        Data set and images per class, from left to right.
    entries : dict
        ``entries[row index, column]``.
    paper, item : str
        Where the reported numbers come from, unless an entry says otherwise.
    profile : str
        The one profile of all records; ``""`` when there are none.
    command : str
        What fills the missing entries.
    caption : str
        First sentence of the caption.
    base : int or None
        Index of the row that every other one is compared with, in a line of its own.
    remarks : tuple of str
        Last sentences of the caption.
    reading : str
        The very last one: what the profile says to a reader who compares with the paper.
    links : dict of str to str
        Where the record of a key is, seen from the page.
    """

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    entries: Mapping[tuple[int, Column], Entry] = field(repr=False)
    paper: str
    item: str
    profile: str
    command: str = ""
    caption: str = ""
    base: int | None = None
    wording: Wording = Wording()
    remarks: tuple[str, ...] = ()
    reading: str = ""
    links: Mapping[str, str] = field(default_factory=dict, repr=False)

    def best(self, column: Column) -> int | None:
        """Index of the row with the highest measured mean; None unless two rows or more compete."""
        means = {
            index: entry.mean
            for index, row in enumerate(self.rows)
            if (entry := self.entries[index, column]).mean is not None and not (row.bound or row.apart)
        }
        return max(means, key=lambda index: means[index] or 0.0) if len(means) > 1 else None

    @property
    def missing(self) -> int:
        """How many entries could be measured and are not."""
        return sum(entry.status == MISSING for entry in self.entries.values())

    @property
    def made_of(self) -> frozenset[Column]:
        """Columns that are made of others, and so cost nothing of their own."""
        return frozenset()

    def change(self, index: int, column: Column) -> tuple[float | None, float | None]:
        """How far a row is above the base row, in points: as measured and as reported; None where there is no both."""
        if self.base in (None, index):
            return None, None
        entry, base = self.entries[index, column], self.entries[self.base or 0, column]
        measured = None if entry.mean is None or base.mean is None else entry.mean - base.mean
        ours, theirs = entry.number, base.number
        return measured, None if ours is None or theirs is None else ours.value - theirs.value

    @property
    def measured(self) -> list[Column]:
        """The columns that this profile measures, or could."""
        return [
            column
            for column in self.columns
            if any(
                self.entries[index, column].status in (MEASURED, MISSING) for index in range(len(self.rows))
            )
        ]

    def claimed(self, index: int, base: int, column: Column) -> tuple[float | None, str]:
        """The paper's own difference between two rows, in points, and where it is printed.

        That of the column itself; else the median over the columns of the same budget; else the median over all.
        """
        found = {
            one: ours.value - theirs.value
            for one in self.columns
            if (ours := self.entries[index, one].number) and (theirs := self.entries[base, one].number)
        }
        if column in found:
            return found[column], ""
        same = [gap for one, gap in found.items() if one[1] == column[1]]
        if near := same or list(found.values()):
            where = "in the median of its columns" + (f" at {column[1]}" if same else "")
            return float(np.median(near)), where
        return None, ""

    def compare(self, index: int, base: int, column: Column) -> Evidence:
        """Whether a row is better than another in a column, decided over the sets that both have."""
        claimed, source = self.claimed(index, base, column)
        ours, theirs = self.entries[index, column].by_seed, self.entries[base, column].by_seed
        return compare(ours, theirs, claimed, source=source, made=self.wording.made.split()[-1])

    def index(self, label: str) -> int:
        """The position of the row with this label."""
        for index, row in enumerate(self.rows):
            if row.label == label:
                return index
        raise BadValue(f"no row {label!r}; expected one of {', '.join(row.label for row in self.rows)}", "")

    def place(self, column: Column) -> str:
        """A column in words."""
        return f"{data_set(str(column[0]))}, {self.wording.budget.upper()} {column[1]}"

    def rivals(self, label: str) -> dict[Column, dict[str, Evidence]]:
        """A row against every other measured one that is no upper bound, column by column."""
        mine = self.index(label)
        return {
            column: {
                row.label: self.compare(mine, index, column)
                for index, row in enumerate(self.rows)
                if index != mine
                and not (row.bound or row.apart)
                and self.entries[index, column].status == MEASURED
            }
            for column in self.measured
            if self.entries[mine, column].status == MEASURED
        }

    def best_in_most(self, label: str) -> tuple[Verdict, str]:
        """Whether a row is best in most of the measured columns, and the evidence: its nearest rival in each."""
        found = {column: others for column, others in self.rivals(label).items() if others}
        if not found:
            return None, "not measured here"
        columns = [list(others.values()) for others in found.values()]
        decided = [conjunction(column) for column in columns]
        best, beaten = decided.count(True), decided.count(False)
        told = (
            f"decided above every other row in {best} of {len(found)} columns, below some other in {beaten}"
        )
        return in_most(columns), f"{told}. {self.nearest(found)}"

    def nearest(self, found: Mapping[Column, Mapping[str, Evidence]]) -> str:
        """The evidence against the rival that comes nearest, column by column."""
        nearest = {}
        for column, others in found.items():
            known = {name: one for name, one in others.items() if one.difference is not None}
            if known:
                name = min(known, key=lambda name: known[name].difference or 0.0)
                nearest[f"{self.place(column)}, to {name}"] = known[name]
        return all_of(nearest)[1]

    def frame(self) -> pd.DataFrame:
        """One line per entry with all that is known of it; `status` says in words whether it was measured."""
        frame = pd.DataFrame(
            [self._line(index, column) for index in range(len(self.rows)) for column in self.columns]
        )
        for name in ("measured", "std", "reported", "reported_std", "difference", "seconds"):
            frame[name] = frame[name].astype(float)
        frame["peak_memory_bytes"] = frame["peak_memory_bytes"].astype("Int64")
        return frame

    def _line(self, index: int, column: Column) -> dict[str, object]:
        row, entry = self.rows[index], self.entries[index, column]
        number = entry.number
        return {
            "method": row.method or "",
            "label": row.label,
            "group": row.group,
            "dataset": entry.dataset,
            "ipc": entry.ipc,
            "profile": self.profile,
            "status": entry.status,
            "measured": entry.mean,
            "std": entry.std,
            "n": entry.n,
            "sets": entry.sets,
            "reported": number.value if number else None,
            "reported_std": number.std if number else None,
            "reported_from": where(number.paper, number.item) if number else "not reported",
            "reported_budget": number.budget if number else "",
            "reported_note": number.note if number else "",
            "difference": entry.difference,
            "seconds": entry.seconds,
            "peak_memory_bytes": entry.peak_memory_bytes,
        }
