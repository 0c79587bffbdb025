"""LD as a method: a step of each variant written down call_directly, the choice of labels, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from runs import check_task, finish, same
from torch import Tensor
from torch.func import functional_call

from dreamlib.compute.engine import Engine
from dreamlib.containers import Adam, Answers, Pixels
from dreamlib.core.errors import BadValue, Diverged, UnknownName
from dreamlib.criteria.labelling import Labelling, Learning, LearningByRidge, RidgeHead
from dreamlib.criteria.labels import with_bias
from dreamlib.data import ClassData
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import NetworkSpec
from dreamlib.networks.training import Outputs, TrainingData
from dreamlib.recipes import methods
from dreamlib.teachers import Networks, Restarting, Restarts

WAYS = ("ridge", "second order")
SPEC = NetworkSpec(width=8, depth=2, norm="none")


ADAM = Adam(0.05)


def recipe(way: str, labels_by: Adam | None = ADAM, **changes: Any) -> Recipe:
    criterion = {"batch": 6, "real_batch": 20, "held_out": 30, "every": 5}
    criterion |= {name: changes.pop(name) for name in list(changes) if name in Labelling.__dataclass_fields__}
    base = methods["ld"].recipe
    return replace(
        base,
        container=replace(cast(Answers, base.container), labels_by=labels_by),
        criterion=Labelling(way, **criterion),
        teacher=Restarting(window=3),
        **({"network": SPEC, "iterations": 12} | changes),
    )


def begun(few: ClassData, way: str, steps: int, **changes: Any) -> Distillation:
    """After so many steps, forgotten by Adam, so that its next mean is a tenth of the gradient."""
    run = Distillation(few, recipe(way, **changes), 1, 3)
    while run.matched < steps or not run.stored:
        run.advance()
    before = run.streams["network"].get_state()
    run.teaching.next(run.matched)  # and once more, the same, in the step itself
    run.streams["network"].set_state(before)
    run.optimiser.states = {}
    cast(Restarts, run.teaching).optimiser.states = {}
    return run


def drawn(run: Distillation) -> tuple[Tensor, Tensor, Tensor]:
    """What the next step will look at: positions of base images, real images and their classes."""
    descent = cast(Learning, run.criterion)
    state = run.streams["base"].get_state()
    batch = descent._batch(10)
    run.streams["base"].set_state(state)
    return batch, *descent._real(run.matched)


def leaves(run: Distillation) -> dict[str, Tensor]:
    assert run.network is not None
    return {name: value.detach().clone().requires_grad_() for name, value in run.network.named_parameters()}


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * logits.log_softmax(1)).sum(1).mean()


def learned(run: Distillation) -> dict[str, Tensor]:
    """The gradients that the network of the run has learned from."""
    states = cast(Restarts, run.teaching).optimiser.states
    return {name: 10 * state["exp_avg"] for name, state in states.items()}


@pytest.mark.parametrize("steps", [0, 2])
def test_a_second_order_step_in_full(few: ClassData, steps: int) -> None:
    """LD, section 3 and released code: labels and network both learn from the labels before their step."""
    run = begun(few, "second order", steps)
    batch, real, classes = drawn(run)
    images, labels = run.stored["images"].flatten(0, 1), run.stored["labels"].flatten(0, 1).clone()
    if not steps:
        torch.testing.assert_close(labels, torch.full((10, 10), 0.1))
    start, leaf = leaves(run), labels.clone().requires_grad_()
    assert run.network is not None
    inner = cross_entropy(functional_call(run.network, start, (images[batch],)), leaf[batch])
    g = torch.autograd.grad(inner, list(start.values()), create_graph=True)
    after = {name: value - 0.01 * part for (name, value), part in zip(start.items(), g, strict=True)}
    logits = functional_call(run.network, after, (real,))
    (by_labels,) = torch.autograd.grad(F.cross_entropy(logits, classes), leaf)
    run.advance()
    torch.testing.assert_close(
        10 * run.optimiser.states["labels"]["exp_avg"].flatten(0, 1), by_labels, rtol=1e-4, atol=1e-7
    )
    for name, gradient in zip(start, g, strict=True):
        torch.testing.assert_close(learned(run)[name], gradient.detach(), rtol=1e-4, atol=1e-6)
    # The first step of Adam goes as far as its rate, whatever the gradient.
    cut = (labels - 0.05 * by_labels.sign()).clamp(0, 1)
    torch.testing.assert_close(
        run.stored["labels"].flatten(0, 1), cut / cut.sum(1, keepdim=True), rtol=1e-3, atol=1e-3
    )
    error = 100 * (logits.argmax(1) != classes).float().mean()
    assert cast(Restarts, run.teaching).errors[-1:] in ([pytest.approx(float(error))], [])


@pytest.mark.parametrize("steps", [0, 2])
def test_a_ridge_step_in_full(few: ClassData, steps: int) -> None:
    """LD, released code: the head is of the labels before their step, the network's loss of those after it."""
    run = begun(few, "ridge", steps)
    descent = cast(LearningByRidge, run.criterion)
    descent.head.optimiser.states = {}
    head, scale = descent.head.weights.clone(), descent.head.scale.clone()
    assert bool(head.any()) == bool(scale != 1) == bool(steps)
    batch, real, classes = drawn(run)
    images, labels = run.stored["images"].flatten(0, 1), run.stored["labels"].flatten(0, 1).clone()
    start, leaf = leaves(run), labels.clone().requires_grad_()
    assert run.network is not None
    body = {name.removeprefix("body."): value for name, value in start.items() if name.startswith("body.")}

    def features(given: Tensor) -> Tensor:
        assert run.network is not None
        return with_bias(functional_call(run.network.body, body, (given,)).flatten(1))

    phi = features(images[batch])
    # In the primal form, with penalty 1; the code and ours take the dual.
    local = torch.linalg.solve(phi.T @ phi + torch.eye(phi.shape[1]), phi.T @ leaf[batch])
    mixed = 0.99 * head + 0.01 * local
    outer = F.cross_entropy(scale * features(real) @ mixed, classes)
    (by_labels,) = torch.autograd.grad(outer, leaf, retain_graph=True)
    run.advance()
    torch.testing.assert_close(
        10 * run.optimiser.states["labels"]["exp_avg"].flatten(0, 1), by_labels, rtol=1e-3, atol=1e-7
    )
    torch.testing.assert_close(descent.head.weights, mixed.detach(), rtol=1e-3, atol=1e-6)
    now, a = run.stored["labels"].flatten(0, 1), scale.clone().requires_grad_()
    assert (now[batch] - labels[batch]).abs().max() > 1e-3
    inner = cross_entropy(a * phi @ mixed, now[batch])
    *by_weights, by_scale = torch.autograd.grad(inner, [*body.values(), a])
    assert {name.removeprefix("body.") for name in learned(run)} == set(body)  # and not the classifier
    for name, gradient in zip(body, by_weights, strict=True):
        torch.testing.assert_close(learned(run)[f"body.{name}"], gradient, rtol=1e-2, atol=1e-6)
    torch.testing.assert_close(
        10 * descent.head.optimiser.states["scale"]["exp_avg"], by_scale, rtol=1e-3, atol=1e-6
    )
    if steps:  # before that, all answers are alike, and so are scales
        torch.testing.assert_close(descent.head.scale, scale - 0.01 * by_scale.sign(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_labels_stay_probabilities_after_every_step(few: ClassData, way: str) -> None:
    run = Distillation(few, recipe(way, labels_by=Adam(0.5)), 1, 0)
    while not run.done:
        run.advance()
        labels = run.stored["labels"]
        assert (labels >= 0).all()
        torch.testing.assert_close(labels.sum(-1), torch.ones(10, 1))


@pytest.mark.parametrize("way", WAYS)
def test_images_stay(few: ClassData, way: str) -> None:
    run = finish(Distillation(few, recipe(way), 2, 0))
    assert run.stored["images"].equal(run.snapshots[0]["images"])
    assert not run.stored["labels"].equal(run.snapshots[0]["labels"])


@pytest.mark.parametrize("way", WAYS)
def test_it_goes_on_bit_for_bit_from_every_step(few: ClassData, way: str) -> None:
    """With restarts and choices between the steps."""
    check_task(lambda: Distillation(few, recipe(way), 1, 3))
    assert finish(Distillation(few, recipe(way), 1, 3)).notes["restarts"]


@pytest.mark.parametrize("way", WAYS)
def test_the_labels_of_the_lowest_held_out_error_are_the_result(
    few: ClassData, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    run = Distillation(few, recipe(way), 1, 3)
    seen = []
    choose = Learning._choose

    def watched(self: Learning, step: int, stored: dict[str, Tensor]) -> None:
        choose(self, step, stored)
        seen.append((step, self.lowest, stored["labels"].clone(), int(stored["steps"])))

    monkeypatch.setattr(Learning, "_choose", watched)
    finish(run)
    assert [step for step, *_ in seen] == [4, 9, 11]  # after 5 and 10 steps and at the end
    lowest = [error for _, error, *_ in seen]
    assert lowest == sorted(lowest, reverse=True)
    best = max(k for k in range(3) if k == 0 or lowest[k] < lowest[k - 1])
    candidates = [seen[k] for k in range(best, 3)]  # of equals, the last
    assert any(run.stored["labels"].equal(labels) for _, _, labels, _ in candidates)
    assert int(run.stored["steps"]) in {steps for *_, steps in candidates}
    assert run.notes["held-out error"] == lowest[-1]


def test_held_out_images_are_in_no_batch(few: ClassData) -> None:
    run = begun(few, "second order", 0, held_out=30, real_batch=40)
    descent = cast(Learning, run.criterion)
    assert len(descent.held_out) == 30
    assert not set(descent.held_out.tolist()) & set(descent.kept.tolist())
    turns = [descent._real(step)[0] for step in range(6)]
    assert [len(turn) for turn in turns] == [40, 40, 10] * 2  # 90 are left
    kept = few.at(descent.kept)[0]
    for first in (0, 3):
        shown = torch.cat(turns[first : first + 3])
        assert sorted(map(float, shown.flatten(1).sum(1))) == sorted(map(float, kept.flatten(1).sum(1)))
    assert not turns[0].equal(turns[3])


def test_without_held_out_images_the_last_labels_are_the_result(few: ClassData) -> None:
    run = finish(Distillation(few, recipe("second order", held_out=0), 1, 3))
    assert "held-out error" not in run.notes
    assert int(run.stored["steps"]) == cast(Restarts, run.teaching).best


def test_classes_that_stay_are_what_labels_are_compared_with(few: ClassData) -> None:
    hard = methods["ld-hard"].recipe
    run = finish(Distillation(few, replace(recipe("second order"), container=hard.container), 1, 3))
    assert run.stored["labels"].flatten(0, 1).equal(torch.eye(10))
    assert int(run.stored["steps"]) > 0


def test_a_ridge_head_repeats_the_networks_own_training(few: ClassData) -> None:
    """LD, released code: what it trains beside the labels is what it trains to judge them."""
    images, labels = few.take(torch.zeros(10, 1, dtype=torch.int64)).flatten(0, 1), torch.eye(10)
    outputs = Outputs(few.shape, 10, 2, torch.Generator().manual_seed(0))
    training_data = TrainingData(lambda index: (images[index], labels[index]), 10, steps=4)
    training = RidgeHead(batch=100).begin(training_data, SPEC, outputs, Engine("plain", "cpu"), None)
    network = training.networks[1]
    head, start = torch.zeros(network.feature_size + 1, 10), network.state_dict()
    body = {
        n.removeprefix("body."): v.clone().requires_grad_() for n, v in start.items() if n.startswith("body.")
    }
    scale = torch.ones((), requires_grad=True)
    adam = torch.optim.Adam([{"params": list(body.values()), "lr": 1e-3}, {"params": [scale], "lr": 0.01}])
    while not training.done:
        training.advance()
        phi = with_bias(functional_call(network.body, body, (images,)).flatten(1))
        mixed = 0.99 * head + 0.01 * phi.T @ torch.linalg.solve(phi @ phi.T + torch.eye(10), labels)
        adam.zero_grad()
        cross_entropy(scale * phi @ mixed, labels).backward()
        adam.step()
        head = mixed.detach()
    torch.testing.assert_close(training.heads[1].weights, head, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(training.heads[1].scale, scale.detach(), rtol=1e-4, atol=1e-5)
    answers = (with_bias(network.features(images)) @ head).argmax(1)
    expected = 100 * float((answers == torch.arange(10)).float().mean())
    assert training.accuracy(images.__getitem__, torch.arange(10), chunk=3)[1] == pytest.approx(expected)

    again = RidgeHead(batch=100).begin(training_data, SPEC, outputs, Engine("plain", "cpu"), None)
    again.restore({name: value.clone() for name, value in training.state().items()}, outputs.generator)
    assert again.done
    assert same(again.state(), training.state())
    training.heads[0].weights[0, 0] = torch.nan
    with pytest.raises(Diverged, match="the last layer is not finite after step 4 of 4"):
        training.check()


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        (
            {"way": "first order"},
            UnknownName,
            "way to learn labels 'first order'; valid: second order, ridge",
        ),
        ({"batch": 0}, BadValue, "batch is 0; expected at least 1"),
        ({"held_out": -1}, BadValue, "held_out is -1; expected at least 0"),
        (
            {"held_out": 101},
            BadValue,
            "101 held-out images and a batch of 20 are more than the 120 of digits",
        ),
    ],
)
def test_what_it_cannot_do_is_refused(
    few: ClassData, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Distillation(few, recipe(**({"way": "ridge"} | changes)), 1, 0)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"container": Pixels()}, "the container is Pixels; expected one of labels"),
        ({"container": Answers()}, "the container is Answers; expected one of labels that says how long"),
        ({"teacher": Networks()}, "the teacher is Networks"),
    ],
)
def test_parts_that_do_not_fit_are_refused(few: ClassData, part: dict[str, Any], says: str) -> None:
    with pytest.raises(BadValue, match=says):
        Distillation(few, replace(recipe("ridge"), **part), 1, 0)


@pytest.mark.parametrize("way", WAYS)
def test_labels_that_are_no_numbers_stop_it(few: ClassData, way: str) -> None:
    run = begun(few, way, 2, held_out=0)
    run.stored["labels"].fill_(torch.nan)
    with pytest.raises(Diverged, match=r"the loss became nan at step 3 of 12\n.*lower lr|lower image_lr"):
        run.advance()
