"""What LD and DD learn beside images is judged, stored, loaded and exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamlib.companion.cells import make_cell
from dreamlib.companion.store import Store
from dreamlib.core.errors import BadValue
from dreamlib.core.registry import as_data
from dreamlib.data import ClassData, Dataset, statistics
from dreamlib.distillation.evaluate import evaluate
from dreamlib.distillation.exports import export
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.sets import DistilledSet, load_set

pytestmark = pytest.mark.trains

METHODS = ("dd", "ld", "ld-ridge")
SHORT = {"dd": {"iterations": 5}, "ld": {"iterations": 8}, "ld-ridge": {"iterations": 8}}


def loaded(
    few: ClassData, digits: Dataset, folder: Path, method: str, ipc: int = 2
) -> tuple[Any, Any, DistilledSet]:
    """A cell in short, its run, and its set as a user loads it from the store."""
    cell = make_cell("quick", method, "digits", ipc, 0)
    criterion: Any = replace(cell.recipe.criterion, real_batch=40)
    if method != "dd":
        criterion = replace(criterion, held_out=30, every=4)
    cell = replace(cell, recipe=replace(cell.recipe, criterion=criterion, **SHORT[method]))
    run = Distillation(few, cell.recipe, ipc, 0)
    while not run.done:
        run.advance()
    about = {
        **cell.describe(),
        "container": cell.describe()["recipe"]["container"],
        "classes": list(digits.classes),
        "shape": list(digits.shape),
        "normalisation": as_data(digits.normalisation),
    }
    store = Store(folder)
    store.write_set(cell, run.stored, run.snapshots, about)
    return cell, run, load_set(store.set_path(cell))


@pytest.mark.parametrize("method", METHODS)
def test_it_comes_back_from_store_and_export(
    few: ClassData, digits: Dataset, tmp_path: Path, method: str
) -> None:
    cell, run, first = loaded(few, digits, tmp_path, method)
    again = load_set(export(first, tmp_path / "exported.safetensors"))
    made = cell.recipe.container.training_set(
        run.stored, digits.shape, digits.num_classes, digits.normalisation
    )
    for found in (first, again):
        torch.testing.assert_close(found.normalised, made.images)
        assert found.labels.equal(made.targets)
        assert found.steps == made.steps
        assert (found.rates is None) == (made.rates is None) == (method != "dd")
        assert found.rates is None or found.rates.equal(made.rates)
    assert (first.steps is None) == (method == "dd")
    # The same numbers whether the set comes from the run or from a file.
    evaluation = replace(cell.evaluation, networks=2)
    assert evaluate(again, digits, evaluation) == evaluate(first, digits, evaluation)


@pytest.mark.parametrize("method", METHODS)
def test_its_loader_gives_what_its_networks_learn_from(
    few: ClassData, digits: Dataset, tmp_path: Path, method: str
) -> None:
    _, run, found = loaded(few, digits, tmp_path, method)
    batches: list[tuple[Tensor, Tensor]] = [tuple(batch) for batch in found.loader()]  # type: ignore[misc]  # a batch is a list of two
    if method == "dd":
        # Steps in order, one image of every class each; a rate for every step of every epoch.
        assert found.rates is not None
        assert found.rates.shape == (3, len(batches)) == (3, 2)
        for step, (images, labels) in enumerate(batches):
            assert labels.tolist() == list(range(10))
            torch.testing.assert_close(images, run.stored["images"][:, step])
        assert len(next(iter(found.loader(batch=7, augment=False)))[1]) == 7
    else:
        images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
        assert labels.shape == (20, 10)
        order = [int((found.normalised - image).flatten(1).abs().sum(1).argmin()) for image in images]
        assert sorted(order) == list(range(20))
        torch.testing.assert_close(labels, found.labels[order])


@pytest.mark.parametrize("target", ["pictures", "set.parquet"])
@pytest.mark.parametrize("method", METHODS)
def test_pictures_carry_it_along(
    few: ClassData, digits: Dataset, tmp_path: Path, method: str, target: str
) -> None:
    """Pixels are rounded; labels, rates, the number of steps and the order of the images are as they were."""
    _, _, found = loaded(few, digits, tmp_path, method)
    again = load_set(export(found, tmp_path / target))
    assert again.labels.equal(found.labels)
    assert again.steps == found.steps
    assert (again.rates is None) == (found.rates is None)
    assert found.rates is None or (again.rates is not None and again.rates.equal(found.rates))
    assert again.bytes().equal(found.bytes())


def test_a_rate_for_every_step_is_more_than_dd_ranking_takes(
    few: ClassData, digits: Dataset, tmp_path: Path
) -> None:
    _, _, found = loaded(few, digits, tmp_path, "dd")
    one = torch.zeros(20, 3, 32, 32)
    colour = replace(
        found, images=one, stored=one, normalisation=statistics("cifar10"), about={"dataset": "cifar10"}
    )
    with pytest.raises(BadValue, match=r"rates of its own, \(3, 2\) .* takes a single one\n.*safetensors"):
        export(colour, tmp_path / "folder", "ddranking")
    assert not (tmp_path / "folder").exists()
