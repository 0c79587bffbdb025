"""How stored tensors move: as the optimisers of the papers' code do, and from where they were broken off."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import generator
from torch import Tensor

from dreamlib.containers import SGD, Adam, ClassByClass, Optimiser, Update
from dreamlib.containers.updates import update_of

RULES = {
    "sgd": (SGD(0.3), torch.optim.SGD, {"lr": 0.3}),
    "momentum": (SGD(0.3, 0.9), torch.optim.SGD, {"lr": 0.3, "momentum": 0.9}),
    "adam": (Adam(0.02, (0.0, 0.9)), torch.optim.Adam, {"lr": 0.02, "betas": (0.0, 0.9)}),
}


def tensors() -> dict[str, Tensor]:
    return {
        "one": torch.randn(3, generator=generator()),
        "two": torch.randn(2, 2, generator=generator(1)),
    }


def gradients(step: int) -> dict[str, Tensor]:
    return {name: torch.randn(value.shape, generator=generator(step)) for name, value in tensors().items()}


@pytest.mark.parametrize("lr_factor", [1.0, 0.05])
@pytest.mark.parametrize("name", sorted(RULES))
def test_updates_are_those_of_torch_optim_and_a_pace_multiplies_the_rate(name: str, lr_factor: float) -> None:
    rule, optimiser, how = RULES[name]
    ours, theirs = tensors(), [value.requires_grad_() for value in tensors().values()]
    moves, plain = Optimiser(ours, {"": rule}), optimiser(theirs, **{**how, "lr": how["lr"] * lr_factor})
    for step in range(3):
        given = gradients(step)
        kept = {key: value.clone() for key, value in given.items()}
        moves.approach(ours, lr_factor)
        moves.step(ours, given, lr_factor)
        for weight, gradient in zip(theirs, given.values(), strict=True):
            weight.grad = gradient.clone()
        plain.step()
        assert all(given[key].equal(kept[key]) for key in given)
    for mine, other in zip(ours.values(), theirs, strict=True):
        torch.testing.assert_close(mine, other.detach())


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_a_step_class_by_class_is_the_loop_over_classes(momentum: float) -> None:
    """IDC, released code: one optimiser for all images, which steps after the gradient of every class."""
    start = torch.randn(5, 3, 2, generator=generator(), dtype=torch.float64)
    target = torch.randn(5, 3, 2, generator=generator(1), dtype=torch.float64)
    looped = start.clone().requires_grad_()
    optimiser = torch.optim.SGD([looped], lr=0.1, momentum=momentum)
    stored = {"images": start.clone()}
    moves = Optimiser(stored, {"": ClassByClass(0.1, momentum)})
    for step in range(4):
        for label in range(5):
            optimiser.zero_grad()
            ((looped[label] - target[label]) ** 4).sum().backward()
            optimiser.step()
        moves.approach(stored)
        moves.step(stored, {"images": 4 * (stored["images"] - target) ** 3})
        torch.testing.assert_close(stored["images"], looped.detach(), msg=lambda m, n=step: f"step {n}: {m}")


@pytest.mark.parametrize("rule", [SGD(0.3, 0.9), ClassByClass(0.3, 0.5), Adam(0.02)], ids=str)
def test_moves_go_on_bit_for_bit_from_every_step(rule: Update) -> None:
    def stepped(moves: Optimiser, values: dict[str, Tensor], steps: range) -> dict[str, Tensor]:
        for step in steps:
            moves.approach(values)
            moves.step(values, gradients(step))
        return values

    whole = stepped(Optimiser(tensors(), {"": rule}), tensors(), range(4))
    for broken in range(5):
        first = Optimiser(tensors(), {"": rule})
        values = stepped(first, tensors(), range(broken))
        held = {name: value.clone() for name, value in first.state().items()}
        again = Optimiser(values, {"": rule})
        again.restore(held, values)
        values = stepped(again, values, range(broken, 4))
        assert all(values[name].equal(whole[name]) for name in whole)
        assert all(value.equal(held[name]) for name, value in first.state().items()), "a copy was moved"


def test_a_tensor_moves_by_the_longest_name_it_begins_with_or_stays() -> None:
    slow, fast = SGD(0.1), SGD(1.0)
    updates: dict[str, Any] = {"labels": slow, "labels.lr": fast}
    assert update_of("labels", updates) is slow
    assert update_of("labels.lr", updates) is fast
    assert update_of("images", updates) is None
    values = {name: torch.zeros(1) for name in ("labels", "labels.lr", "images")}
    Optimiser(values, updates).step(values, {name: torch.ones(1) for name in values})
    assert {name: round(float(value), 6) for name, value in values.items()} == {
        "labels": -0.1,
        "labels.lr": -1.0,
        "images": 0.0,
    }


def test_what_has_no_gradient_stays_and_is_not_remembered() -> None:
    values = tensors()
    moves = Optimiser(values, {"": SGD(1.0, 0.9)})
    moves.step(values, {"one": torch.ones(3)})
    assert values["two"].equal(tensors()["two"])
    assert {name.partition(":")[0] for name in moves.state()} == {"one"}
