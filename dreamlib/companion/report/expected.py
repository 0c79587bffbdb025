"""Whether a page's numbers are those that were committed with it: in bands, since another CPU gives slightly others.

What agrees is said in words that do not depend on the last digits, so nbval can compare them: ``"dm, IPC 10: 71 within
4"``. What does not agree is said with the number that was measured, and then nbval shows the difference.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from ...core.errors import BadValue, unknown
from .reported import COLUMNS, where
from .words import network, plural

FIELDS = COLUMNS[COLUMNS.index("dataset") : COLUMNS.index("note")]  # what a number consists of


def within(name: str, measured: float | None, expected: float, band: float) -> str:
    """One line: ``"name: 71 within 4"``, or what was measured instead.

    Parameters
    ----------
    name : str
        What was measured.
    measured, expected : float
        In the same unit. What is not there (None) or not finite never agrees.
    band : float
        How far they may lie apart; 0 for numbers that are the same everywhere, such as counts.
    """
    agreed = f"{expected:,.15g} within {band:g}" if band else f"{expected:,.15g}"
    if measured is None:
        return f"{name}: nothing measured, where {agreed} is expected"
    if math.isfinite(measured) and abs(measured - expected) <= band:
        return f"{name}: {agreed}"
    shown = f"{measured:,.15g}" if not band else f"{measured:.4g}"
    return f"{name}: {shown} measured, where {agreed} is expected"


def names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What distinguishes every record from the others of its study, whatever its set: ``"dm, IPC 10, step 5"``.

    The parts are the method, the budget (IPC or INPC), the step if it is not the last, the judging network where
    several judge the method, and the engine's mode where a study has several; at the end the data set of a part of
    another one. A class order counts as a set, and is left out.
    """
    networks = [network(record["evaluation"]["network"]) for record in records]
    modes = [record["recipe"]["mode"] for record in records]
    judges: dict[str, set[str]] = {}
    for record, judge in zip(records, networks, strict=True):
        judges.setdefault(record["method"], set()).add(judge)
    found = []
    for record, judge, mode in zip(records, networks, modes, strict=True):
        parts = [record["method"], f"{record.get('budget', 'ipc').upper()} {record['ipc']}"]
        if record["iteration"] != record["iterations"]:
            parts.append(f"step {record['iteration']}")
        if len(judges[record["method"]]) > 1:
            parts.append(judge)
        if len(set(modes)) > 1:
            parts.append(mode)
        if "@" in record["dataset"]:
            parts.append(re.sub(r"-order\d+", "", record["dataset"]))
        found.append(", ".join(parts))
    return found


def means(records: Sequence[Mapping[str, Any]], wanted: Iterable[str]) -> dict[str, float]:
    """Mean accuracies in percent, by name (see :func:`names`): over networks, and then over sets.

    Raises
    ------
    UnknownName
        No record has this name.
    BadValue
        A name stands for two records of one set, so it does not say which number is meant.
    """
    groups: dict[str, dict[tuple[str, int], list[float]]] = {}
    twice = set()
    for name, record in zip(names(records), records, strict=True):
        group, at = groups.setdefault(name, {}), (record["dataset"], record["seed"])
        if at in group:
            twice.add(name)
        group[at] = record["accuracies"]
    found = {}
    for name in wanted:
        if name not in groups:
            raise unknown("expected number", name, sorted(groups))
        if name in twice or len({re.sub(r"-order\d+", "", data) for data, _ in groups[name]}) > 1:
            raise BadValue(f"{name!r} stands for several cells of one set", ", ".join(sorted(groups)[:5]))
        found[name] = fmean(fmean(accuracies) for accuracies in groups[name].values())
    return found


def reported_line(frame: pd.DataFrame, item: str) -> str:
    """What a paper reports in an item, in a line that any change of a number changes.

    Parameters
    ----------
    frame : DataFrame
        As :func:`~dreamlib.companion.report.reported.load_reported` gives it.
    item : str
        Paper and item of the file of reported numbers: ``"dream/table1"``, ``"dim/fig1d"``.

    Raises
    ------
    UnknownName
        Nothing is reported there.
    """
    paper, _, name = item.partition("/")
    own = frame[(frame.paper == paper) & (frame.item == name)]
    if own.empty:
        raise unknown("item with reported numbers", item, sorted(set(frame.paper + "/" + frame.item)))
    # The sum is for the reader; the checksum also notices numbers that have changed places.
    lines = sorted("|".join(map(str, line)) for line in own[list(FIELDS)].itertuples(index=False))
    seal = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]
    return f"{where(paper, name)}: {plural(len(own), 'reported number')}, sum {own.value.sum():.10g}, checksum {seal}"
