"""KIP, Label Solve and their plugs: what a step of a kernel regression finds, and what a run of it promises."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import reference
import torch
from runs import check_task, finish

from dreamlib.companion.cells import Cell, make_cell
from dreamlib.companion.store import Store
from dreamlib.containers import Answers
from dreamlib.core.errors import BadValue, Diverged, Singular
from dreamlib.criteria.features import FeatureRegression
from dreamlib.criteria.kernels import FullyConnected
from dreamlib.criteria.regression import Regression
from dreamlib.criteria.ridge import centred, predict
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.evaluate import EvaluationRun, evaluate
from dreamlib.distillation.learners import Fit
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import change
from dreamlib.distillation.sets import load_set
from dreamlib.recipes import methods
from dreamlib.samplers import WeightedRepresentative
from dreamlib.teachers import Aging, Networks


def cell_of(method: str) -> Cell:
    """Six steps on twelve images of each digit, eight of which are targets."""
    cell = make_cell("quick", method, "digits", 1, 0)
    recipe = replace(cell.recipe, per_class=12)
    if isinstance(recipe.criterion, Regression | FeatureRegression):
        recipe = replace(recipe, iterations=6, criterion=replace(recipe.criterion, real_batch=8))
    return replace(cell, recipe=recipe)


def begun(data: ClassData, method: str) -> Distillation:
    run = Distillation(data, cell_of(method).recipe, 1, 3)
    while not run.stored:
        run.advance()
    return run


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


@pytest.mark.parametrize("mirrored", [False, True])
def test_gradients_through_features_are_those_of_finite_differences(few: ClassData, mirrored: bool) -> None:
    """FRePo: of images through the features, of labels through the prediction and their margin (facts 9)."""
    recipe = cell_of("frepo").recipe
    recipe = change(recipe, "criterion.mirrored", mirrored)
    run: Any = Distillation(few, recipe, 1, 3)
    while not run.stored:
        run.advance()
    run.teaching.next(0)
    run.network.double()
    real, classes, _ = run.criterion.targets.at(0, run.network.float())
    run.network.double()
    run.criterion.targets.at = lambda step, network: (real.double(), classes, None)
    # One label with less than its margin, so that the second term pushes too.
    stored = {name: value.double() for name, value in run.stored.items()}
    stored["labels"][3, 0, 7] += 0.95
    found = run.criterion.gradients(0, stored).gradients
    for name, at in (("images", (3, 0, 0, 4, 4)), ("labels", (3, 0, 7)), ("labels", (2, 0, 5))):
        step, ends = 1e-6, []
        for sign in (1, -1):
            moved = {key: value.clone() for key, value in stored.items()}
            moved[name][at] += sign * step
            ends.append(float(run.criterion.gradients(0, moved).loss))
        assert float(found[name][at]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_rates_fall_along_half_a_cosine_to_a_tenth(few: ClassData) -> None:
    """FRePo: cosine to 10 % over all steps (facts 9, item 4)."""
    run: Any = begun(few, "frepo")
    run.teaching.next(0)
    factors = [run.criterion.gradients(step, run.stored).lr_factor for step in range(run.loops)]
    assert len(factors) == 6
    assert factors[0] == 1.0
    assert factors[3] == pytest.approx(0.55)
    assert all(first > second > 0.1 for first, second in pairwise(factors))
    other: Any = begun(few, "kip")
    assert other.criterion.gradients(3, other.stored).lr_factor == 1.0


def test_the_loss_is_half_the_squared_error_a_class_and_row(few: ClassData) -> None:
    """KIP: 1/2 mean over all entries, targets one-hot less 1 / C (facts 7)."""
    run: Any = begun(few, "kip")
    pull = run.criterion.gradients(0, run.stored)
    real = few.take(run.criterion.targets.choice).flatten(0, 1).double()
    kernel, images = FullyConnected(), run.stored["images"].flatten(0, 1).double()
    predictions = predict(kernel(real, images), kernel(images, images), run.stored["labels"].flatten(0, 1))
    wanted = torch.eye(10).double().repeat_interleave(8, 0) - 0.1
    assert float(pull.loss) == pytest.approx(float((predictions - wanted).square().mean() / 2))


@pytest.mark.parametrize("method", ["frepo", "kip"])
def test_a_step_finds_what_the_reference_finds_class_by_class(few: ClassData, method: str) -> None:
    run: Any = begun(few, method)
    run.teaching.next(0)
    found = run.criterion.gradients(0, run.stored)
    leaves = {name: value.clone().requires_grad_() for name, value in run.stored.items()}
    images, labels = leaves["images"].flatten(0, 1), leaves["labels"].flatten(0, 1)
    real = few.take(run.criterion.targets.choice)
    if method == "kip":
        loss = reference.regression_loss(real, images, labels)
    else:
        loss = reference.feature_loss(run.network, real, images, labels)
    assert float(found.loss) == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, expected in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True):
        torch.testing.assert_close(found.gradients[name], expected, rtol=1e-3, atol=1e-5)


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


@pytest.mark.parametrize("method", ["kip+dream-weighted", "frepo+dream-weighted"])
def test_rows_count_by_the_shares_that_the_sampler_gives(few: ClassData, method: str) -> None:
    """DREAM as a plug: the squared error of a row is weighted by the share of its cluster in the class."""
    run: Any = begun(few, method)
    run.teaching.next(0)
    weighted = run.criterion.gradients(0, run.stored).loss
    shares = run.criterion.targets.shares
    assert shares.shape == (10, 8)
    torch.testing.assert_close(shares.sum(1), torch.ones(10))
    run.criterion.targets.sampler = replace(run.recipe.criterion.sampler, every=10)  # the choice stays
    run.criterion.targets.shares = torch.full_like(shares, 1 / 8)
    same = run.criterion.gradients(1, run.stored).loss
    run.criterion.targets.shares = None
    assert float(run.criterion.gradients(1, run.stored).loss) == pytest.approx(float(same))
    # All weight on one row: the loss is that row's alone, and the weighted one is the mean of the rows'.
    single = []
    for row in range(80):
        run.criterion.targets.shares = torch.eye(80)[row].view(10, 8)
        single.append(run.criterion.gradients(1, run.stored).loss)
    margin = 0.1 if method.startswith("frepo") else 0.0  # which counts in every one
    rows = torch.stack(single).double() + margin
    assert float(weighted) == pytest.approx(float((rows.view(10, 8) * shares).sum() / 10) - margin, rel=1e-5)
    plain = methods[method.removesuffix("-weighted")].recipe
    assert methods[method].recipe.criterion == change(plain, "sampler", WeightedRepresentative()).criterion


def test_a_singular_kernel_is_an_error_that_leaves_the_last_good_state(few: ClassData) -> None:
    recipe = cell_of("kip").recipe
    recipe = change(recipe, "criterion.regularisation", 0.0)
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


@pytest.mark.parametrize("what", ["images", "labels"])
def test_a_nan_in_a_step_of_frepo_is_an_error_that_leaves_the_last_good_state(
    few: ClassData, what: str
) -> None:
    """Issue 19: NaN is a clear error, and the last good state stays."""
    run: Any = Distillation(few, cell_of("frepo").recipe, 1, 3)
    while run.matched < 2:
        run.advance()
    good = {name: value.clone() for name, value in run.state().items()}
    run.stored[what][2, 0, 0] = torch.nan
    with pytest.raises((Singular, Diverged), match=r"NaN|not finite|became nan"):
        finish(run)
    again: Any = Distillation(few, cell_of("frepo").recipe, 1, 3)
    again.restore(good)
    assert finish(again).stored["images"].isfinite().all()


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


def test_a_network_of_the_pool_ages_with_its_steps_and_is_replaced_when_too_old(few: ClassData) -> None:
    """FRePo: network i begins at age i K / 10; one a step learns; over K it is new and of age 0 (facts 9)."""
    recipe = cell_of("frepo").recipe
    recipe = replace(recipe, iterations=40, teacher=Aging(networks=4, oldest=8))
    run: Any = Distillation(few, recipe, 1, 3)
    while not run.stored:
        run.advance()
    assert run.teaching.ages == [0, 2, 4, 6]
    renewed = 0
    while not run.done:
        before = list(run.teaching.ages)
        run.advance()
        at = run.teaching.at
        after = list(before)
        after[at] = 0 if before[at] == 8 else before[at] + 1
        renewed += before[at] == 8
        assert run.teaching.ages == after
        steps = {
            name: int(value) for name, value in run.teaching.optimisers[at].state().items() if "step" in name
        }
        assert bool(steps) == (after[at] != 0)  # Adam starts anew with its network
    assert renewed > 1


def test_only_the_network_of_the_step_learns_and_from_the_sets_labels(few: ClassData) -> None:
    """One step of Adam on half the squared error of all classes, at most the rate for every weight."""
    recipe = replace(cell_of("frepo").recipe, teacher=Aging(networks=3, oldest=9, lr=1e-3))
    run: Any = Distillation(few, recipe, 1, 3)
    while run.matched < 1:
        run.advance()
    pool = run.teaching
    before = [{name: value.clone() for name, value in weights.items()} for weights in pool.weights]
    run.advance()
    for number, (old, new) in enumerate(zip(before, pool.weights, strict=True)):
        same = all(value.equal(new[name]) for name, value in old.items())
        assert same == (number != pool.at)
    made = recipe.container.training_set(run.stored, few.shape, 10, few.normalisation)
    losses = []
    for weights in (before[pool.at], pool.weights[pool.at]):
        run.network.load_state_dict(weights)
        run.network.train()
        losses.append(float((run.network(made.images) - made.targets).square().sum(1).mean() / 2))
    assert losses[1] < losses[0]


@pytest.mark.parametrize("mirrored", [False, True])
def test_frepo_predicts_from_features_and_keeps_labels_apart(few: ClassData, mirrored: bool) -> None:
    """Its loss written out; the second term is of labels alone, at most 1 / C a label (facts 9, item 3)."""
    recipe = cell_of("frepo").recipe
    recipe = change(recipe, "criterion.mirrored", mirrored)
    run: Any = Distillation(few, recipe, 1, 3)
    while not run.stored:
        run.advance()
    run.teaching.next(0)
    pull = run.criterion.gradients(0, run.stored)
    images, labels = run.stored["images"].flatten(0, 1), run.stored["labels"].flatten(0, 1)
    if mirrored:
        images, labels = torch.cat([images, images.flip(-1)]), torch.cat([labels, labels])
    real = few.take(run.criterion.targets.choice).flatten(0, 1)
    with torch.no_grad():
        f, known = (run.network.eval().features(each).double() for each in (real, images))
    kernel = known @ known.T
    kernel = kernel + 1e-6 * kernel.trace() / len(kernel) * torch.eye(len(kernel)).double()
    wanted = (torch.eye(10) - 0.1).double().repeat_interleave(8, 0)
    error = f @ known.T @ torch.linalg.solve(kernel, labels.double()) - wanted
    assert float(pull.loss) == pytest.approx(float(error.square().sum(1).mean() / 2) - 0.1, rel=1e-6)
    assert pull.gradients["images"].any()


def test_fit_warms_up_and_falls_along_a_cosine_to_a_hundredth() -> None:
    fit = Fit(updates=1000, warm_up=500)
    factors = [fit.lr_factor(step, 1000) for step in range(1000)]
    assert factors[0] == 1 / 500
    assert max(factors) == factors[499] == factors[500] == 1.0
    assert factors[-1] == pytest.approx(0.01)
    assert factors[749] == pytest.approx((1 + 0.01) / 2, abs=0.005)


def test_fit_goes_on_bit_for_bit_and_learns_the_labels(few: ClassData, digits: Dataset) -> None:
    cell = cell_of("frepo")
    how = replace(cell.evaluation, networks=2, learner=Fit(updates=30, lr=1e-2, batch=7, warm_up=5))
    start = begun(few, "frepo").stored
    made = cell.recipe.container.training_set(start, digits.shape, 10, digits.normalisation)
    check_task(lambda: EvaluationRun(made, digits, how))
    assert min(evaluate(made, digits, how)) > 25


@pytest.mark.parametrize("method", ["frepo", "kip", "label-solve"])
def test_a_stored_set_gives_its_own_labels(
    few: ClassData, digits: Dataset, tmp_path: Path, method: str
) -> None:
    cell, stored = cell_of(method), finish(Distillation(few, cell_of(method).recipe, 1, 3)).stored
    constants = digits.normalisation
    about = {
        **cell.describe(),
        "container": cell.describe()["recipe"]["container"],
        "classes": list(digits.classes),
        "shape": list(digits.shape),
        "normalisation": {
            "name": constants.name,
            "mean": list(constants.mean),
            "std": list(constants.std),
        },
    }
    store = Store(tmp_path)
    store.write_set(cell, stored, {}, about)
    found = load_set(store.set_path(cell))
    assert found.labels.equal(stored["labels"].flatten(0, 1))
    images, labels = next(iter(found.loader(batch=64, augment=False)))
    order = [int((stored["labels"].flatten(0, 1) == label).all(1).nonzero()) for label in labels]
    torch.testing.assert_close(images, stored["images"].flatten(0, 1)[order])
    if method == "frepo":  # which is judged as its loader gives it; a regression has no batch
        augmented, labels = next(iter(found.loader()))
        assert sorted(labels.tolist()) == sorted(found.labels.tolist())
        assert not augmented.equal(found.normalised)
