"""Measured beside reported: accuracy tables, the settings behind them, and paired differences.

A record is the plain dict of one distilled set and its evaluation; the keys used here are ``method``,
``label``, ``dataset``, ``ipc``, ``seed``, ``profile``, ``key``, ``iteration``, ``iterations``, ``accuracies``
(percent, one per trained network), ``evaluation``, ``recipe``, ``seconds``, ``peak_memory_bytes`` and what
describes the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...core.atomic import write_text
from ...core.errors import BadValue
from . import layouts
from .reported import Reported, find, where
from .reported import rows as numbers_of
from .verdicts import Evidence, Verdict, all_of, compare, conjunction, frame_line, in_most
from .words import (
    MEASURED,
    MISSING,
    NETWORKS,
    NOT_HERE,
    NOT_IMPLEMENTED,
    NOTHING,
    data_set,
    duration,
    percent,
    size,
    stream,
)

Record = Mapping[str, Any]
Budgets = Sequence[int] | Mapping[str, Sequence[int]]
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
    """

    method: str | None
    label: str
    reported_as: str | None
    group: str = ""
    bound: bool = False
    absent: str = NOT_IMPLEMENTED


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
class Cell:
    """One row under one column: what was measured, what is reported, and what it cost.

    Attributes
    ----------
    row : Row
    dataset : str
    ipc : int
    status : str
        ``"measured"``, ``"missing"`` (could be measured, was not), ``"not implemented"`` or ``"not in this profile"``.
    accuracies : tuple of float
        Last-epoch top-1 in percent of every trained network of every set.
    sets : int
        Distilled sets, one per seed.
    number : Reported or None
        The paper's number.
    seconds : float or None
        Distillation and evaluation of all sets.
    peak_memory_bytes : int or None
        The largest of all sets.
    by_seed : dict of int to tuple of float
        The accuracies of every set.
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
        return float(np.std(self.accuracies, ddof=1)) if self.n > 1 else None

    @property
    def difference(self) -> float | None:
        """Measured minus reported, in points; None unless there are both."""
        return None if self.mean is None or self.number is None else self.mean - self.number.value


@dataclass(frozen=True)
class AccuracyTable:
    """Cells of measured and reported accuracy, and the ways to show them. Made by :func:`accuracy_table`.

    Attributes
    ----------
    rows : tuple of Row
    columns : tuple of (str, int or str)
        Data set and images per class, from left to right.
    cells : dict
        ``cells[row index, column]``.
    paper, item : str
        Where the reported numbers come from, unless a cell says otherwise.
    profile : str
        The one profile of all records; ``""`` when there are none.
    command : str
        What fills the missing cells.
    caption : str
        First sentence of the caption.
    base : int or None
        Index of the row that every other one is compared with, in a line of its own.
    wording : Wording
    remarks : tuple of str
        Last sentences of the caption.
    """

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: Mapping[tuple[int, Column], Cell] = field(repr=False)
    paper: str
    item: str
    profile: str
    command: str = ""
    caption: str = ""
    base: int | None = None
    wording: Wording = Wording()
    remarks: tuple[str, ...] = ()

    def best(self, column: Column) -> int | None:
        """Index of the row with the highest measured mean; None unless two rows or more compete."""
        means = {
            index: cell.mean
            for index, row in enumerate(self.rows)
            if (cell := self.cells[index, column]).mean is not None and not row.bound
        }
        return max(means, key=lambda index: means[index] or 0.0) if len(means) > 1 else None

    @property
    def missing(self) -> int:
        """How many cells could be measured and are not."""
        return sum(cell.status == MISSING for cell in self.cells.values())

    @property
    def made_of(self) -> frozenset[Column]:
        """Columns that are made of others, and so cost nothing of their own."""
        return frozenset()

    def change(self, index: int, column: Column) -> tuple[float | None, float | None]:
        """How far a row is above the base row, in points: as measured and as reported; None where there is no both."""
        if self.base in (None, index):
            return None, None
        cell, base = self.cells[index, column], self.cells[self.base or 0, column]
        measured = None if cell.mean is None or base.mean is None else cell.mean - base.mean
        ours, theirs = cell.number, base.number
        return measured, None if ours is None or theirs is None else ours.value - theirs.value

    @property
    def measured(self) -> list[Column]:
        """The columns that this profile measures, or could."""
        return [
            column
            for column in self.columns
            if any(self.cells[index, column].status in (MEASURED, MISSING) for index in range(len(self.rows)))
        ]

    def claimed(self, index: int, base: int, column: Column) -> tuple[float | None, str]:
        """The paper's own difference between two rows, in points, and where it is printed.

        That of the column itself; else the median over the columns of the same budget; else the median over all.
        """
        found = {
            one: ours.value - theirs.value
            for one in self.columns
            if (ours := self.cells[index, one].number) and (theirs := self.cells[base, one].number)
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
        ours, theirs = self.cells[index, column].by_seed, self.cells[base, column].by_seed
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
                if index != mine and not row.bound and self.cells[index, column].status == MEASURED
            }
            for column in self.measured
            if self.cells[mine, column].status == MEASURED
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
        """One line per cell with all that is known of it; `status` says in words whether it was measured."""
        frame = pd.DataFrame(
            [self._line(index, column) for index in range(len(self.rows)) for column in self.columns]
        )
        for name in ("measured", "std", "reported", "reported_std", "difference", "seconds"):
            frame[name] = frame[name].astype(float)
        frame["peak_memory_bytes"] = frame["peak_memory_bytes"].astype("Int64")
        return frame

    def _line(self, index: int, column: Column) -> dict[str, object]:
        row, cell = self.rows[index], self.cells[index, column]
        number = cell.number
        return {
            "method": row.method or "",
            "label": row.label,
            "group": row.group,
            "dataset": cell.dataset,
            "ipc": cell.ipc,
            "profile": self.profile,
            "status": cell.status,
            "measured": cell.mean,
            "std": cell.std,
            "n": cell.n,
            "sets": cell.sets,
            "reported": number.value if number else None,
            "reported_std": number.std if number else None,
            "reported_from": where(number.paper, number.item) if number else "not reported",
            "reported_budget": number.budget if number else "",
            "reported_note": number.note if number else "",
            "difference": cell.difference,
            "seconds": cell.seconds,
            "peak_memory_bytes": cell.peak_memory_bytes,
        }

    def markdown(self) -> str:
        """A Markdown table, two lines per method: measured, and reported with the difference."""
        return layouts.markdown(self)

    def latex(self) -> str:
        """LaTeX ``table`` floats, one per six columns; they need ``\\usepackage{booktabs}``."""
        return layouts.latex(self)

    def html(self) -> str:
        """An HTML fragment with its own style: table, notes, and, folded away, what every cell cost."""
        return layouts.html(self)

    def _repr_html_(self) -> str:
        return self.html()

    def save(self, folder: str | Path, stem: str) -> list[Path]:
        """Write ``stem.csv``, ``stem.md`` and ``stem.tex`` into `folder`, each all or nothing.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        texts = {"csv": csv(self.frame()), "md": self.markdown(), "tex": self.latex()}
        return [write_text(Path(folder) / f"{stem}.{kind}", text) for kind, text in texts.items()]


def accuracy_table(
    records: Sequence[Record],
    rows: Sequence[Row],
    datasets: Sequence[str],
    ipcs: Budgets,
    reported: pd.DataFrame,
    *,
    paper: str = "dream",
    item: str = "table1",
    fallbacks: Sequence[tuple[str, str]] = (("dim", "table2"),),
    command: str = "",
    caption: str = "",
    beyond: bool = False,
) -> AccuracyTable:
    """Put measured accuracies beside the papers' own.

    Only finished distillations count (``iteration`` equal to ``iterations``); what was evaluated along the
    way belongs to a curve. The accuracies of all seeds are pooled.

    Parameters
    ----------
    records : sequence of dict
        Of one profile. The same record given twice counts once.
    rows : sequence of Row
        From top to bottom.
    datasets : sequence of str
        From left to right.
    ipcs : sequence of int, or dict of data set to sequence of int
        Images per class under each data set.
    reported : DataFrame
        From :func:`dreamlib.companion.report.reported.load_reported`.
    paper, item : str
        Whose numbers to show.
    fallbacks : sequence of (paper, item)
        Where to look, in this order, for a number `item` does not give; such numbers carry a footnote mark.
    command : str
        What to type to measure the missing cells.
    caption : str
        First sentence of the caption; the profile and the legend follow by themselves.
    beyond : bool
        Show the item's other columns too, those that this profile does not measure, with their reported numbers.

    Raises
    ------
    BadValue
        Records of several profiles, or two different records for one method, data set, budget and seed:
        pooling them would hide that they were made differently.
    """
    numbers = numbers_of(reported)
    finished, profile = of_one_profile(records)
    own = [(dataset, ipc) for dataset in datasets for ipc in budgets(ipcs, dataset)]
    names = {row.reported_as for row in rows if row.reported_as}
    others = [place for place in _printed(numbers, paper, item, names) if place not in own] if beyond else []
    # The columns of a data set stand together, small budgets first where both kinds meet.
    columns = tuple(
        column
        for dataset in dict.fromkeys(name for name, _ in (*own, *others))
        for column in _of_dataset(dataset, own, others)
    )
    by_place: dict[tuple[str, str, int], list[Record]] = {}
    for record in finished:
        by_place.setdefault((record["method"], record["dataset"], int(record["ipc"] or 0)), []).append(record)
    by_whole: dict[tuple[str, str], list[Record]] = {}
    for (method, dataset, _), found in by_place.items():
        by_whole.setdefault((method, dataset), []).extend(found)

    cells: dict[tuple[int, Column], Cell] = {}
    for index, row in enumerate(rows):
        for dataset, ipc in columns:
            places = ((paper, item), *fallbacks)
            hits = (
                find(numbers, *place, dataset, ipc, row.reported_as) for place in places if row.reported_as
            )
            number = next((hit for hit in hits if hit is not None), None)
            if (dataset, ipc) not in own and row.method is not None:
                cells[index, (dataset, ipc)] = Cell(row, dataset, ipc, NOT_HERE, number=number)
                continue
            method = row.method or ""
            mine = by_whole.get((method, dataset)) if row.bound else by_place.get((method, dataset, ipc))
            cells[index, (dataset, ipc)] = make_cell(row, dataset, ipc, mine or [], number)
    return AccuracyTable(
        rows=tuple(rows),
        columns=columns,
        cells=cells,
        paper=paper,
        item=item,
        profile=profile,
        command=command,
        caption=caption,
    )


def _printed(numbers: Sequence[Reported], paper: str, item: str, names: set[str]) -> list[tuple[str, int]]:
    """The places where a paper's item prints an accuracy of one of these methods, in its own order."""
    return list(
        dict.fromkeys(
            (one.dataset, one.ipc)
            for one in numbers
            if (one.paper, one.item, one.metric) == (paper, item, "top1_percent")
            and one.method in names
            and one.ipc is not None
        )
    )


def _of_dataset(
    dataset: str, own: Sequence[tuple[str, int]], others: Sequence[tuple[str, int]]
) -> list[tuple[str, int]]:
    """A data set's columns: its own in the order asked for, or all by their budget where some are not measured."""
    mine = [place for place in own if place[0] == dataset]
    more = [place for place in others if place[0] == dataset]
    return sorted({*mine, *more}) if more else mine


def of_one_profile(records: Sequence[Record]) -> tuple[list[Record], str]:
    """The records of finished distillations, each once, and their profile (``""`` when there are none).

    Raises
    ------
    BadValue
        They are of several profiles.
    """
    finished = [record for record in _unique(records) if at_its_end(record)]
    profiles = sorted({str(record["profile"]) for record in finished})
    if len(profiles) > 1:
        raise BadValue(
            f"records of the profiles {', '.join(profiles)} in one table; expected one profile",
            "filter the records by record['profile'] first",
        )
    return finished, profiles[0] if profiles else ""


def budgets(ipcs: Budgets, dataset: str) -> Sequence[int]:
    """The images per class asked for under one data set."""
    return ipcs.get(dataset, ()) if isinstance(ipcs, Mapping) else ipcs


def make_cell(row: Row, dataset: str, ipc: int, records: Sequence[Record], number: Reported | None) -> Cell:
    """The cell of a row that these records, one per seed, stand behind.

    Raises
    ------
    BadValue
        Two records of one seed.
    """
    if row.method is None:
        return Cell(row, dataset, ipc, row.absent, number=number)
    records = [record for record in records if record["accuracies"]]
    if not records:
        return Cell(row, dataset, ipc, MISSING, number=number)
    seeds = [record["seed"] for record in records]
    if len(set(seeds)) < len(seeds):
        twice = sorted({str(seed) for seed in seeds if seeds.count(seed) > 1})
        keys = ", ".join(str(record.get("key", "?"))[:12] for record in records)
        raise BadValue(
            f"{row.method} on {dataset} at {ipc} images per class: several records for seed "
            f"{', '.join(twice)} ({keys})",
            "they differ in a setting; keep the records of one recipe and evaluation",
        )
    peaks = [record["peak_memory_bytes"] for record in records if record.get("peak_memory_bytes")]
    return Cell(
        row=row,
        dataset=dataset,
        ipc=ipc,
        status=MEASURED,
        accuracies=tuple(float(value) for record in records for value in record["accuracies"]),
        sets=len(records),
        number=number,
        seconds=sum(_seconds(record, "distill") + _seconds(record, "evaluate") for record in records),
        peak_memory_bytes=max(peaks, default=None),
        by_seed={record["seed"]: tuple(map(float, record["accuracies"])) for record in records},
    )


def _seconds(record: Record, phase: str) -> float:
    return float(record.get("seconds", {}).get(phase) or 0.0)


def at_its_end(record: Record) -> bool:
    """Whether a record judges a set or generator at its end, not along the way."""
    return record.get("iteration") == record.get("iterations")


def _unique(records: Iterable[Record]) -> list[Record]:
    """The records, those with a known key and iteration only once."""
    kept: dict[object, Record] = {}
    for position, record in enumerate(records):
        name = (record["key"], record.get("iteration")) if record.get("key") else position
        kept.setdefault(name, record)
    return list(kept.values())


def csv(frame: pd.DataFrame) -> str:
    """`frame` as CSV with ``\\n`` line ends and round-trip floats."""
    return frame.to_csv(index=False, lineterminator="\n")


def settings_table(records: Sequence[Record]) -> pd.DataFrame:
    """What must stand beside a number: one line per method, in words.

    A setting that differs between the records of a method is shown as all its values, or as a range, so that
    a difference is never hidden.

    Returns
    -------
    DataFrame
        Strings only; "not recorded" where a record does not say. ``generator`` is a column only where there is one.
    """
    by_method: dict[str, list[Record]] = {}
    for record in _unique(records):
        if at_its_end(record):
            by_method.setdefault(str(record["method"]), []).append(record)
    lines = [_settings(found) for found in by_method.values()]
    frame = pd.DataFrame(lines, columns=list(SETTINGS) if not lines else None)
    return frame if (frame.generator != NOTHING).any() else frame.drop(columns="generator")


SETTINGS = (
    "method",
    "data sets",
    "images/class",
    "normalisation",
    "real batch",
    "iterations",
    "generator",
    "evaluation",
    "epochs",
    "batch",
    "augmentation",
    "strengths",
    "cutmix",
    "network",
    "networks",
    "seeds",
    "seconds",
    "peak memory",
    "images stored",
    "bytes stored",
    "mode",
    "device",
    "versions",
    "revision",
)


def _settings(records: Sequence[Record]) -> dict[str, str]:
    def every(*path: str) -> str:
        return _values(_dig(record, *path) for record in records)

    stored = [record.get("bytes_stored") for record in records]
    peaks = [record.get("peak_memory_bytes") or None for record in records]
    seconds = [_seconds(record, "distill") + _seconds(record, "evaluate") for record in records]
    values = {
        "method": every("label"),
        "data sets": _values(stream(record["dataset"]) for record in records),
        "images/class": every("ipc"),
        "normalisation": every("normalisation", "name"),
        "real batch": _values(_real_batch(record) for record in records),
        "iterations": every("iterations"),
        "generator": _values(_generator(record) for record in records),
        "evaluation": every("evaluation", "protocol"),
        "epochs": _values(_epochs(record) for record in records),
        "batch": _values(_anywhere(record.get("evaluation"), "batch") for record in records),
        "augmentation": _values(_augmentation(record)[0] for record in records),
        "strengths": _values(_augmentation(record)[1] for record in records),
        "cutmix": _values(_anywhere(record.get("evaluation"), "cutmix") for record in records),
        "network": _values(_words(_dig(record, "evaluation", "network")) for record in records),
        "networks": every("evaluation", "networks"),
        "seeds": every("seed"),
        "seconds": _span(seconds, duration),
        "peak memory": _span(peaks, size),
        "images stored": every("images_stored"),
        "bytes stored": _span(stored, size),
        "mode": _values(_mode(record) for record in records),
        "device": every("device"),
        "versions": _values(_words(record.get("versions")) for record in records),
        "revision": _values(_short(str(record.get("revision") or "")) for record in records),
    }
    return {name: values[name] for name in SETTINGS}


def _epochs(record: Record) -> object:
    """How long the judging networks were trained: passes over the set, or steps where their number was given."""
    if steps := _dig(record, "evaluation", "steps"):
        return f"{steps:,} steps"
    epochs, extra = (_anywhere(record.get("evaluation"), name) for name in ("epochs", "extra"))
    return epochs + extra if isinstance(epochs, int) and isinstance(extra, int) else epochs


def _mode(record: Record) -> str:
    """Mode of the engine, and in which formats it ran: the machine decides those of fast mode."""
    mode = str(_dig(record, "recipe", "mode") or "plain")
    formats = _dig(record, "formats")
    if not isinstance(formats, Mapping):
        return mode
    return f"{mode} ({'; '.join(dict.fromkeys(map(str, formats.values())))})"


def _real_batch(record: Record) -> object:
    """Real images of each class in a step; in a generator's, of all classes together."""
    how = _dig(record, "recipe", "generation")
    if not isinstance(how, Mapping):
        return _dig(record, "recipe", "real_batch")
    return f"{how['matched_batch' if how['matched_epochs'] else 'batch']} of all classes"


def _generator(record: Record) -> str:
    """How a generator was made: what it is, what it was trained by, and what was matched."""
    how = _dig(record, "recipe", "generation")
    if not isinstance(how, Mapping):
        return NOTHING
    container = _dig(record, "recipe", "container")
    parts = [_words(container), f"{how['objective']['part']} {_words(_objective(how['objective']))}".strip()]
    drawn = ", its partner's images drawn by themselves" if how.get("independent_draws") else ""
    parts.append(f"batch {how['batch']}, lr {how['lr']:g}, {how['epochs']} epochs{drawn}")
    if how["matched_epochs"]:
        matcher, schedule = _dig(record, "recipe", "matcher"), _dig(record, "recipe", "schedule")
        assert isinstance(matcher, Mapping)
        assert isinstance(schedule, Mapping)
        pool = ", ".join(NETWORKS.get(one["name"], one["name"]) for one in how["models"])
        if how.get("pool_mode") == "train":
            pool += " in training mode"
        if how.get("pool_space") == "signed":
            pool += " on images in [-1, 1], normalised as if in [0, 1]"
        # Records of the first numerics hold the rate itself.
        rate = how["matched_lr"] if "matched_lr" in how else how["lr"] * how["matched_rate"]
        parts.append(
            f"after epoch {how['matched_from']} for {how['matched_epochs']} epochs, lr {rate:g}, "
            f"Adam {'carried on' if how.get('carries_adam') else 'afresh'}: "
            f"{how['weight']:g} times {matcher['part']} ({_words(matcher)}), under {pool}, which learn from "
            f"{schedule['images']} real images before a step"
        )
    return "; ".join(map(str, parts))


def _objective(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its numbers; the slope of a discriminator is left out of a record where it is 0.2."""
    return {"slope": 0.2, **described} if described["part"] == "Adversarial" else described


def _short(revision: str) -> str:
    """Ten digits of a commit; a plus says that the code differed from it."""
    return revision[:10] + ("+" if revision.endswith("+") else "")


def _dig(record: Record, *path: str) -> object:
    value: object = record
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _anywhere(tree: object, name: str) -> object:
    """The value under `name`, on this level or else in the nested dicts below it."""
    if not isinstance(tree, Mapping):
        return None
    if name in tree:
        return tree[name]
    return next((value for branch in tree.values() if (value := _anywhere(branch, name)) is not None), None)


def _augmentation(record: Record) -> tuple[object, object]:
    """Which transforms an evaluation uses, and how strong they are."""
    value = _anywhere(record.get("evaluation"), "augment")
    if not isinstance(value, Mapping):
        return value, None
    family = value.get("family")
    named = f"{value.get('strategy')}" + (
        f" ({family})" if family and value.get("strategy") != "none" else ""
    )
    return named, _words({name: one for name, one in value.items() if name not in ("strategy", "family")})


def _words(value: object) -> object:
    """A nested setting on one line: ``{"name": "flip", "p": 0.5}`` reads ``name flip, p 0.5``."""
    if not isinstance(value, Mapping):
        return value
    told = {name: one for name, one in value.items() if name != "part" and one not in (None, "")}
    return ", ".join(f"{name} {_words(one)}" for name, one in told.items())


def _values(values: Iterable[object]) -> str:
    """All distinct values: whole numbers in a row as ``0–4``, everything else separated by commas."""
    distinct = list(dict.fromkeys("not recorded" if value in (None, "") else value for value in values))
    numbers = [value for value in distinct if isinstance(value, int) and not isinstance(value, bool)]
    if len(numbers) == len(distinct):
        numbers.sort()
        if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
            return f"{numbers[0]}–{numbers[-1]}"
        return ", ".join(str(value) for value in numbers)
    return "; ".join(sorted(map(str, distinct)))


def _span(values: Sequence[float | None], words: Any) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "not recorded"
    low, high = words(min(known)), words(max(known))
    return low if low == high else f"{low} – {high}"


@dataclass(frozen=True)
class Fragment:
    """A piece of HTML that notebooks show as such."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def styled(frame: pd.DataFrame, caption: str = "", *, decimals: int = 2) -> Fragment:
    """Any DataFrame in the look of the accuracy tables; escaped, NaN as "–", without the index."""
    return Fragment(layouts.plain_html(frame, caption, decimals))


def settings(records: Sequence[Record], caption: str = "") -> Fragment:
    """:func:`settings_table` for a page: what all methods share is listed once, below what differs between them."""
    frame = settings_table(records)
    shared = [name for name in frame.columns[1:] if len(frame) > 1 and frame[name].nunique() == 1]
    same = {name: str(frame[name].iloc[0]) for name in shared}
    table = layouts.plain_html(frame.drop(columns=shared), caption, 2, same)
    return Fragment(table + layouts.differences_html(differences(records)))


def differences(records: Sequence[Record]) -> dict[str, list[str]]:
    """Where each method, by its label, is not what paper and released code do; generated from the recipes.

    A difference that not all records of a method share names the data sets and budgets it holds for.
    """
    found: dict[str, dict[str, list[str]]] = {}
    places: dict[str, list[str]] = {}
    for record in _unique(records):
        label, place = str(record["label"]), f"{data_set(record['dataset'])} {record['ipc']}"
        if place not in places.setdefault(label, []):
            places[label].append(place)
        for words in record.get("differs", ()):
            where = found.setdefault(label, {}).setdefault(words, [])
            if place not in where:
                where.append(place)
    return {
        label: [
            words if len(where) == len(places[label]) else f"{words} ({', '.join(where)})"
            for words, where in lines.items()
        ]
        for label, lines in found.items()
    }


def crossed(
    records: Sequence[Record], row: Callable[[Record], str], column: Callable[[Record], str]
) -> pd.DataFrame:
    """Accuracies by two properties of the records, such as the network of distillation and that of the test.

    Parameters
    ----------
    records : sequence of dict
        Of one profile, data set and budget; only finished distillations count.
    row, column : callable
        The name of a record's row and column.

    Returns
    -------
    DataFrame
        One line per place that has records, in the order of the records: `row`, `column`, `mean`, `std` (ddof 1, over
        all networks of all sets; NaN for one) and `n`.

    Raises
    ------
    BadValue
        Records of several profiles, data sets or budgets.
    """
    finished = [record for record in _unique(records) if at_its_end(record)]
    kinds = {(record["profile"], record["dataset"], record["ipc"]) for record in finished}
    if len(kinds) > 1:
        raise BadValue(
            f"records of {len(kinds)} different (profile, data set, images per class) in one table: {sorted(kinds)}",
            "filter the records to one of them",
        )
    places: dict[tuple[str, str], list[float]] = {}
    for record in finished:
        places.setdefault((row(record), column(record)), []).extend(record["accuracies"])
    lines = [
        {
            "row": place[0],
            "column": place[1],
            "mean": float(np.mean(values)),
            "std": float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
            "n": len(values),
        }
        for place, values in places.items()
    ]
    return pd.DataFrame(lines, columns=["row", "column", "mean", "std", "n"])


def grid(frame: pd.DataFrame, corner: str) -> pd.DataFrame:
    """What :func:`crossed` gives as a grid of ``"mean ± std"``; a place without records is missing and says so."""
    rows, columns = dict.fromkeys(frame["row"]), dict.fromkeys(frame["column"])
    known = {
        (line["row"], line["column"]): percent(line["mean"], None if line["n"] == 1 else line["std"])
        for line in frame.to_dict("records")
    }
    return pd.DataFrame(
        [{corner: row} | {column: known.get((row, column), MISSING) for column in columns} for row in rows]
    )


DIFFERENCE = (
    "dataset",
    "ipc",
    "method",
    "base",
    "difference",
    "low",
    "high",
    "n",
    "verdict",
    "needed",
    "claimed",
)


def by_seed(
    records: Sequence[Record], method: str, dataset: str, ipc: int, at: int | None = None
) -> dict[int, tuple[float, ...]]:
    """The accuracies of a method's sets, by seed: of finished ones, or as they were after ``at`` steps.

    Raises
    ------
    BadValue
        Two records of one seed.
    """
    found: dict[int, tuple[float, ...]] = {}
    for record in _unique(records):
        place = record["method"], record["dataset"], int(record["ipc"] or 0)
        wanted = at_its_end(record) if at is None else record["iteration"] == at
        if place != (method, dataset, ipc) or not wanted or not record["accuracies"]:
            continue
        if record["seed"] in found:
            raise BadValue(
                f"{method} on {dataset} at {ipc} images per class: two records for seed {record['seed']}",
                "keep the records of one profile, recipe and evaluation",
            )
        found[record["seed"]] = tuple(map(float, record["accuracies"]))
    return found


def comparison(
    records: Sequence[Record],
    method: str,
    base: str,
    dataset: str,
    ipc: int,
    claimed: float | None = None,
    *,
    source: str = "",
    made: str = "set",
) -> Evidence:
    """Is `method` better than `base`? Decided over the seeds that both have, network by network."""
    ours, theirs = (by_seed(records, name, dataset, ipc) for name in (method, base))
    return compare(ours, theirs, claimed, source=source, made=made)


def paired_difference(
    records: Sequence[Record],
    method: str,
    base: str,
    datasets: Sequence[str],
    ipcs: Budgets,
    claimed: Mapping[tuple[str, int], float] | None = None,
) -> pd.DataFrame:
    """Is `method` better than `base`? The difference over sets with its 95 % interval, by data set and budget.

    Parameters
    ----------
    claimed : mapping of (str, int) to float, optional
        The paper's own difference by data set and budget.

    Returns
    -------
    DataFrame
        One line per data set and budget: `dataset`, `ipc`, `method`, `base`, `difference` (points), `low`, `high` (NaN
        for a single set), `n` (paired sets), `verdict` ("higher", "lower", "not decided" or "missing"), `needed` (sets
        that would decide the paper's difference, given the measured spread) and `claimed`, that difference.
    """
    lines = []
    for dataset in datasets:
        for ipc in budgets(ipcs, dataset):
            told = (claimed or {}).get((dataset, ipc))
            found = comparison(records, method, base, dataset, ipc, told)
            line: dict[str, object] = {"dataset": dataset, "ipc": ipc, "method": method, "base": base}
            lines.append(line | frame_line(found) | {"claimed": found.claimed})
    frame = pd.DataFrame(lines, columns=list(DIFFERENCE))
    return frame.astype({"needed": "Int64", "claimed": float, "n": int})
