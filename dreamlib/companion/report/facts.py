"""What a page says of itself in a form that the front page reads: its verdicts, its agreement, what it cost.

A session tells these facts where a page shows them: they lie in the executed notebook, in the metadata of the output
that shows them. So a card on the front page never says anything else than its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from .statistics import Record, seconds, unique

FACTS = "dreamlib"  # their name among the metadata of an output


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
    """Seconds of work behind records: ``"core"`` on processors, times their threads, and ``"device"`` on others.

    Clock time: on a machine that others used too, the waiting is in it. A set that is judged several times was made
    once, and counts once.
    """
    made: dict[object, tuple[str, float]] = {}
    total: dict[str, float] = {}

    def add(device: str, spent: float) -> None:
        threads = re.search(r"(\d+) thread", device)  # only processors say how many
        kind = "core" if threads else "device"
        if spent:
            total[kind] = total.get(kind, 0.0) + spent * (int(threads[1]) if threads else 1)

    for position, record in enumerate(unique(records)):
        device = str(record.get("device", ""))
        made[record.get("set_sha256") or position] = device, seconds(record, "distill")
        add(device, seconds(record, "evaluate"))
    for device, spent in made.values():
        add(device, spent)
    return total
