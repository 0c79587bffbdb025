"""Forecasts: a few steps of every phase, multiplied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dreamlib.companion import forecast as forecasting
from dreamlib.companion.cells import make_cell
from dreamlib.companion.forecast import forecast, forecasts
from dreamlib.companion.run import run_cells
from dreamlib.companion.store import Store
from dreamlib.data import ClassData, load

pytestmark = pytest.mark.trains

CPU = torch.device("cpu")


@pytest.fixture
def each(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One second for every call that would be timed."""
    calls: list[str] = []

    def second(call: Callable[[], object], device: torch.device, steps: int = 0) -> float:
        calls.append(getattr(call, "__qualname__", ""))
        call()
        return 1.0

    monkeypatch.setattr(forecasting, "_each", second)
    return calls


@pytest.mark.parametrize("method", ["dm", "dsa", "herding", "random"])
def test_steps_times_their_seconds(method: str, each: list[str]) -> None:
    made = make_cell("quick", method, "digits", 10, 0)
    digits = load("digits")
    found = forecast(made, digits, ClassData(digits))
    expected = made.recipe.steps
    if made.recipe.initial.epochs:  # ten images a class of a training part of 1,500, in batches
        batches = -(-len(digits.train_labels) // made.recipe.embedding.batch)
        expected += made.recipe.initial.epochs * batches + 1
    assert found.distill == expected
    steps = made.evaluation.learner.passes * -(-100 // made.evaluation.learner.batch)
    assert found.evaluate == pytest.approx(steps + len(digits.test_labels) / 500)
    assert found.seconds == found.distill + found.evaluate


@pytest.mark.parametrize(("method", "epochs"), [("gan", 20), ("dim", 20 + 8)])
def test_epochs_of_both_stages_times_their_steps(method: str, epochs: int, each: list[str]) -> None:
    made, digits = make_cell("quick", method, "digits", 10, 0), load("digits")
    found = forecast(made, digits, ClassData(digits))
    assert found.distill == epochs * (len(digits.train_labels) // 64)
    steps = made.evaluation.learner.epochs * -(-100 // 64)
    assert found.evaluate == pytest.approx(steps + len(digits.test_labels) / 500)


def test_clustering_counts_as_often_as_it_happens(each: list[str]) -> None:
    digits = load("digits")
    data = ClassData(digits)
    plain, plugged = (make_cell("quick", name, "digits", 10, 0) for name in ("dm", "dm+dream"))
    more = forecast(plugged, digits, data).distill - forecast(plain, digits, data).distill
    embedded = (getattr(plugged.recipe.matching.sampler, "pool", None) or data.largest) / forecasting.EMBEDDED
    assert more == pytest.approx(embedded * -(-plugged.recipe.steps // plugged.recipe.matching.sampler.every))


def test_what_a_record_speaks_for_is_not_timed(tmp_path: Path, each: list[str]) -> None:
    store = Store(tmp_path)
    cells = [make_cell("quick", "random", "digits", 1, seed) for seed in range(3)]
    cells.append(make_cell("quick", "dm", "digits", 1, 0))
    run_cells(cells[:1], store, workers=1, progress=False)
    told = list(forecasts(cells, store, device=CPU, threads=1))
    assert [(found.cell.method, count) for found, count in told] == [("dm", 1)]
    assert list(forecasts(cells, store, device=CPU, threads=1, seconds=-1)) == []
    unreadable = [make_cell("quick", "dm", "parquet:nowhere", 1, 0)]
    assert list(forecasts(unreadable, store, device=CPU, threads=1, data_root=str(tmp_path))) == []


def test_real_seconds_are_real(tmp_path: Path) -> None:
    """Against the run itself: on a loaded machine five times off is still a forecast, a hundred is a bug."""
    store, made = Store(tmp_path), make_cell("quick", "dsa", "digits", 1, 0)
    digits = load("digits")
    found = forecast(made, digits, ClassData(digits))
    run_cells([made], store, workers=1, progress=False)
    record = store.record(made)
    assert record is not None
    assert 0.2 < found.seconds / (record["seconds"]["distill"] + record["seconds"]["evaluate"]) < 5
