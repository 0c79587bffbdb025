"""Variants of a method, each judged by several networks, with the paper's numbers: the table of an ablation.

A record stands in the row of its ``method`` (a variant has a name of its own) and in the column of the network that
judged it (``evaluation.network.name``), below its data set and budget. Where a profile does not measure the place that
the paper reports, the reported numbers stand in columns of their own, so that a reader compares pattern with pattern
and never a number with another data set's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from dreamlib.companion.report.accuracies import Column, Entry, Wording
from dreamlib.companion.report.reported import Reported, find
from dreamlib.companion.report.reported import rows as numbers_of
from dreamlib.companion.report.statistics import Budgets, Record, at_its_end, budgets, of_one_profile, unique
from dreamlib.companion.report.style import GREY, MARKERS, PALETTE
from dreamlib.companion.report.tables import AccuracyTable, Row, make_entry
from dreamlib.companion.report.verdicts import (
    MOST,
    TINY,
    Evidence,
    Verdict,
    all_of,
    conjunction,
    frame_line,
    needed,
)
from dreamlib.companion.report.words import MEASURED, MISSING, NOT_HERE, NOTHING, data_set, network, points
from dreamlib.companion.session import Session
from dreamlib.core.errors import BadValue

AVERAGE = "Avg."
CHANGES = (
    "dataset",
    "ipc",
    "network",
    "row",
    "base",
    "difference",
    "low",
    "high",
    "n",
    "verdict",
    "needed",
    "reported",
    "reported_at",
)
EPOCHS = 200  # of a generator, in DiM's paper


@dataclass(frozen=True)
class Judge:
    """A network of judgement: a column.

    Attributes
    ----------
    name : str
        What records call it, whatever its depth, width and norm: ``"convnet"``, ``"resnet10"``.
    label : str
        What the table calls it.
    reported_as : str
        What the reported numbers call it.
    """

    name: str
    label: str
    reported_as: str


JUDGES = {
    judge.label: judge
    for judge in (
        Judge("convnet", "C-3", "convnet3"),
        *(Judge(f"resnet{depth}", f"R-{depth}", f"resnet{depth}") for depth in (10, 18, 34, 50)),
        Judge("densenet121", "D-121", "densenet121"),
    )
}
MEAN = Judge("", AVERAGE, "average")
Place = tuple[str, int]
WANTED = (
    "dataset",
    "ipc",
    "network",
    "row",
    "base",
    "spread",
    "claimed",
    "reported",
    "reported_at",
    "needed",
)


@dataclass(frozen=True)
class AblationTable(AccuracyTable):
    """An accuracy table whose columns are networks of judgement. Made by :func:`ablation_table`.

    Attributes
    ----------
    columns : tuple of (str, str)
        Data set and budget in words, and the label of a network or of their average.
    places : dict
        Data set and budget behind the first half of a column.
    judges : tuple of Judge
        The networks, without their average.
    """

    places: Mapping[str, Place] = field(default_factory=dict)
    judges: tuple[Judge, ...] = ()

    @property
    def made_of(self) -> frozenset[Column]:
        """The averages."""
        return frozenset(column for column in self.columns if column[1] == AVERAGE)

    def _line(self, index: int, column: Column) -> dict[str, object]:
        measured, reported = self.change(index, column)
        line = super()._line(index, column)
        place = {name: line.pop(name) for name in ("method", "label", "group", "dataset", "ipc")}
        return {**place, "network": column[1], **line, "change": measured, "reported_change": reported}

    def changes(self, base: str = "", *, network: str = "") -> pd.DataFrame:
        """How far every row is above a base row under each network, with its 95 % interval over generators.

        Parameters
        ----------
        base : str
            Label of the row to compare with; empty takes the table's base row.
        network : str
            Only this network, or ``"Avg."``; empty takes all networks without their average.

        Returns
        -------
        DataFrame
            One line per row and measured column: `dataset`, `ipc`, `network`, `row`, `base`, `difference`, `low` and
            `high` (points; NaN where there is none), `n` (generators that both have), `verdict`, `needed`, and
            `reported`, the paper's own difference, with its place in `reported_at`; NaN where there is none.

        Raises
        ------
        BadValue
            There is no row with this label, or none is named and the table has no base row.
        """
        lower = self._base(base)
        lines = []
        for column in self._own(network):
            for index, row in enumerate(self.rows):
                if index == lower or row.method is None:
                    continue
                found, entry = self.compare(index, lower, column), self.entries[index, column]
                line = {"dataset": entry.dataset, "ipc": entry.ipc, "network": column[1], "row": row.label}
                line["base"] = self.rows[lower].label
                printed, at = self._printed(index, lower, column)
                lines.append(line | frame_line(found) | {"reported": printed, "reported_at": at})
        frame = pd.DataFrame(lines, columns=list(CHANGES))
        return frame.astype({"needed": "Int64", "reported": float, "n": int})

    def _base(self, label: str) -> int:
        lower = self.index(label) if label else self.base
        if lower is None:
            raise BadValue("no base row; expected the label of one", f'changes("{self.rows[0].label}")')
        return lower

    def claimed(self, index: int, base: int, column: Column) -> tuple[float | None, str]:
        """The paper's own difference between two rows under a network, and where it is printed if not here."""
        printed, at = self._printed(index, base, column)
        return printed, "" if at in ("", column[0]) else f"on {at}"

    def _printed(self, index: int, lower: int, column: Column) -> tuple[float | None, str]:
        """The paper's own difference between two rows, and where it prints it.

        That of the same place, else the one of the same budget, else the only one.
        """
        found = {
            span: ours.value - theirs.value
            for span in self.places
            if (ours := self.entries[index, (span, column[1])].number)
            and (theirs := self.entries[lower, (span, column[1])].number)
        }
        ipc = self.places[column[0]][1]
        for near in ({column[0]}, {span for span in found if self.places[span][1] == ipc}, set(found)):
            if len(known := near & found.keys()) == 1:
                span = known.pop()
                return found[span], span
        return None, ""

    def place(self, column: Column) -> str:
        """A column in words."""
        return f"{column[0]}, {column[1]}"

    def above(self, label: str, base: str = "", *, network: str = "") -> tuple[Verdict, str]:
        """Whether a row is above another under every network (or one), and the evidence, column by column."""
        return all_of(self.evidence(label, base, network=network))

    def evidence(self, label: str, base: str = "", *, network: str = "") -> dict[str, Evidence]:
        """A row against another one, by the words of a column; columns where one of the two is missing are left out."""
        mine, lower = self.index(label), self._base(base)
        found = {self.place(column): self.compare(mine, lower, column) for column in self._own(network)}
        return {place: one for place, one in found.items() if one.difference is not None}

    def best_is(self, label: str, *, network: str = "") -> tuple[Verdict, str]:
        """Whether a row is the best under every network (or one), and its nearest rival in each column.

        True when it is decided above every other row in every column, False when it is decided below one in any.
        """
        own = set(self._own(network))
        found = {column: others for column, others in self.rivals(label).items() if others and column in own}
        if not found:
            return None, "not measured here"
        holds = conjunction(one for others in found.values() for one in others.values())
        return holds, "the nearest other row: " + self.nearest(found)

    def _own(self, network: str = "") -> list[Column]:
        """The columns this profile measures: those of one network, or all without averages."""
        return [
            column
            for column in self.columns
            if (column[1] == network if network else column not in self.made_of)
            and any(
                self.entries[index, column].status in (MEASURED, MISSING) for index in range(len(self.rows))
            )
        ]

    def curves(self, values: Sequence[float] | None = None) -> dict[str, pd.DataFrame]:
        """What :func:`varied` plots: a frame for every data set and budget.

        Parameters
        ----------
        values : sequence of float, optional
            The setting of every row; without it rows stand side by side.

        Returns
        -------
        dict of str to DataFrame
            `line` (the network), `x`, `tick` (the row), `mean`, `std`, `n` and `reported`, without averages.
        """
        if values is not None and len(values) != len(self.rows):
            raise BadValue(f"{len(values)} values for {len(self.rows)} rows", "one for each")
        frames: dict[str, list[dict[str, object]]] = {}
        for column in self.columns:
            for index, row in enumerate(self.rows):
                entry = self.entries[index, column]
                if column not in self.made_of:
                    frames.setdefault(column[0], []).append(
                        {
                            "line": column[1],
                            "x": float(index if values is None else values[index]),
                            "tick": row.label,
                            "mean": float("nan") if entry.mean is None else entry.mean,
                            "std": float("nan") if entry.std is None else entry.std,
                            "n": entry.n,
                            "reported": float("nan") if entry.number is None else entry.number.value,
                        }
                    )
        return {name: pd.DataFrame(lines) for name, lines in frames.items()}


def ablation_table(
    records: Sequence[Record],
    rows: Sequence[Row],
    judges: Sequence[Judge],
    datasets: Sequence[str],
    ipcs: Budgets,
    reported: pd.DataFrame,
    *,
    paper: str = "dim",
    item: str,
    base: str = "",
    average: bool = False,
    command: str = "",
    reading: str = "",
) -> AblationTable:
    """Put variants of a method, judged by several networks, with the paper's numbers.

    Parameters
    ----------
    records : sequence of dict
        Of one profile; those of other methods or networks are left out.
    rows : sequence of Row
        From top to bottom; a row's ``method`` is that of its records. One without a method is shown with the paper's
        number only.
    judges : sequence of Judge
        From left to right.
    datasets, ipcs
        As in :func:`dreamlib.companion.report.tables.accuracy_table`.
    reported : DataFrame
        From :func:`dreamlib.companion.report.reported.load_reported`.
    paper, item : str
        Whose numbers to show.
    base : str
        Label of the row that the others are compared with, in a line of its own; empty for none.
    average : bool
        Add the average over the judges: network i of each makes the i-th average, so that its standard deviation is
        that of averaging one network of each kind.
    command, reading : str
        As in :func:`dreamlib.companion.report.tables.accuracy_table`.

    Raises
    ------
    BadValue
        Records of several profiles; two records for one row, column and seed; no row with the label ``base``; an
        average over judges with different numbers of networks.
    """
    finished, profile = of_one_profile(records)
    numbers = [one for one in numbers_of(reported) if (one.paper, one.item) == (paper, item)]
    own = [(dataset, ipc) for dataset in datasets for ipc in budgets(ipcs, dataset)]
    names = {row.reported_as for row in rows} - {None}
    printed = dict.fromkeys(
        (one.dataset, one.ipc)
        for one in numbers
        if one.method in names and one.ipc is not None and one.metric == "top1_percent"
    )
    others = sorted(place for place in printed if place not in own)
    methods = {row.method for row in rows}
    stored = sorted(
        {str(r["label"]) for r in finished if r["method"] in methods and r.get("budget") != "inpc"}
    )
    if stored:
        raise BadValue(
            f"{', '.join(stored)}: stored images in a table of images drawn again for every epoch (INPC)",
            "accuracy_table shows both",
        )
    found: dict[tuple[str, str, str, int], list[Record]] = {}
    for record in finished:
        by = str(record["evaluation"]["network"]["name"])
        place = (str(record["method"]), by, str(record["dataset"]), int(record["ipc"] or 0))
        found.setdefault(place, []).append(record)

    def number(row: Row, judge: Judge, dataset: str, ipc: int) -> Reported | None:
        if row.reported_as is None:
            return None
        return find(numbers, paper, item, dataset, ipc, row.reported_as, network=judge.reported_as)

    entries: dict[tuple[int, Column], Entry] = {}
    places: dict[str, Place] = {}
    for dataset, ipc in (*own, *others):
        span = f"{data_set(dataset)}, INPC {ipc}"
        places[span] = (dataset, ipc)
        for index, row in enumerate(rows):
            mine = []
            for judge in judges:
                told = number(row, judge, dataset, ipc)
                if (dataset, ipc) not in own:
                    entry = Entry(row, dataset, ipc, NOT_HERE, number=told)
                else:
                    here = found.get((row.method or "", judge.name, dataset, ipc), [])
                    entry = make_entry(row, dataset, ipc, here, told)
                entries[index, (span, judge.label)] = entry
                mine.append(entry)
            if average:
                entries[index, (span, AVERAGE)] = _average(mine, number(row, MEAN, dataset, ipc))
    heads = [judge.label for judge in judges] + [AVERAGE] * average
    table = AblationTable(
        rows=tuple(rows),
        columns=tuple((span, head) for span in places for head in heads),
        entries=entries,
        paper=paper,
        item=item,
        profile=profile,
        command=command,
        reading=reading,
        wording=Wording(
            by="network of judgement, trained on INPC images per class that the generator draws again for every epoch",
            head="network",
            made="generator",
            budget="inpc",
            absent="the paper does not use this data set here",
        ),
        remarks=(
            *_scale(finished),
            *_networks(finished, judges),
            *([f"{AVERAGE}: of one network of each kind."] * average),
        ),
        places=places,
        judges=tuple(judges),
    )
    return replace(table, base=table.index(base)) if base else table


def of_session(
    session: Session,
    rows: Sequence[Row],
    judges: Sequence[str] = ("C-3", "R-10", "R-18"),
    *,
    base: str = "",
    average: bool = False,
) -> AblationTable:
    """A session's variants judged by several networks, with the numbers of its own item."""
    paper, _, name = session.study.item.partition("/")
    return ablation_table(
        session.records,
        rows,
        [JUDGES[judge] for judge in judges],
        session.study.datasets,
        session.study.ipcs,
        session.reported,
        paper=paper,
        item=name.replace("figure", "fig"),
        base=base,
        average=average,
        command=session.study.command(),
        reading=session.profile.reading,
    )


def variants(methods: Mapping[str, str], published: Sequence[str], reported_as: str) -> list[Row]:
    """Rows for all that the paper tries; what this profile leaves out is shown with the paper's number only.

    Parameters
    ----------
    methods : dict of str to str
        Name of a row to the method of its records.
    published : sequence of str
        The names of all rows, from top to bottom.
    reported_as : str
        What the reported numbers call a row, with ``{}`` for its name.
    """
    return [
        Row(methods[name], name, reported_as.format(name))
        if name in methods
        else Row(None, name, reported_as.format(name), absent=NOT_HERE)
        for name in published
    ]


def told(changes: pd.DataFrame) -> pd.DataFrame:
    """What :meth:`AblationTable.changes` gives, for people: a difference with its interval in one column."""
    measured, printed = [], []
    for line in changes.to_dict("records"):
        known = line["verdict"] != "missing"
        words = [points(line[name]) for name in ("difference", "low", "high")]
        measured.append(
            MISSING if not known else words[0] + (f" [{words[1]}, {words[2]}]" if line["n"] > 1 else "")
        )
        at = f" ({line['reported_at']})" if line["reported_at"] else ""
        printed.append(points(line["reported"]) + at)
    return pd.DataFrame(
        {
            "dataset": changes.dataset,
            "INPC": changes.ipc,
            "network": changes.network,
            "row": changes.row,
            "base": changes.base,
            "difference (points)": measured,
            "generators": changes.n,
            "verdict": changes.verdict,
            "reported": printed,
            "generators for that": [
                NOTHING if pd.isna(many) or verdict == "missing" else f"{many:,}"
                for many, verdict in zip(changes.needed, changes.verdict, strict=True)
            ],
        }
    )


@dataclass(frozen=True)
class Course:
    """How far the accuracy of one generator moves along the last epochs of its training. Made by :func:`course`.

    Attributes
    ----------
    label : str
        Its method in words.
    epochs : tuple of int
        After which it was judged, under one network.
    of : int
        Epochs of its whole training.
    spread : float
        Standard deviation over these epochs (ddof 1), in points. A rise along them is in it.
    generators : int
        How many were judged so; their variances are averaged.
    """

    label: str
    epochs: tuple[int, ...]
    of: int
    spread: float
    generators: int

    @property
    def words(self) -> str:
        """Which epochs: ``"DiM, epochs 15, 17, 19 and 20 of 20"``."""
        *first, last = map(str, self.epochs)
        return f"{self.label}, epochs {', '.join(first)} and {last} of {self.of}"


def course(records: Sequence[Record], network: str) -> Course | None:
    """How far one generator moves along its training under a network; None where none was judged along the way.

    Parameters
    ----------
    records : sequence of dict
        Of one method, data set, budget and profile, along the way and at the end. One at its end alone says nothing of
        the way.
    network : str
        The name of the network that judged: ``"convnet"``.

    Raises
    ------
    BadValue
        The records are of several methods, data sets or budgets.
    """
    own = [one for one in unique(records) if one["evaluation"]["network"]["name"] == network]
    places = {(one["method"], one["dataset"], one["ipc"]) for one in own}
    if len(places) > 1:
        told = "; ".join(", ".join(map(str, place)) for place in sorted(places))
        raise BadValue(f"records of several generators in one course: {told}", "one method at one place")
    along: dict[int, dict[int, float]] = {}
    for one in own:
        along.setdefault(int(one["seed"]), {})[int(one["iteration"])] = float(np.mean(one["accuracies"]))
    on_the_way = {int(one["seed"]) for one in own if not at_its_end(one)}
    ways = [way for seed, way in along.items() if seed in on_the_way and len(way) > 1]
    if not ways:
        return None
    squares = sum(float(np.var(list(way.values()), ddof=1)) * (len(way) - 1) for way in ways)
    return Course(
        label=str(own[0]["label"]),
        epochs=tuple(sorted({epoch for way in ways for epoch in way})),
        of=int(own[0]["iterations"]),
        spread=math.sqrt(squares / sum(len(way) - 1 for way in ways)),
        generators=len(ways),
    )


def wanted(changes: pd.DataFrame, courses: Mapping[tuple[str, int, str], Course]) -> pd.DataFrame:
    """How many generators each of two rows would take to tell the paper's difference from one generator's own spread.

    Each row has generators of its own, so that the difference of two has the spread of one times the root of two. The
    number is that of :func:`~dreamlib.companion.report.verdicts.needed`.

    Parameters
    ----------
    changes : DataFrame
        From :meth:`AblationTable.changes`.
    courses : mapping
        The course of a generator by data set, budget and label of the network; lines without one are left out.

    Returns
    -------
    DataFrame
        `dataset`, `ipc`, `network`, `row`, `base`, `spread` (points), `claimed` (the paper's difference; one point
        where it prints none, in one line for all rows), `reported` and `reported_at` (NaN and empty where it prints
        none), and `needed` (missing where the paper's difference is zero, or a million is not enough).
    """
    lines = []
    for line in changes.to_dict("records"):
        found = courses.get((line["dataset"], line["ipc"], line["network"]))
        if found is None:
            continue
        printed = not pd.isna(line["reported"])
        claimed = line["reported"] if printed else 1.0
        about = line if printed else line | {"row": "any", "base": "any"}
        many = needed(math.sqrt(2) * found.spread, claimed)
        lines.append(about | {"spread": found.spread, "claimed": claimed, "needed": many})
    frame = pd.DataFrame(lines, columns=list(WANTED)).astype({"needed": "Int64"})
    return frame.drop_duplicates(["dataset", "ipc", "network", "row", "base"], ignore_index=True)


def wanted_told(frame: pd.DataFrame) -> pd.DataFrame:
    """What :func:`wanted` gives, for people."""
    printed, many = [], []
    for line in frame.to_dict("records"):
        at = f" ({line['reported_at']})" if line["reported_at"] else ""
        own = not pd.isna(line["reported"])
        printed.append(points(line["reported"]) + at if own else "none; for one point")
        nothing = abs(line["claimed"]) < TINY
        count = f"more than {MOST:,}" if pd.isna(line["needed"]) else f"{line['needed']:,}"
        many.append(NOTHING if nothing else count)
    return pd.DataFrame(
        {
            "dataset": frame.dataset,
            "INPC": frame.ipc,
            "network": frame.network,
            "row": frame.row,
            "base": frame.base,
            "spread of one generator (points)": [f"{spread:.1f}" for spread in frame.spread],
            "reported difference": printed,
            "generators of each row": many,
        }
    )


def _average(entries: Sequence[Entry], number: Reported | None) -> Entry:
    first = entries[0]
    if any(entry.status != MEASURED for entry in entries):
        status = next(entry.status for entry in entries if entry.status != MEASURED)
        return Entry(first.row, first.dataset, first.ipc, status, number=number)
    sizes = {
        tuple((seed, len(values)) for seed, values in sorted(entry.by_seed.items())) for entry in entries
    }
    if len(sizes) > 1:
        raise BadValue(
            f"{first.row.label}: an average over judges with different seeds or numbers of networks",
            "fill what is missing first",
        )
    by_seed = {
        seed: tuple(
            float(np.mean(one)) for one in zip(*(entry.by_seed[seed] for entry in entries), strict=True)
        )
        for seed in first.by_seed
    }
    return Entry(
        first.row,
        first.dataset,
        first.ipc,
        MEASURED,
        accuracies=tuple(value for values in by_seed.values() for value in values),
        sets=first.sets,
        number=number,
        by_seed=by_seed,
    )


def _scale(records: Sequence[Record]) -> list[str]:
    """How long the generators were trained."""
    lengths = {
        int(record["iterations"])
        for record in records
        if record["recipe"]["criterion"]["part"] == "Generative"
    }
    if not lengths:
        return []
    told = " or ".join(map(str, sorted(lengths)))
    return [f"The paper's {EPOCHS} epochs of a generator are {told} here."] if lengths != {EPOCHS} else []


def _networks(records: Sequence[Record], judges: Sequence[Judge]) -> list[str]:
    """What stands behind the columns' names under this profile, in one sentence."""
    told = []
    for judge in judges:
        kinds = [record["evaluation"]["network"] for record in records]
        words = {
            network(kind) + (f", width {kind['width']} (published: 128)" if kind["width"] != 128 else "")
            for kind in kinds
            if kind["name"] == judge.name
        }
        told += [f"{judge.label} is {' or '.join(sorted(words))}"] if words else []
    return ["; ".join(told) + "."] if told else []


def varied(
    panels: Mapping[str, pd.DataFrame],
    *,
    xlabel: str,
    connected: bool = True,
    logarithmic: bool = False,
    ylabel: str = "test accuracy (%)",
    suptitle: str | None = None,
) -> Figure:
    """Accuracy against a varied setting: a line for each network, whiskers of one standard deviation.

    Reported numbers are open markers, joined by dots where the setting is a number: never a line like a measured one.

    Parameters
    ----------
    panels : mapping of str to DataFrame
        Title to `line`, `x`, `tick`, `mean`, `std`, `n` and `reported`, as ``AblationTable.curves`` makes them. A panel
        without any value is left out; where none has any, the first says "missing".
    xlabel : str
        What is varied.
    connected : bool
        The setting is a number; otherwise points of one setting stand next to each other, without lines.
    logarithmic : bool
        Of the setting.
    ylabel, suptitle : str, optional

    Raises
    ------
    BadValue
        A column is missing, or there is no panel.
    """
    wanted = {"line", "x", "tick", "mean", "std", "n", "reported"}
    for panel, frame in panels.items():
        if absent := sorted(wanted - set(frame.columns)):
            raise BadValue(f"{panel}: missing {', '.join(absent)}", "AblationTable.curves()")
    shown = {
        title: frame for title, frame in panels.items() if frame[["mean", "reported"]].notna().any(axis=None)
    }
    shown = shown or dict(list(panels.items())[:1])
    if not shown:
        raise BadValue("no panel to plot; expected at least one", "AblationTable.curves()")
    across = min(3, len(shown))
    down = math.ceil(len(shown) / across)
    figure, axes = subplots(down, across, figsize=(max(6.4, 4.4 * across), 3.6 * down), squeeze=False)
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    order = list(dict.fromkeys(name for frame in shown.values() for name in frame["line"]))
    for ax, (title, frame) in zip(axes.flat, shown.items(), strict=False):
        for position, name in enumerate(order):
            curve = frame[frame["line"] == name].sort_values("x")
            tone, marker = PALETTE[position % len(PALETTE)], MARKERS[position % len(MARKERS)]
            aside = 0.0 if connected else 0.16 * (position - (len(order) - 1) / 2)
            for column, style in (("mean", "-"), ("reported", (0, (1, 2)))):
                there = curve[curve[column].notna()]
                if there.empty:
                    continue
                counts = sorted(set(there["n"]))
                ax.errorbar(
                    there["x"] + aside,
                    there[column],
                    there["std"] if column == "mean" else None,
                    color=tone,
                    linestyle=style if connected else "none",
                    linewidth=1.7 if column == "mean" else 1.0,
                    elinewidth=1,
                    capsize=2,
                    marker=marker,
                    markersize=6,
                    markerfacecolor=tone if column == "mean" else "white",
                    markeredgewidth=1.2,
                    label=f"{name} (n = {'–'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))})"
                    if column == "mean"
                    else f"{name}, reported",
                )
        if logarithmic:
            ax.set_xscale("log")
        ticks = frame.drop_duplicates("x")
        ax.set_xticks(ticks["x"].tolist(), ticks["tick"].tolist())
        ax.minorticks_off()
        if not connected:
            ax.set_xlim(frame["x"].min() - 0.5, frame["x"].max() + 0.5)
            ax.tick_params(axis="x", rotation=25 if ticks["tick"].str.len().max() > 5 else 0)
        ax.set_title(title)
        ax.set_xlabel(xlabel)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best", fontsize=8.5)
        else:
            ax.text(0.5, 0.5, "missing", transform=ax.transAxes, ha="center", fontstyle="italic", color=GREY)
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    if suptitle:
        figure.suptitle(suptitle)
    return figure
