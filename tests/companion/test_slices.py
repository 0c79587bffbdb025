"""Broken off after every step, cells of every kind end with the numbers of a run that nobody disturbed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tinyruns import cell, leftovers, numbers

from dreamlib.companion.cells import Cell
from dreamlib.companion.run import Summary, run_cells
from dreamlib.companion.search import search
from dreamlib.companion.store import Store
from dreamlib.companion.studies import study
from dreamlib.distillation.evaluate import EvaluationRun
from dreamlib.distillation.loop import Distillation

pytestmark = [pytest.mark.usefixtures("tiny", "one_step"), pytest.mark.trains]


def memories() -> list[Cell]:
    how: dict[str, Any] = {"datasets": ("digits@5steps",), "methods": ("dc",), "ipcs": (2,), "seeds": 1}
    return list(study("dm/continual", profile="tiny", **how).cells)[:2]


KINDS: dict[str, Callable[[], list[Cell]]] = {
    "images": lambda: [cell("dm"), cell("dc"), cell("herding")],
    "a generator, and one that goes on from it": lambda: [cell("dim"), cell("gan")],
    "unions": memories,
    "architectures on the data set itself": lambda: [
        search("tiny", method, "digits", 2, 0)[place]
        for method, place in (("whole", 1), ("early-stopping", 0))
    ],
}


def run(cells: list[Cell], root: Path, **how: Any) -> Summary:
    return run_cells(cells, Store(root), workers=1, device="cpu", progress=False, **how)


# Unions and generators of a step a slice are many runs, and the contract of every task holds by day (test_tasks).
@pytest.mark.parametrize(
    "kind",
    [
        kind
        if kind in ("images", "architectures on the data set itself")
        else pytest.param(kind, marks=pytest.mark.nightly)
        for kind in sorted(KINDS)
    ],
)
def test_slices_of_one_step_get_there_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    steps = 0
    for task in (Distillation, EvaluationRun):

        def advance(self: Any, before: Callable[[Any], None] = task.advance) -> None:
            nonlocal steps
            steps += 1
            before(self)

        monkeypatch.setattr(task, "advance", advance)
    cells, cut = KINDS[kind](), tmp_path / "cut"
    assert run(cells, tmp_path / "whole").computed == len(cells)
    needed, slices = steps, 0
    while (summary := run(cells, cut, seconds=1e-9)).missing:
        slices += 1
        assert slices == steps - needed, "one step in each"
        assert not summary.failed
    assert slices == needed - 1
    assert numbers(cut) == numbers(tmp_path / "whole")
    assert not leftovers(cut)
    for one in cells:
        record = Store(cut).record(one)
        assert record is not None
        # A coreset is chosen in one step, by a network that was resumed in a run of its own.
        several = one.method != "herding" and record["seconds"]["distill"] > 0
        assert record["resumed"] is several, "of the set that is judged"
