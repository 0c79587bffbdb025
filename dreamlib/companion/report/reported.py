"""The papers' own numbers: one line per number, with paper, table or figure, data set, budget and network."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from ...core.errors import DataError
from ...core.limits import MOST_FILE
from ...core.places import project_root
from ...core.reading import contents, no_more_than

COLUMNS = ("paper", "item", "dataset", "budget", "ipc", "method", "network", "metric", "value", "std", "note")
TEXTS = tuple(name for name in COLUMNS if name not in ("ipc", "value", "std"))
PAPERS = {"dream": "DREAM", "dm": "DM", "dim": "DiM"}


@dataclass(frozen=True)
class Reported:
    """One number as a paper prints it; ``reports/reported/README.md`` says what each field means.

    ``ipc`` is None where there is no single number of images per class, ``std`` where the paper gives none.
    """

    paper: str
    item: str
    dataset: str
    budget: str
    ipc: int | None
    method: str
    network: str
    metric: str
    value: float
    std: float | None
    note: str


def load_reported(path: str | Path | None = None) -> pd.DataFrame:
    """All reported numbers, one row each, with the columns of :class:`Reported`.

    `ipc` is a nullable integer, `value` and `std` are floats (NaN for "not given"), the rest are strings
    (``""`` for "not given").

    Parameters
    ----------
    path : str or Path, optional
        The CSV file; by default ``reports/reported/reported.csv`` of the project.

    Raises
    ------
    DataError
        The file is missing, has other columns, or holds a value that is not a number.
    """
    file = Path(path) if path is not None else project_root() / "reports" / "reported" / "reported.csv"
    try:
        stamp = file.stat()
    except OSError as error:
        raise DataError(
            f"no reported numbers at {file}", "git checkout reports/reported/reported.csv"
        ) from error
    return _read(file, stamp.st_mtime_ns, stamp.st_size).copy()


@lru_cache(maxsize=4)
def _read(file: Path, changed: int, size: int) -> pd.DataFrame:
    """Parse the file once per content; `changed` and `size` only serve to notice a new one."""
    try:
        raw = contents(file, no_more_than(MOST_FILE))
        frame = pd.read_csv(io.BytesIO(raw), dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no table of numbers: {error}", "git checkout reports/reported") from error
    if tuple(frame.columns) != COLUMNS:
        raise DataError(f"{file} has columns {str(list(frame.columns))[:300]}; expected {list(COLUMNS)}")
    try:
        frame["value"] = pd.to_numeric(frame["value"])
        frame["std"] = pd.to_numeric(frame["std"].mask(frame["std"] == ""))
    except ValueError as error:
        raise DataError(f"{file}: a value or std is not a number ({error})") from error
    # One figure spans "1 to 10" images per class: such a range is no budget to look up, so it stays in the
    # note.
    number = pd.to_numeric(frame["ipc"], errors="coerce")
    spans = number.isna() & (frame["ipc"] != "")
    frame.loc[spans, "note"] = (frame["note"] + " images per class " + frame["ipc"]).str.strip()[spans]
    frame["ipc"] = number.astype("Int64")
    return frame


def rows(frame: pd.DataFrame) -> list[Reported]:
    """The rows of :func:`load_reported` as :class:`Reported` values."""
    return [
        Reported(
            **{name: str(line[name]) for name in TEXTS},
            ipc=None if pd.isna(line["ipc"]) else int(line["ipc"]),
            value=float(line["value"]),
            std=None if pd.isna(line["std"]) else float(line["std"]),
        )
        for line in frame.to_dict("records")
    ]


def find(
    numbers: Iterable[Reported],
    paper: str,
    item: str,
    dataset: str,
    ipc: int,
    method: str,
    *,
    network: str = "convnet3",
    metric: str = "top1_percent",
) -> Reported | None:
    """The one number a paper's item gives for a cell, or None.

    A number for the whole training set has no images per class, and so answers for every `ipc`. Where an item
    gives the same cell under several budgets, stored images (``"ipc"``) win.
    """
    place = (paper, item, dataset, method, network, metric)
    found = [
        row
        for row in numbers
        if (row.paper, row.item, row.dataset, row.method, row.network, row.metric) == place
        and (row.ipc == ipc or row.budget == "whole")
    ]
    order = {"ipc": 0, "inpc": 1, "inpc*": 2}
    return min(found, key=lambda row: order.get(row.budget, len(order)), default=None)


def where(paper: str, item: str) -> str:
    """How a caption names an item: ``where("dream", "table1")`` is ``"DREAM Table 1"``."""
    words = {"table": "Table", "figure": "Figure", "fig": "Figure", "section": "Section", "readme": "README"}
    name = item
    for key, word in words.items():
        if item.startswith(key):
            name = f"{word} {item[len(key) :].replace('_', ' ').strip()}"
            break
    return f"{PAPERS.get(paper, paper)} {name}".strip()
