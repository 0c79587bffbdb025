"""The cells of DM's Table T1."""

from __future__ import annotations

import pytest

from dreamlib.companion.plans import PLANS
from dreamlib.companion.plans.dm import drawn_once
from dreamlib.companion.studies import study
from dreamlib.distillation.evaluate import Generated


@pytest.mark.parametrize("profile", ["quick", "cpu", "paper"])
def test_all_rows_are_judged_alike_and_random_images_also_as_dc_does(profile: str) -> None:
    cells = study("dm/tableT1", profile=profile).cells
    assert {cell.budget for cell in cells} == {"ipc"}
    alike = [cell for cell in cells if cell.method != "random"]
    assert {cell.evaluation.protocol for cell in alike} == {"dsa"}
    for ipc in PLANS["dm/tableT1"].ipcs_of(profile):
        trainings = {cell.evaluation.learner for cell in alike if cell.ipc == ipc}
        assert len(trainings) == 1
    (other,) = (cell for cell in cells if (cell.method, cell.ipc, cell.seed) == ("random", 10, 0))
    assert other.evaluation.protocol == "dc"
    assert {cell.base for cell in alike if cell.method == "random+dsa"} == {"random"}


def test_a_generator_draws_once_and_is_one_for_all_budgets() -> None:
    few, many = (drawn_once("cpu", "vae", "cifar10", ipc, 0)[0] for ipc in (1, 50))
    assert few.evaluation.generated == Generated(1, fresh=False)
    assert many.evaluation.generated == Generated(50, fresh=False)
    assert few.set_key == many.set_key
    assert few.key != many.key
    (dm,) = drawn_once("cpu", "dm", "cifar10", 1, 0)
    assert dm.evaluation.generated is None
