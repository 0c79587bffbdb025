"""Forecasts: the first steps of what is to be computed, timed and kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tinyruns import cell, leftovers, numbers

from dreamlib.companion import worker as worker_module
from dreamlib.companion.cells import Cell
from dreamlib.companion.forecast import expected_seconds
from dreamlib.companion.run import Summary, run_cells
from dreamlib.companion.store import Store
from dreamlib.coresets import Herding
from dreamlib.distillation.evaluate import EvaluationRun
from dreamlib.distillation.loop import Distillation
from dreamlib.recipes import rule

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.trains]


def run(cells: list[Cell], root: Path, **how: Any) -> Summary:
    return run_cells(cells, Store(root), workers=1, device="cpu", progress=False, **how)


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every step takes 10 ms more, and three steps are enough; the kinds of the steps that are made."""
    made: list[str] = []
    for kind in (Distillation, EvaluationRun):

        def advance(self: Any, before: Any = kind.advance, name: str = kind.__name__) -> None:
            made.append(name)
            time.sleep(0.01)
            before(self)

        monkeypatch.setattr(kind, "advance", advance)
    monkeypatch.setattr(worker_module, "TIMED_SECONDS", 0.0)
    return made


def test_a_forecast_computes_nothing_twice(
    tmp_path: Path, slowly: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    cells = [cell("dm"), cell("dm", 1), cell("dc"), cell("dream")]
    run(cells, tmp_path / "plain")
    needed = len(slowly)
    capfd.readouterr()
    assert run(cells, tmp_path / "forecast", forecast=True).computed == 4
    assert len(slowly) == 2 * needed
    assert numbers(tmp_path / "forecast") == numbers(tmp_path / "plain")
    assert not leftovers(tmp_path)
    told = capfd.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in told] == ["  DM", "  DC", "  DREAM"]
    assert told[0].startswith("  DM, digits, IPC 1, tiny: about ")
    assert told[0].endswith(" to distil on this device, 2 cells")


def test_what_is_begun_or_has_a_record_is_not_begun_again(
    tmp_path: Path, slowly: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([cell("endless")], tmp_path, seconds=0.5).steps > 3
    run([cell("dm")], tmp_path)
    cells = [cell("endless"), cell("dm"), cell("dm", 1)]
    assert run(cells, tmp_path, seconds=1.0, forecast=True).missing == 2
    assert capfd.readouterr().err == ""
    assert len(leftovers(tmp_path)) == 1


def test_seconds_are_those_of_the_steps(tmp_path: Path, slowly: list[str]) -> None:
    """A million steps of 10 ms and a little more, at least; on a loaded machine ten times as many."""
    one, store = cell("endless"), Store(tmp_path)
    run([one], tmp_path, seconds=0.5)
    left = expected_seconds([one], store)
    assert left is not None
    assert 0.010 <= left / (1_000_000 - store.pace(one, "distill")["step"]) < 0.1
    both = expected_seconds([one, cell("endless", 1)], store)
    assert both == pytest.approx(2 * left, rel=0.01), "another seed is as long"


def test_the_training_before_a_choice_says_nothing_of_the_steps_after_it(
    tmp_path: Path, slowly: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Herding looks through a network that is trained first: of that, and no more, something is known."""
    one = cell("dm", recipe_rules=(rule("test", {"initial": Herding(epochs=5)}),))
    run([one], tmp_path, forecast=True)
    assert "DM, digits, IPC 1, tiny: more than " in capfd.readouterr().err


def test_real_seconds_are_real(tmp_path: Path) -> None:
    """Against the run itself: on a loaded machine five times off is still a forecast, a hundred is a bug."""
    store, one = Store(tmp_path), cell("endless")
    begun = time.monotonic()
    steps = run([one], tmp_path, seconds=2.0).steps
    took = time.monotonic() - begun
    pace = store.pace(one, "distill")
    assert pace["step"] == steps
    assert 0.2 < pace["step"] * pace["seconds"] / took < 5
