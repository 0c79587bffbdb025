"""Measured numbers that lie far from the paper's, each with what was found about it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ...core.errors import DataError
from ...core.limits import MOST_FILE
from ...core.places import project_root
from ...core.reading import contents, no_more_than
from .accuracies import Accuracies
from .words import MEASURED, percent, points

SPREADS = 2  # a measured number is near a reported one within so many of the paper's standard deviations
COLUMNS = ("profile", "dataset", "ipc", "method", "cause")
UNKNOWN = "not looked for yet"
# What a cause is known of: profile, data set, budget and method.
Causes = Mapping[tuple[str, str, int, str], str]


def load_causes(path: Path | None = None) -> Causes:
    """What was found about numbers that lie far from the paper's; nothing where there is no such file.

    Parameters
    ----------
    path : Path, optional
        A CSV file with the columns :data:`COLUMNS`; by default ``reports/causes.csv`` of the project.

    Raises
    ------
    DataError
        It is no such table.
    """
    file = path or project_root() / "reports" / "causes.csv"
    if not file.exists():
        return {}
    try:
        raw = contents(file, no_more_than(MOST_FILE))
        frame = pd.read_csv(io.BytesIO(raw), dtype=str, keep_default_na=False, encoding="utf-8")
        if tuple(frame.columns) != COLUMNS:
            raise ValueError(f"it has the columns {list(frame.columns)}; expected {list(COLUMNS)}")
        return {
            (line["profile"], line["dataset"], int(line["ipc"]), line["method"]): line["cause"]
            for line in frame.to_dict("records")
        }
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} is no table of causes: {error}", "git checkout reports/causes.csv"
        ) from error


def distant(table: Accuracies, causes: Causes) -> pd.DataFrame:
    """The measured numbers of a table that lie more than :data:`SPREADS` printed standard deviations from the paper's.

    A number that the paper prints without a deviation is not judged.

    Returns
    -------
    DataFrame
        One line per number, the farthest first: `column` and `method` in words, `measured` and `reported` as percent,
        `apart` in points, `printed deviations` (how many of the paper's they lie apart), and `what was found`.
    """
    lines = []
    for (index, column), entry in table.entries.items():
        number, row = entry.number, table.rows[index]
        if entry.status != MEASURED or entry.difference is None or number is None or not number.std:
            continue
        spreads = abs(entry.difference) / number.std
        if spreads <= SPREADS:
            continue
        cause = causes.get((table.profile, entry.dataset, entry.ipc, row.method or ""), UNKNOWN)
        lines.append(
            {
                "column": table.place(column),
                "method": row.label,
                "measured": percent(entry.mean, entry.std),
                "reported": percent(number.value, number.std),
                "apart": points(entry.difference),
                "printed deviations": spreads,
                "what was found": cause,
            }
        )
    names = ["column", "method", "measured", "reported", "apart", "printed deviations", "what was found"]
    frame = pd.DataFrame(lines, columns=names)
    return frame.sort_values("printed deviations", ascending=False, ignore_index=True)


def judged(table: Accuracies) -> int:
    """How many measured numbers of a table have a reported one with a printed standard deviation."""
    return sum(
        entry.status == MEASURED and entry.number is not None and bool(entry.number.std)
        for entry in table.entries.values()
    )
