"""Measured and reported numbers: what an accuracy table says in every line, in any format.

All formats follow one plan. A method takes two lines, so that like stands under like: what was measured here, and
below it what the paper reports, with the difference in brackets (in LaTeX, where pages are narrow, on a third line).
A table with a base row adds how far each row is above it: as measured, and in italics as reported.
A method that is not implemented has only the second line and says so. An entry that could be measured and was not says
"missing", never nothing.
"""

from __future__ import annotations

import html as markup
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from . import layouts
from .accuracies import Accuracies, Column, Entry
from .accuracies import Row as Row
from .accuracies import Wording as Wording
from .layouts import HTML, LATEX, MARKDOWN, Dialect, Fragment
from .layouts import styled as styled
from .reported import Reported, find, where
from .reported import rows as numbers_of
from .statistics import Budgets, Record, budgets, of_one_profile, of_seeds, work
from .words import (
    MEASURED,
    MISSING,
    NOT_HERE,
    NOT_IMPLEMENTED,
    NOTHING,
    data_set,
    duration,
    percent,
    plural,
    points,
    size,
)

BUDGETS = {
    "inpc": "images per class that a generator draws again for every epoch (INPC), not stored images",
    "inpc*": "by images per class of an epoch (INPC*): as many for each method as are decoded from this IPC",
    "whole": "trained on the whole training set",
}
NOT_MEASURED = f"{NOT_HERE}: what the paper prints; it is not measured for this page"
LATEX_PANEL = 6  # columns that fit on a page of A4 in \scriptsize


@dataclass
class Footnotes:
    """What has to be said of single numbers and columns, each text once, in the order of the table."""

    texts: list[str] = field(default_factory=list)

    def mark(self, *texts: str) -> str:
        """The letters of these texts: ``"a,c"``."""
        self.texts += [text for text in texts if text not in self.texts]
        return ",".join(_letters(self.texts.index(text)) for text in texts)

    def marked(self) -> list[tuple[str, str]]:
        """(letters, text) of every footnote."""
        return [(_letters(position), text) for position, text in enumerate(self.texts)]


def _letters(position: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    letters = string.ascii_lowercase
    return letters[position] if position < 26 else letters[position // 26 - 1] + letters[position % 26]


class AccuracyTable(Accuracies):
    """Accuracies, and the ways to show them. Made by :func:`accuracy_table`."""

    def markdown(self) -> str:
        """A Markdown table, two lines per method: measured, and reported with the difference."""
        notes, say = Footnotes(), MARKDOWN
        grid = self.grid(say, notes)
        lines, last = [], ""
        for (label, kind), texts in zip(grid.index, grid.to_numpy().tolist(), strict=True):
            lines.append([label if label != last else "", kind, *texts])
            last = label
        told = [layouts.markdown(["Method", "", *map(" · ".join, grid.columns)], lines, 2)]
        told.append(" ".join(map(say, self.legend())) + " **Bold**: best measured of its column.\n")
        told += [f"{say(letters, 'note')} {say(text)}\n" for letters, text in notes.marked()]
        if self.missing:
            told.append(self._missing() + (f" To fill: `{self.command}`" if self.command else "") + "\n")
        return "\n".join(told)

    def latex(self) -> str:
        """LaTeX ``table`` floats, one per six columns; they need ``\\usepackage{booktabs}``."""
        notes, say = Footnotes(), LATEX
        grid = self.grid(say, notes, narrow=True)
        under = [r"\textbf{Bold}: best measured of its column."]
        under += [f"{say(letters, 'note')}~{say(text)}." for letters, text in notes.marked()]
        for absent in dict.fromkeys(row.absent for row in self.rows if row.method is None):
            why = "not implemented here" if absent == NOT_IMPLEMENTED else absent
            under.append(f"\\textsuperscript{{*}}~{say(why)}, so only the reported number is shown.")
        if self.missing:
            fill = f" To fill: \\texttt{{{say(self.command)}}}" if self.command else ""
            under.append(say(self._missing()) + fill)
        lines = [r"% needs \usepackage{booktabs}"]
        for panel in self._panels():
            first = not panel[0]
            lines += [r"\begin{table}[htbp]", r"\centering", r"\scriptsize", r"\setlength{\tabcolsep}{2pt}"]
            caption = f"\\caption{{{' '.join(map(say, self.legend()))}}}"
            lines.append(caption if first else r"\textit{(continued)}\par\smallskip")
            tabular = layouts.latex(grid.iloc[:, panel], f"@{{}}ll{'r' * len(panel)}@{{}}")
            # The box keeps a piece that is a little wider than the text in the middle of the page.
            lines += [rf"\makebox[\linewidth][c]{{{tabular.rstrip()}}}", r"\par\medskip"]
            lines += [r"\begin{minipage}{\linewidth}\scriptsize", *under, r"\end{minipage}", r"\end{table}"]
        return "\n".join([*lines, ""])

    def html(self) -> str:
        """An HTML fragment with its own style: table, notes, and, folded away, what every entry cost."""
        notes = Footnotes()
        table = layouts.html(self.grid(HTML, notes))
        said = "Shaded: best measured of its column."
        said += f" {NOTHING}: the paper gives no number here." if self._compared else ""
        costs = self._costs()
        return layouts.block(
            table,
            caption=" ".join(self.legend()),
            notes=[("", said), *notes.marked()],
            missing=self._missing(),
            command=self.command,
            costs="" if costs.empty else layouts.html(layouts.finished(costs, HTML, 0)),
        )

    def _repr_html_(self) -> str:
        return self.html()

    def save(self, folder: str | Path, stem: str) -> list[Path]:
        """Write ``stem.csv``, ``stem.md`` and ``stem.tex`` into `folder`, each all or nothing.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        texts = {"csv": layouts.csv(self.frame()), "md": self.markdown(), "tex": self.latex()}
        return layouts.save(folder, stem, **texts)

    # What stands in the lines

    def grid(self, say: Dialect, notes: Footnotes, *, narrow: bool = False) -> pd.DataFrame:
        """The table as texts of a dialect: lines by label and kind, columns by data set and budget.

        ``narrow`` has differences on a line of their own.
        """
        columns = list(self._heads(say, notes))
        places, lines, group = [], [], ""
        for index, row in enumerate(self.rows):
            if row.group and row.group != group:
                places.append((say(row.group, "group"), ""))
                lines.append([""] * len(columns))
            group = row.group
            label = say(row.label) + (say(row.absent, "absent") if row.method is None else "")
            for kind, texts in self._lines(index, say, notes, narrow):
                places.append((label, kind))
                lines.append(texts)
        heads = pd.MultiIndex.from_tuples(columns, names=[None, say(self.wording.head, "kind")])
        return pd.DataFrame(lines, pd.MultiIndex.from_tuples(places), heads, dtype=object)

    def _heads(self, say: Dialect, notes: Footnotes) -> Iterator[tuple[str, str]]:
        """Data set and budget above every column, with what has to be said of them."""
        here = {column for (_, column), entry in self.entries.items() if entry.status in (MEASURED, MISSING)}
        elsewhere = {column for (_, column), entry in self.entries.items() if entry.status == NOT_HERE} - here
        for dataset in dict.fromkeys(dataset for dataset, _ in self.columns):
            mine = [column for column in self.columns if column[0] == dataset]
            # A profile may show data sets that no paper used; said once in the heading instead of in every entry.
            printed = any(entry.number for (_, column), entry in self.entries.items() if column in mine)
            nowhere = all(column in elsewhere for column in mine)
            said = [self.wording.absent] if self._compared and not printed else [NOT_MEASURED] * nowhere
            head = say(data_set(dataset)) + say(notes.mark(*said), "note") + say(NOT_HERE * nowhere, "tag")
            for column in mine:
                # Where the page measures some columns of a data set and not others, each of the others says so.
                apart = column in elsewhere and not nowhere
                mark = say(notes.mark(*[NOT_MEASURED] * apart), "note")
                yield head, say(str(column[1])) + mark + say(NOT_HERE * apart, "tag")

    def _lines(
        self, index: int, say: Dialect, notes: Footnotes, narrow: bool
    ) -> Iterator[tuple[str, list[str]]]:
        """What is said of a row: the kind of every line and its texts."""
        row, entries = self.rows[index], [self.entries[index, column] for column in self.columns]
        if row.method is not None:
            best = [self.best(column) == index for column in self.columns]
            yield say("measured", "kind"), list(map(self._measured, entries, best, [say] * len(entries)))
        if row.reported_as is not None or row.method is None:
            texts = [self._reported(entry, say, notes, narrow) for entry in entries]
            yield say("reported", "reported"), texts
        if narrow and any(entry.difference is not None for entry in entries):
            yield "difference", [say(points(entry.difference)) for entry in entries]
        changes = [self.change(index, column) for column in self.columns]
        if any(change is not None for pair in changes for change in pair):
            told = [
                ("" if ours is None else say(points(ours), "quiet"))
                + ("" if theirs is None else say(points(theirs), "change"))
                for ours, theirs in changes
            ]
            yield say(self._against, "kind"), [text.strip() or say(NOTHING) for text in told]

    def _measured(self, entry: Entry, best: bool, say: Dialect) -> str:
        """``"61.2 ± 0.8"``, with ``" (n=5)"`` where entries differ; "missing" or "not implemented"."""
        if entry.mean is None:
            return say(NOTHING, "quiet") if entry.status == NOT_HERE else say(entry.status, "missing")
        # Where entries differ in how many networks or sets they stand on, each must say.
        told = f" (n={entry.n})" if len(self._counts) > 1 else ""
        shown = say(percent(entry.mean, entry.std) + told, "best" if best else "measured")
        return self._linked(entry, shown) if say is HTML else shown

    def _linked(self, entry: Entry, shown: str) -> str:
        """A number that leads to its record; one of several records leads to the line that lists them."""
        known = [self.links[key] for key in entry.keys.values() if key in self.links]
        if not known:
            return shown
        at = known[0] if len(known) == 1 else f"#{_anchor(entry)}"
        return f'<a href="{markup.escape(at)}">{shown}</a>'

    def _reported(self, entry: Entry, say: Dialect, notes: Footnotes, narrow: bool) -> str:
        """``"(+0.6) 60.6 ± 0.4"``, with footnotes: another source, another budget, the paper's remark."""
        printed, wanted = entry.number, []
        if printed is None:
            return say(NOTHING, "quiet")
        if (printed.paper, printed.item) != (self.paper, self.item):
            wanted.append(f"reported by {where(printed.paper, printed.item)}")
        if printed.budget in BUDGETS and printed.budget != self.wording.budget:
            wanted.append(BUDGETS[printed.budget])
        if printed.note and "budget is INPC" not in printed.note:
            wanted.append(printed.note)
        text = say(percent(printed.value, printed.std), "reported") + say(notes.mark(*wanted), "note")
        if narrow or entry.difference is None:
            return text
        side = "level" if abs(entry.difference) < 0.05 else "above" if entry.difference > 0 else "below"
        return say(f"({points(entry.difference)})", side) + f" {text}"

    # What is said around them

    @property
    def _counts(self) -> set[tuple[int, int]]:
        """On how many networks and sets the entries stand."""
        return {(entry.n, entry.sets) for entry in self.entries.values() if entry.status == MEASURED}

    @property
    def _compared(self) -> bool:
        """Whether the table has a paper's numbers too."""
        return any(row.reported_as for row in self.rows)

    @property
    def _against(self) -> str:
        """What the line of differences to the base row is called."""
        return "" if self.base is None else f"to {self.rows[self.base].label}"

    def legend(self) -> list[str]:
        """The sentences every rendering carries."""
        sentences = [self.caption] if self.caption else []
        sentences.append(f"Top-1 test accuracy in percent by {self.wording.by}.")
        if self._counts:
            sentences.append("Measured: mean ± standard deviation over n trained networks.")
        if len(self._counts) == 1:
            [(n, sets)] = self._counts
            sentences.append(f"n = {n} of {plural(sets, self.wording.made)} in every cell.")
        if self._compared:
            sentences.append(
                f"Reported: as printed in {where(self.paper, self.item)}, never measured here. "
                "Difference: measured minus reported, in points."
            )
        if self.base is not None:
            both = " and (in brackets) as reported." if self._compared else "."
            sentences.append(f"T{self._against[1:]}: points above that row, as measured{both}")
        return [*sentences, *self.remarks, self.reading if self.profile else "Nothing has been measured yet."]

    def _missing(self) -> str:
        """How many entries are missing, or "" if none is."""
        count = self.missing
        return f"{count} {'entries are' if count != 1 else 'entry is'} missing." if count else ""

    def _costs(self) -> pd.DataFrame:
        """Sets, networks, computing and memory of every measured entry."""
        head = self.wording.head[:1].upper() + self.wording.head[1:]
        return pd.DataFrame(
            {
                "Method": entry.row.label,
                "Data set": data_set(dataset),
                head: budget,
                "Sets": entry.sets,
                "Networks": entry.n,
                "Computing": "not recorded" if entry.seconds is None else duration(entry.seconds),
                "Peak memory": size(entry.peak_memory_bytes) if entry.peak_memory_bytes else "not recorded",
                **({"Records": self._records(entry)} if self.links else {}),
            }
            for (_, (dataset, budget)), entry in self.entries.items()
            if entry.status == MEASURED and (dataset, budget) not in self.made_of
        )

    def _records(self, entry: Entry) -> Fragment:
        """A link to the record of every set."""
        found = [
            f'<a href="{markup.escape(self.links[key])}">{seed}</a>'
            for seed, key in entry.keys.items()
            if key in self.links
        ]
        return Fragment(f'<span id="{_anchor(entry)}">{", ".join(found)}</span>')

    def _panels(self) -> list[list[int]]:
        """Positions of columns in pieces that fit on a page, never parting the columns of one data set."""
        panels: list[list[int]] = [[]]
        for dataset in dict.fromkeys(dataset for dataset, _ in self.columns):
            mine = [place for place, column in enumerate(self.columns) if column[0] == dataset]
            if panels[-1] and len(panels[-1]) + len(mine) > LATEX_PANEL:
                panels.append([])
            panels[-1] += mine
        return panels


def _anchor(entry: Entry) -> str:
    """The name of an entry's line among those that say what entries cost."""
    return f"records-{next(iter(entry.keys.values()), '')[:12]}"


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
    reading: str = "",
    beyond: bool = False,
    links: Mapping[str, str] | None = None,
) -> AccuracyTable:
    """Put measured accuracies next to the papers' own.

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
        What to type to measure the missing entries.
    caption, reading : str
        First and last sentence of the caption (``Profile.reading``); the legend follows by itself.
    beyond : bool
        Show the item's other columns too, those that this profile does not measure, with their reported numbers.
    links : dict of str to str, optional
        Where the record of a key is, seen from the page.

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

    entries: dict[tuple[int, Column], Entry] = {}
    for index, row in enumerate(rows):
        for dataset, ipc in columns:
            places = ((paper, item), *fallbacks)
            hits = (
                find(numbers, *place, dataset, ipc, row.reported_as) for place in places if row.reported_as
            )
            number = next((hit for hit in hits if hit is not None), None)
            if (dataset, ipc) not in own and row.method is not None:
                entries[index, (dataset, ipc)] = Entry(row, dataset, ipc, NOT_HERE, number=number)
                continue
            method = row.method or ""
            mine = by_whole.get((method, dataset)) if row.bound else by_place.get((method, dataset, ipc))
            entries[index, (dataset, ipc)] = make_entry(row, dataset, ipc, mine or [], number)
    return AccuracyTable(
        rows=tuple(rows),
        columns=columns,
        entries=entries,
        paper=paper,
        item=item,
        profile=profile,
        command=command,
        caption=caption,
        reading=reading,
        links=links or {},
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


def make_entry(row: Row, dataset: str, ipc: int, records: Sequence[Record], number: Reported | None) -> Entry:
    """The entry of a row that these records, one per seed, stand behind.

    Raises
    ------
    BadValue
        Two records of one seed.
    """
    if row.method is None:
        return Entry(row, dataset, ipc, row.absent, number=number)
    records = [record for record in records if record["accuracies"]]
    if not records:
        return Entry(row, dataset, ipc, MISSING, number=number)
    by_seed = of_seeds(records)
    peaks = [record["peak_memory_bytes"] for record in records if record.get("peak_memory_bytes")]
    return Entry(
        row=row,
        dataset=dataset,
        ipc=ipc,
        status=MEASURED,
        accuracies=tuple(value for values in by_seed.values() for value in values),
        sets=len(records),
        number=number,
        seconds=None if None in (took := [work(record) for record in records]) else sum(filter(None, took)),
        peak_memory_bytes=max(peaks, default=None),
        by_seed=by_seed,
        keys={int(record["seed"]): str(record.get("key", "")) for record in records},
    )
