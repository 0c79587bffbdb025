"""Whitening as a normalisation like any other: from a recipe through its set, its file and an export to a judgement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import finish
from tiny import recipe
from tinyruns import cell, tiny

from dreamlib.companion.cells import Cell, make_cell, union
from dreamlib.companion.interrupts import Interrupts
from dreamlib.companion.session import Session
from dreamlib.companion.store import Store
from dreamlib.companion.worker import Clock, Worker
from dreamlib.containers import Images, Pixels
from dreamlib.core.errors import BadValue, StoreError, UnknownName
from dreamlib.core.files import read_tensors, write_tensors
from dreamlib.core.registry import as_data
from dreamlib.data import ClassData, Dataset, load
from dreamlib.data.whitening import KINDS, Whitening
from dreamlib.distillation.evaluate import Evaluation, EvaluationRun, evaluate
from dreamlib.distillation.exports import export
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe
from dreamlib.distillation.sets import load_set
from dreamlib.networks import NetworkSpec
from dreamlib.networks.training import SGD
from dreamlib.recipes import methods
from dreamlib.recipes.method import changes

__all__ = ["tiny"]
JUDGE = Evaluation(
    learner=SGD(epochs=20, batch=50, decay_at=()), network=NetworkSpec(width=8, depth=2), networks=2
)


def whitened(kind: str = "kornia", method: str = "dm") -> Cell:
    how = recipe(method, whitening=kind, per_class=12)
    return replace(cell(method), recipe=how, step=how.steps)


def computed(store: Store, wanted: Cell) -> dict[str, Any]:
    Worker(store, torch.device("cpu"), Clock(), Interrupts()).run([wanted])
    record = store.record(wanted)
    assert record is not None, store.failure(wanted)
    return record


def test_a_recipe_that_does_not_whiten_says_nothing_of_it() -> None:
    """Keys are made of descriptions: those of recipes without whitening are what they were before there was any."""
    assert "whitening" not in as_data(Recipe())
    assert as_data(Recipe(whitening="kip"))["whitening"] == "kip"
    without, using = as_data(Recipe()), as_data(Recipe(whitening="kip"))
    assert changes(without, using) == ["whitening kip (published: )"]
    assert changes(using, without) == ["whitening  (published: kip)"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_images_are_learned_in_whitened_space(few: ClassData, digits: Dataset, kind: str) -> None:
    run = Distillation(few, recipe("dm", whitening=kind, iterations=0), 2, 0)
    finish(run)
    white = digits.whitening(kind)
    assert run.data.normalisation == white
    # The random images that it starts from, of the same draw as without whitening.
    other = finish(Distillation(few, recipe("dm", iterations=0), 2, 0))
    unit = few.normalisation.undo(other.stored["images"])
    torch.testing.assert_close(run.stored["images"], white.apply(unit))
    moved = finish(Distillation(few, recipe("dm", whitening=kind, image_lr=1e3), 2, 0))
    assert float(moved.stored["images"].abs().max()) > float(
        run.stored["images"].abs().max()
    )  # nothing clamps


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"whitening": "zca"}, UnknownName, "unknown whitening 'zca'; valid: kornia, kip, frepo, rfad"),
        (
            {"constants": "cifar10"},
            BadValue,
            "constants of 'cifar10' and whitened .kornia.; expected one of the two",
        ),
        (
            {"container": Pixels(space="unit")},
            BadValue,
            "stored in 'unit' space; whitened ones live where networks",
        ),
    ],
)
def test_what_does_not_go_with_whitening_is_named(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Recipe(**{"whitening": "kornia", **change}).check()


@pytest.mark.trains
@pytest.mark.parametrize("kind", ["kip", "kornia"])
def test_a_set_carries_its_whitening_to_whoever_uses_it(
    tiny: None, digits: Dataset, tmp_path: Path, kind: str
) -> None:
    """From the store and from an export, to the last bit: also KIP's kind, whose pictures have lost their contrast."""
    store, wanted = Store(tmp_path), whitened(kind)
    record = computed(store, wanted)
    white = digits.whitening(kind)
    assert record["normalisation"] == white.about()
    assert record["normalisation"]["name"] == f"{kind} whitening"
    tensors, about = read_tensors(store.set_path(wanted))
    assert about["normalisation"]["fitted_on"] == white.fitted_on
    first = load_set(store.set_path(wanted))
    again = load_set(export(first, tmp_path / "exported.safetensors"))
    for found in (first, again):
        assert found.normalisation == white
        assert found.normalised.equal(tensors["images"].flatten(0, 1))
        torch.testing.assert_close(found.images, white.undo(tensors["images"].flatten(0, 1)))
        seen = next(iter(found.loader(batch=10, augment=False)))[0]
        assert {tuple(image.flatten().tolist()) for image in seen} == {
            tuple(image.flatten().tolist()) for image in found.normalised
        }
        assert f"normalisation '{kind} whitening'" in repr(found)
        assert evaluate(found, digits, wanted.evaluation) == record["accuracies"]
    with pytest.raises(BadValue, match=f"{kind} whitening, from which pictures in 8 bits do not lead back"):
        export(first, tmp_path / "folder", "images")
    # Computed from the stored set, it is judged the same.
    store.record_path(wanted).unlink()
    assert computed(store, wanted)["accuracies"] == record["accuracies"]
    assert tensors["images"].equal(read_tensors(store.set_path(wanted))[0]["images"])


def test_a_file_without_the_whitening_it_speaks_of_is_refused(
    tiny: None, digits: Dataset, tmp_path: Path
) -> None:
    store, wanted = Store(tmp_path), whitened()
    computed(store, wanted)
    tensors, about = read_tensors(store.set_path(wanted))
    bare = {name: value for name, value in tensors.items() if not name.startswith("whitening.")}
    write_tensors(tmp_path / "bare.safetensors", bare, about)
    with pytest.raises(StoreError, match="images have kornia whitening, and holds no whitening"):
        load_set(tmp_path / "bare.safetensors")
    other = {**tensors, "whitening.transform": 2 * tensors["whitening.transform"]}
    write_tensors(tmp_path / "other.safetensors", other, about)
    with pytest.raises(StoreError, match="images have kornia whitening, and holds another whitening"):
        load_set(tmp_path / "other.safetensors")


def test_a_judgement_refuses_test_images_that_are_whitened_otherwise(digits: Dataset) -> None:
    """MTT, issue 11 of the released code: 10 %, because the test images were left as they were."""
    images, labels = torch.zeros(10, 1, 8, 8), torch.arange(10)
    white, other = digits.whitening("kornia"), digits.whitening("frepo")
    for made, dataset in (
        (white, digits),
        (digits.normalisation, digits.normalised_as(white)),
        (other, digits.normalised_as(white)),
    ):
        with pytest.raises(BadValue, match="have to be normalised alike"):
            EvaluationRun(Images(images, labels, normalisation=made), dataset, JUDGE)
    EvaluationRun(Images(images, labels, normalisation=white), digits.normalised_as(white), JUDGE)
    EvaluationRun(Images(images, labels), digits.normalised_as(white), JUDGE)


def test_a_whitened_set_is_not_judged_on_other_data(tiny: None, tmp_path: Path) -> None:
    store, wanted = Store(tmp_path), whitened()
    computed(store, wanted)
    with pytest.raises(
        BadValue, match=r"kornia whitening was fitted on .* which are not those of 'digits@holdout'"
    ):
        evaluate(load_set(store.set_path(wanted)), load("digits@holdout"), JUDGE)


@pytest.mark.trains
def test_the_whole_training_set_is_whitened_like_its_test_images(tiny: None, tmp_path: Path) -> None:
    plainly = computed(Store(tmp_path), cell("whole"))
    wanted = cell("whole")
    wanted = replace(wanted, recipe=replace(wanted.recipe, whitening="kornia"))
    record = computed(Store(tmp_path), wanted)
    assert record["normalisation"]["name"] == "kornia whitening"
    assert min(record["accuracies"]) > min(plainly["accuracies"]) - 20


def test_a_memory_of_sets_that_are_whitened_differently_is_refused(tiny: None) -> None:
    with pytest.raises(BadValue, match="each as its own classes say"):
        union(cell(), [whitened()])


def test_whitening_is_one_word_of_a_method() -> None:
    method = methods["random"].using(whitening="kornia", name="whitened")
    assert method.resolve("digits", 1)[0].whitening == "kornia"
    assert isinstance(load("digits").whitened("kornia").normalisation, Whitening)
    with pytest.raises(UnknownName):
        make_cell("quick", "no-such-method", "digits", 1, 0)


def test_the_course_of_a_whitened_set_is_seen_as_networks_see_it(
    tiny: None, digits: Dataset, tmp_path: Path
) -> None:
    store, wanted = Store(tmp_path), whitened()
    computed(store, wanted)
    session = Session("dream/table1", results=str(tmp_path), profile="tiny")
    course = session.course(wanted)
    stored = store.read_course(wanted)
    assert stored is not None
    assert all(course[step].equal(stored[step]["images"]) for step in stored)
