"""KIP, Label Solve and their plugs: what a step of a kernel regression finds, and what a run of it promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from dreamlib.companion.cells import Cell, make_cell
from dreamlib.containers import Answers
from dreamlib.core.errors import BadValue, Singular
from dreamlib.criteria.kernels import FullyConnected
from dreamlib.criteria.regression import AsSeen, Regression, nearest
from dreamlib.criteria.ridge import centred, predict
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.evaluate import evaluate
from dreamlib.distillation.loop import Distillation
from dreamlib.recipes import methods
from dreamlib.samplers import View
from dreamlib.teachers import Networks

METHODS = ("kip", "kip+dream", "kip+dream-weighted", "label-solve")


def cell_of(method: str) -> Cell:
    """Six steps on twelve images of each digit, eight of which are targets."""
    cell = make_cell("quick", method, "digits", 1, 0)
    recipe = replace(cell.recipe, per_class=12)
    if isinstance(recipe.criterion, Regression):
        recipe = replace(recipe, iterations=6, criterion=replace(recipe.criterion, real_batch=8))
    return replace(cell, recipe=recipe)


def finish(run: Distillation) -> Distillation:
    while not run.done:
        run.advance()
    return run


def kept(run: Distillation) -> dict[str, Tensor]:
    return {name: value for name, value in run.state().items() if not name.startswith("seconds.")}


def begun(data: ClassData, method: str) -> Distillation:
    run = Distillation(data, cell_of(method).recipe, 1, 3)
    while not run.stored:
        run.advance()
    return run


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_run_goes_on_bit_for_bit_from_every_step(few: ClassData, method: str) -> None:
    recipe = cell_of(method).recipe
    whole = Distillation(few, recipe, 1, 3)
    states = []
    while not whole.done:
        states.append(save({name: value.contiguous() for name, value in whole.state().items()}))
        whole.advance()
    for state in states:
        rest = Distillation(few, recipe, 1, 3)
        rest.restore(load(state))
        finish(rest)
        assert all(value.equal(kept(whole)[name]) for name, value in kept(rest).items())


@pytest.mark.parametrize("method", ["kip", "kip+dream-weighted"])
def test_gradients_are_those_of_finite_differences(few: ClassData, method: str) -> None:
    """In float64, of images and of labels, with the real batch of the step held."""
    run: Any = begun(few, method)
    stored = {name: value.double() for name, value in run.stored.items()}
    run.criterion.gradients(0, run.stored)  # chooses the real batch
    run.criterion.targets.sampler = replace(run.recipe.criterion.sampler, every=10)
    found = run.criterion.gradients(1, stored).gradients
    for name, at in (("images", (3, 0, 0, 4, 4)), ("labels", (3, 0, 5))):
        step, ends = 1e-5, []
        for sign in (1, -1):
            moved = {key: value.clone() for key, value in stored.items()}
            moved[name][at] += sign * step
            ends.append(float(run.criterion.gradients(1, moved).loss))
        assert float(found[name][at]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)


def test_the_loss_is_half_the_squared_error_a_class_and_row(few: ClassData) -> None:
    """KIP: 1/2 mean over all entries, targets one-hot less 1 / C (facts 7)."""
    run: Any = begun(few, "kip")
    pull = run.criterion.gradients(0, run.stored)
    real = few.take(run.criterion.targets.choice).flatten(0, 1).double()
    kernel, images = FullyConnected(), run.stored["images"].flatten(0, 1).double()
    predictions = predict(kernel(real, images), kernel(images, images), run.stored["labels"].flatten(0, 1))
    wanted = torch.eye(10).double().repeat_interleave(8, 0) - 0.1
    assert float(pull.loss) == pytest.approx(float((predictions - wanted).square().mean() / 2))


def test_solved_labels_cannot_be_bettered(few: ClassData) -> None:
    """The residual of least squares is at right angles to all that labels can change."""
    run: Any = finish(Distillation(few, cell_of("label-solve").recipe, 1, 3))
    start: Any = begun(few, "label-solve")
    assert run.stored["images"].equal(start.stored["images"])
    kernel, images = FullyConnected(), run.stored["images"].flatten(0, 1).double()
    real, classes = few.at(torch.arange(few.total))
    cross, own = kernel(real.double(), images), kernel(images, images)
    reach = predict(cross, own, torch.eye(10))
    residual = reach @ run.stored["labels"].flatten(0, 1).double() - centred(classes, 10).double()
    assert float((reach.T @ residual).abs().max()) < 1e-4
    before = reach @ start.stored["labels"].flatten(0, 1).double() - centred(classes, 10).double()
    assert float(residual.norm()) < float(before.norm())


def test_rows_share_all_images_of_their_class(few: ClassData) -> None:
    """DREAM as a plug: the weights are the numbers of images nearest to each row, each image counted once."""
    run: Any = begun(few, "kip+dream-weighted")
    run.criterion.gradients(0, run.stored)
    sizes, choice = run.criterion.targets.sizes, run.criterion.targets.choice
    assert sizes.sum(1).tolist() == few.sizes.tolist()
    view = View(few, AsSeen(64), 1, torch.Generator())  # type: ignore[arg-type]
    assert nearest(view, choice[:, :1]).flatten().tolist() == few.sizes.tolist()
    pixels = few.take(torch.arange(12).expand(10, -1))[4].flatten(1)
    by_hand = [int(torch.stack([(p - pixels[i]).norm() for i in choice[4]]).argmin()) for p in pixels]
    assert sizes[4].tolist() == [by_hand.count(place) for place in range(8)]
    assert methods["kip+dream"].recipe.criterion == replace(
        methods["kip+dream-weighted"].recipe.criterion,  # type: ignore[type-var]
        weighted=False,
    )


def test_a_singular_kernel_is_an_error_that_leaves_the_last_good_state(few: ClassData) -> None:
    recipe = cell_of("kip").recipe
    recipe = replace(recipe, criterion=replace(recipe.criterion, regularisation=0.0))  # type: ignore[type-var]
    run = Distillation(few, recipe, 1, 3)
    while run.matched < 2:
        run.advance()
    run.stored["images"][1] = run.stored["images"][0]  # two images are the same
    before = {name: value.clone() for name, value in run.state().items() if name.startswith("stored.")}
    with pytest.raises(Singular, match="cannot be inverted"):
        run.advance()
    assert all(run.state()[name].equal(value) for name, value in before.items())
    run.stored["images"][0, 0, 0, 0, 0] = torch.nan
    with pytest.raises(Singular, match="NaN"):
        run.advance()


def test_parts_that_do_not_fit_are_told(few: ClassData) -> None:
    recipe = cell_of("kip").recipe
    with pytest.raises(BadValue, match="no network"):
        replace(recipe, teacher=Networks()).check()
    with pytest.raises(BadValue, match="real_batch=12 or less"):
        Distillation(few, methods["kip"].using(real_batch=13).recipe, 1, 3)


def test_the_judge_uses_labels_as_the_set_has_them(digits: Dataset) -> None:
    """Ridge regression on stored labels; of classes it is that on one-hot less 1 / C."""
    cell = cell_of("label-solve")
    data = ClassData(digits, per_class=12)
    run = finish(Distillation(data, cell.recipe, 1, 3))
    about = digits.shape, digits.num_classes, digits.normalisation
    made = cell.recipe.container.training_set(run.stored, *about)
    start = Answers(begin="centred").training_set(begun(data, "label-solve").stored, *about)
    hard = replace(start, targets=torch.arange(10))
    assert evaluate(start, digits, cell.evaluation) == evaluate(hard, digits, cell.evaluation)
    assert evaluate(made, digits, cell.evaluation) > evaluate(hard, digits, cell.evaluation)
    flipped = replace(made, targets=made.targets.flip(0))
    assert evaluate(flipped, digits, cell.evaluation) < evaluate(hard, digits, cell.evaluation)
