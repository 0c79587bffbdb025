"""A method of a new kind is one small file: distilled, judged, exported and loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import finish
from tiny import TOYS
from tiny import toys as toys

from dreamlib.companion.cells import Cell, make_cell
from dreamlib.companion.store import Store
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.evaluate import EvaluationRun
from dreamlib.distillation.exports import export
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.sets import load_set

pytestmark = [pytest.mark.trains, pytest.mark.usefixtures("toys")]


def cell_of(method: str) -> Cell:
    """One image of each digit, from twelve of them; judged by two networks in a hundred epochs, where it has any."""
    cell = make_cell("quick", method, "digits", 1, 0)
    learner: Any = cell.evaluation.learner
    if method != "toy-ridge":
        learner = replace(learner, epochs=100)
    evaluation = replace(cell.evaluation, learner=learner, networks=1 if method == "toy-ridge" else 2)
    return replace(cell, evaluation=evaluation, recipe=replace(cell.recipe, per_class=12))


@pytest.mark.parametrize("method", sorted(TOYS))
def test_it_learns(few: ClassData, method: str) -> None:
    recipe = cell_of(method).recipe
    long = finish(Distillation(few, replace(recipe, iterations=10 * recipe.iterations), 1, 3))
    losses = [loss for _, loss in long.losses]
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.parametrize("method", sorted(TOYS))
def test_what_it_has_learned_beside_images_is_used_and_stored(
    few: ClassData, digits: Dataset, tmp_path: Path, method: str
) -> None:
    cell = cell_of(method)
    run = finish(Distillation(few, cell.recipe, 1, 0))
    about = digits.shape, digits.num_classes, digits.normalisation
    made = cell.recipe.container.training_set(run.stored, *about)
    judged = finish(EvaluationRun(made, digits, cell.evaluation))
    assert len(judged.accuracies) == cell.evaluation.networks
    other = replace(
        made, targets=made.targets.flip(0), rates=None if made.rates is None else made.rates / 1e4
    )
    assert finish(EvaluationRun(other, digits, cell.evaluation)).accuracies != judged.accuracies

    metadata = {
        **cell.describe(),
        "container": cell.describe()["recipe"]["container"],
        "classes": list(digits.classes),
        "shape": list(digits.shape),
        "normalisation": {
            "name": digits.normalisation.name,
            "mean": list(digits.normalisation.mean),
            "std": list(digits.normalisation.std),
        },
    }
    store = Store(tmp_path)
    store.write_set(cell, run.stored, run.snapshots, metadata)
    first = load_set(store.set_path(cell))
    again = load_set(export(first, tmp_path / "exported.safetensors", "safetensors"))
    for found in (first, again):
        torch.testing.assert_close(found.normalised, made.images)
        assert found.labels.equal(made.targets)
        assert (found.rates is None) == (made.rates is None)
        assert found.rates is None or found.rates.equal(made.rates)
    if made.targets.is_floating_point():
        assert next(iter(again.loader()))[1].shape[1] == 10
        assert load_set(export(first, tmp_path / "folder", "images")).labels.equal(first.labels)
