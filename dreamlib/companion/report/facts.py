"""What a page says of itself in a form that the front page reads: its verdicts, its agreement, what it cost.

A session tells these facts where a page shows them: they lie in the executed notebook, in the metadata of the output
that shows them. So a card on the front page never says anything else than its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from .statistics import Record, seconds, unique

FACTS = "dreamlib"  # their name among the metadata of an output
COUNTED = {
    "core": "core-hours",
    "clock": "core-hours by the clock (shared machine)",
    "device": "device-hours",
}


def told(**facts: Any) -> dict[str, Any]:
    """Facts as the metadata of an output: ``display(table, metadata=told(claims=lines(claims)))``."""
    return {FACTS: facts}


def lines(claims: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Claims with their verdicts and evidence, as JSON has them."""
    return [[text, None if holds is None else bool(holds), evidence] for text, holds, evidence in claims]


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame as JSON has it, line by line; what is not there is None."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in line.items()}
        for line in frame.to_dict("records")
    ]


def cost(records: Iterable[Record]) -> dict[str, float]:
    """Seconds of work behind records, by how they were counted.

    ``"core"`` are processor seconds. Where a record does not say them, ``"clock"`` has clock time times threads: on a
    machine that others used too, the waiting is in it. ``"device"`` is clock time of accelerators. A set that is judged
    several times was made once, and counts once; so does an earlier stage that several sets go on from.
    """
    total: dict[str, float] = {}
    made = set()
    for position, record in enumerate(unique(records)):
        threads = re.search(r"(\d+) thread", str(record.get("device", "")))  # only processors say how many
        several = int(threads[1]) if threads else 1
        name = record.get("set_sha256") or position
        judged = (seconds(record, "evaluate") + seconds(record, "measure")) * several
        whole = judged if name in made else judged + seconds(record, "distill") * several
        kind, unit = ("clock", several) if threads else ("device", 1)
        if threads and (core := seconds(record, "core")):
            # What a record counts begins with the making of its set.
            kind, whole = "core", min(core, judged) if name in made else core
        for stage, took in record.get("earlier", {}).items():
            if stage in made and name not in made:
                whole -= took["core"] if kind == "core" else took["distill"] * unit
            made.add(stage)
        made.add(name)
        if whole:
            total[kind] = total.get(kind, 0.0) + whole
    return total


def hours(cost: Mapping[str, float]) -> str:
    """A :func:`cost` in words: ``"2.3 core-hours"``, "shared machine" where processor time is not known; "" for 0."""
    return ", ".join(f"{_hours(cost[kind])} {unit}" for kind, unit in COUNTED.items() if cost.get(kind))


def _hours(seconds: float) -> str:
    value = seconds / 3600
    return "less than 0.1" if value < 0.05 else f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"
