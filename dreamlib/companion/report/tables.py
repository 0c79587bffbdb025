"""Measured beside reported: accuracy tables, the settings behind them, and paired differences.

A record is the plain dict of one distilled set and its evaluation; the keys used here are ``method``,
``label``, ``dataset``, ``ipc``, ``seed``, ``profile``, ``key``, ``iteration``, ``iterations``, ``accuracies``
(percent, one per trained network), ``evaluation``, ``recipe``, ``seconds``, ``peak_memory_bytes`` and what
describes the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...core.atomic import write_text
from ...core.errors import BadValue
from . import layouts
from .accuracies import Accuracies, Budgets, Cell, Column, Record
from .accuracies import Row as Row
from .accuracies import Wording as Wording
from .reported import Reported, find
from .reported import rows as numbers_of
from .verdicts import Evidence, compare, frame_line
from .words import (
    MEASURED,
    MISSING,
    NETWORKS,
    NOT_HERE,
    NOTHING,
    data_set,
    duration,
    percent,
    size,
    stream,
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
    how = _dig(record, "recipe", "criterion")
    if not isinstance(how, Mapping) or how["part"] != "Generative":
        return _dig(record, "recipe", "criterion", "real_batch")
    return f"{how['matched_batch' if how['matched_epochs'] else 'batch']} of all classes"


def _generator(record: Record) -> str:
    """How a generator was made: what it is, what it was trained by, and what was matched."""
    how, container = _dig(record, "recipe", "criterion"), _dig(record, "recipe", "container")
    if not isinstance(how, Mapping) or not isinstance(container, Mapping) or how["part"] != "Generative":
        return NOTHING
    # Adam's numbers are told where the training is.
    made = {name: value for name, value in container.items() if name not in ("lr", "betas")}
    parts = [_words(made), f"{how['objective']['part']} {_words(_objective(how['objective']))}".strip()]
    drawn = ", its partner's images drawn by themselves" if how.get("independent_draws") else ""
    parts.append(f"batch {how['batch']}, lr {container['lr']:g}, {how['epochs']} epochs{drawn}")
    if how["matched_epochs"]:
        matcher, teacher = how["matcher"], _dig(record, "recipe", "teacher")
        assert isinstance(teacher, Mapping)
        pool = ", ".join(NETWORKS.get(one["name"], one["name"]) for one in teacher["models"])
        if teacher["mode"] == "train":
            pool += " in training mode"
        if teacher["space"] == "signed":
            pool += " on images in [-1, 1], normalised as if in [0, 1]"
        rate = container["lr"] * how["matched_rate"]
        parts.append(
            f"after epoch {how['matched_from']} for {how['matched_epochs']} epochs, lr {rate:g}, "
            f"Adam {'carried on' if how.get('carries_adam') else 'afresh'}: "
            f"{how['weight']:g} times {matcher['part']} ({_words(matcher)}), under {pool}, which learn from "
            f"{teacher['images']} real images before a step"
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
