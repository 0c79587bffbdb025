"""Learners of their own kind: PyTorch's Adam for a set's own number of steps, and a set's own steps at its rates."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny import generator
from torch import Tensor

from dreamlib.compute.engine import Engine
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.criteria.unrolled import forward_of, gradient_descent
from dreamlib.networks import NetworkSpec, build
from dreamlib.networks.learners import Adam, Replay
from dreamlib.networks.training import Outputs, TrainingData

SHAPE, CLASSES, NETWORKS = (1, 8, 8), 3, 2
SPEC = NetworkSpec(width=8, depth=2, norm="none")
IMAGES = torch.randn(12, *SHAPE, generator=generator(1))
ANSWERS = torch.randn(12, CLASSES, generator=generator(2)).softmax(1)
RATES = torch.tensor([[0.3, 0.1, 0.2], [0.05, 0.2, 0.4]])  # two epochs of three steps of four images


def training_data(
    rates: Tensor | None = None, steps: int | None = None, targets: Tensor = ANSWERS
) -> TrainingData:
    return TrainingData(lambda index: (IMAGES[index], targets[index]), len(IMAGES), rates, steps)


def begun(learner: Any, given: TrainingData, stop: int | None = None) -> Any:
    outputs = Outputs(SHAPE, CLASSES, NETWORKS, generator(5))
    return learner.begin(given, SPEC, outputs, Engine("plain", "cpu"), stop)


def finished(training: Any) -> Any:
    while not training.done:
        training.advance()
    return training


@pytest.mark.parametrize("batch", [5, 100])
def test_adam_is_pytorchs(batch: int) -> None:
    training = begun(Adam(batch), training_data(steps=7))
    start = {name: value.clone() for name, value in training.stack.tensors.items()}
    shown: list[Tensor] = []
    fetch = training.fetch

    def watched(index: Tensor) -> tuple[Tensor, Tensor]:
        shown.append(index)
        return fetch(index)

    training.fetch = watched
    finished(training)
    assert len(shown) == training.step == 7
    for k in range(NETWORKS):
        network = build(SPEC, SHAPE, CLASSES)
        network.load_state_dict({name: value[k] for name, value in start.items()})
        adam = torch.optim.Adam(network.parameters())  # LD: PyTorch's default
        for index in shown:
            assert len(set(index[k].tolist())) == min(batch, len(IMAGES))  # different images
            adam.zero_grad()
            F.cross_entropy(network(IMAGES[index[k]]), ANSWERS[index[k]]).backward()
            adam.step()
        for name, value in network.state_dict().items():
            torch.testing.assert_close(training.stack.tensors[name][k], value)
    # Every step and every network draws its own.
    assert batch == 100 or len({tuple(row.tolist()) for index in shown for row in index}) == 7 * NETWORKS


def test_a_set_says_how_long_to_learn_and_an_evaluation_may_overrule_it() -> None:
    assert begun(Adam(), training_data(steps=7)).steps == 7
    assert begun(Adam(), training_data(steps=7), stop=3).steps == 3
    assert begun(Adam(), training_data(steps=0)).done
    with pytest.raises(BadValue, match="for as many steps as the set says, and it says none"):
        begun(Adam(), training_data())


@pytest.mark.parametrize("targets", [ANSWERS, ANSWERS.argmax(1)], ids=["answers", "classes"])
def test_replay_makes_the_sets_own_steps(targets: Tensor) -> None:
    training = begun(Replay(), training_data(RATES, targets=targets))
    module = build(SPEC, SHAPE, CLASSES)
    start = {name: value.clone() for name, value in training.stack.tensors.items()}
    hot = targets if targets.is_floating_point() else F.one_hot(targets, CLASSES).float()
    steps = list(zip(IMAGES.split(4), hot.split(4), strict=True))
    *_, expected = gradient_descent(forward_of(module), start, steps * len(RATES), RATES.flatten())
    finished(training)
    assert training.step == RATES.numel()
    for name, value in expected.items():
        torch.testing.assert_close(training.stack.tensors[name], value)


@pytest.mark.parametrize(
    ("rates", "stop", "says"),
    [
        (None, None, "it has none; expected \\(E, S\\)"),
        (torch.tensor(0.1), None, r"it has rates of shape \(\)"),
        (
            torch.ones(2, 5),
            None,
            r"it has rates of shape \(2, 5\); expected \(E, S\), with 12 images in S batches",
        ),
        (RATES, 100, "100 steps of training are asked for, and the set's own are 6"),
        (RATES - 0.1, None, "the set's smallest rate is -0.05; expected 0 or more"),
        (RATES * math.nan, None, "the set's smallest rate is nan"),
    ],
)
def test_what_cannot_be_replayed_is_refused(rates: Tensor | None, stop: int | None, says: str) -> None:
    with pytest.raises(BadValue, match=says):
        begun(Replay(), training_data(rates), stop)


def test_rates_that_are_too_large_are_named() -> None:
    training = finished(begun(Replay(), training_data(RATES * 1e30)))
    with pytest.raises(Diverged, match=r"not finite after the set's 6 steps at rates up to 4e\+29"):
        training.check()


@pytest.mark.parametrize("learner", [Adam(5), Replay()], ids=["Adam", "Replay"])
def test_it_goes_on_bit_for_bit(learner: Any) -> None:
    whole = finished(begun(learner, training_data(RATES, 6)))
    for stop in range(6):
        part = begun(learner, training_data(RATES, 6))
        for _ in range(stop):
            part.advance()
        rest = begun(learner, training_data(RATES, 6))
        stream = torch.Generator()
        stream.set_state(part.generator.get_state())
        rest.restore({name: value.clone() for name, value in part.state().items()}, stream)
        assert finished(rest).state().keys() == whole.state().keys()
        assert all(value.equal(whole.state()[name]) for name, value in rest.state().items())
