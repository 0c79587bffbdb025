"""Accuracies by two properties of the records, such as the network of distillation and that of the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from dreamlib.companion.report.statistics import at_its_end, pooled, unique
from dreamlib.companion.report.words import MISSING, percent
from dreamlib.core.errors import BadValue

Record = Mapping[str, Any]


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
    finished = [record for record in unique(records) if at_its_end(record)]
    kinds = {(record["profile"], record["dataset"], record["ipc"]) for record in finished}
    if len(kinds) > 1:
        raise BadValue(
            f"records of {len(kinds)} different (profile, data set, images per class) in one table: {sorted(kinds)}",
            "filter the records to one of them",
        )
    places: dict[tuple[str, str], list[Record]] = {}
    for record in finished:
        places.setdefault((row(record), column(record)), []).append(record)
    lines = [{"row": place[0], "column": place[1], **pooled(found)} for place, found in places.items()]
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
