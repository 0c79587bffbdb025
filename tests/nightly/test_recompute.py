"""A handful of committed records, another one every day, computed again from nothing."""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from committed import ROOT, committed, planned

from dreamlib.companion.cells import Cell
from dreamlib.companion.profiles import profiles
from dreamlib.companion.run import run_cells
from dreamlib.companion.store import Store
from dreamlib.core.errors import DataError
from dreamlib.core.files import read_json
from dreamlib.data import load

HANDFUL, AMONG, EACH = 3, 30, 2  # records a day, of the cheapest, and how many of those may be of one method
BAND = 5.0  # points between two means on different kinds of hardware

pytestmark = pytest.mark.nightly


def data_root() -> str:
    return os.environ.get("DREAMLIB_DATA") or str(ROOT / "data")


@cache
def is_here(dataset: str) -> bool:
    """Whether a data set can be read without a download."""
    try:
        load(dataset, data_root(), download=False)
    except DataError:
        return False
    return True


def seconds(record: dict[str, Any]) -> float:
    return float(record["seconds"]["distill"] + record["seconds"]["evaluate"])


@pytest.fixture(scope="module")
def chosen() -> list[tuple[Cell, dict[str, Any]]]:
    """Today's handful of the cheapest records whose data sets are here."""
    found = []
    for path in committed():
        record = read_json(path)
        cell = planned(record["profile"])[0].get(record["key"])
        if cell is not None:
            found.append((cell, record))
    found.sort(key=lambda pair: (seconds(pair[1]), pair[0].name))
    by_method = Counter[str]()
    readable = []
    for pair in found:
        if by_method[pair[0].method] < EACH and is_here(pair[0].dataset):
            by_method[pair[0].method] += 1
            readable.append(pair)
    if not readable:
        names = sorted({cell.dataset for cell, _ in found})
        pytest.skip(
            f"none of {len(found)} records: not in {data_root()}: {', '.join(names) or 'no record at all'}"
        )
    today = random.Random(datetime.now(UTC).date().isoformat())
    return today.sample(readable[:AMONG], min(HANDFUL, len(readable[:AMONG])))


def test_todays_handful_is_computed_again(chosen: list[tuple[Cell, dict[str, Any]]], tmp_path: Path) -> None:
    store, wrong = Store(tmp_path, data=data_root()), []
    for cell, old in chosen:
        threads = profiles[cell.profile].threads
        summary = run_cells([cell], store, workers=1, threads=threads, progress=False)
        assert not summary.failed, summary.failed
        new = store.record(cell)
        assert new is not None
        same = all(new[name] == old[name] for name in ("device", "versions"))
        gap = abs(fmean(new["accuracies"]) - fmean(old["accuracies"]))
        told = f"{cell.name}, {seconds(old):.0f} s then, {seconds(new):.0f} s now: {old['accuracies']} on "
        told += f"{old['device']}, {new['accuracies']} on {new['device']}"
        print(told)
        if new["accuracies"] != old["accuracies"] if same else gap > BAND:
            wrong.append(told)
    assert not wrong, "\n".join(wrong)
