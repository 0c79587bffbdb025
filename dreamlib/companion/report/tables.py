"""Measured beside reported: accuracy tables, and any other frame in their look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...core.atomic import write_text
from ...core.errors import BadValue
from . import layouts
from .accuracies import Accuracies, Cell, Column
from .accuracies import Row as Row
from .accuracies import Wording as Wording
from .layouts import Fragment
from .reported import Reported, find
from .reported import rows as numbers_of
from .statistics import Budgets, Record, budgets, of_one_profile, seconds
from .words import (
    MEASURED,
    MISSING,
    NOT_HERE,
)


class AccuracyTable(Accuracies):
    """Accuracies, and the ways to show them. Made by :func:`accuracy_table`."""

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
        seconds=sum(seconds(record, "distill") + seconds(record, "evaluate") for record in records),
        peak_memory_bytes=max(peaks, default=None),
        by_seed={record["seed"]: tuple(map(float, record["accuracies"])) for record in records},
    )


def csv(frame: pd.DataFrame) -> str:
    """`frame` as CSV with ``\\n`` line ends and round-trip floats."""
    return frame.to_csv(index=False, lineterminator="\n")


def styled(frame: pd.DataFrame, caption: str = "", *, decimals: int = 2) -> Fragment:
    """Any DataFrame in the look of the accuracy tables; escaped, NaN as "–", without the index."""
    return Fragment(layouts.plain_html(frame, caption, decimals))
