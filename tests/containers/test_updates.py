"""Updates of stored tensors: PyTorch's bits where it has them, hand-computed steps where it has not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
import torch
from tiny import generator
from torch import Tensor

from dreamlib.containers.updates import LAMB, SGD, AdaBelief, Adam, Update
from dreamlib.core.errors import BadValue

ALL: list[Update] = [SGD(0.1), SGD(0.3, 0.5), Adam(0.01), LAMB(0.01), AdaBelief(0.01)]


def gradients(count: int = 6) -> list[Tensor]:
    return [torch.randn(4, 3, 5, generator=generator(n)) for n in range(count)]


def course(update: Update, pulls: Iterable[Tensor], start: Tensor) -> list[Tensor]:
    state, tensors = update.start(start), [start]
    for pull in pulls:
        moved, state = update(tensors[-1], pull, state)
        tensors.append(moved)
    return tensors


@pytest.mark.parametrize(
    ("update", "theirs"),
    [
        (SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
        (SGD(0.3, 0.9), lambda p: torch.optim.SGD(p, 0.3, 0.9)),
        (Adam(0.01), lambda p: torch.optim.Adam(p, 0.01)),
        (Adam(0.04, (0.5, 0.99), 1e-3), lambda p: torch.optim.Adam(p, 0.04, (0.5, 0.99), 1e-3)),
    ],
    ids=["sgd", "momentum", "adam", "adam with other settings"],
)
def test_bits_are_those_of_pytorch(
    update: Update, theirs: Callable[[list[Tensor]], torch.optim.Optimizer]
) -> None:
    for dtype in (torch.float32, torch.float64):
        parameter = torch.nn.Parameter(torch.randn(4, 3, 5, generator=generator(9)).to(dtype))
        pulls = [each.to(dtype) for each in gradients()]
        mine, optimiser = course(update, pulls, parameter.detach().clone()), theirs([parameter])
        for pull, found in zip(pulls, mine[1:], strict=True):
            parameter.grad = pull
            optimiser.step()
            assert found.equal(parameter.detach())


def test_lamb_is_adams_direction_at_the_length_of_the_tensor() -> None:
    """Steps by hand: u is m / (sqrt(v) + eps), both corrected, and x moves by lr |x| along it."""
    lr, eps, b1, b2 = 0.01, 1e-6, 0.9, 0.999
    x, m, v = [3.0, -4.0], [0.0, 0.0], [0.0, 0.0]
    pulls = [[1.0, -2.0], [0.5, 0.25], [-3.0, 1.0]]
    expected = []
    for step, pull in enumerate(pulls, 1):
        m = [b1 * a + (1 - b1) * g for a, g in zip(m, pull, strict=True)]
        v = [b2 * a + (1 - b2) * g * g for a, g in zip(v, pull, strict=True)]
        u = [a / (1 - b1**step) / (math.sqrt(b / (1 - b2**step)) + eps) for a, b in zip(m, v, strict=True)]
        ratio = math.hypot(*x) / math.hypot(*u)
        x = [a - lr * ratio * d for a, d in zip(x, u, strict=True)]
        expected.append(x)
    start = torch.tensor([3.0, -4.0], dtype=torch.float64)
    found = course(LAMB(lr), torch.tensor(pulls, dtype=torch.float64), start)
    torch.testing.assert_close(
        torch.stack(found[1:]), torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=0
    )
    for before, after in pairwise(found):
        assert float((after - before).norm()) == pytest.approx(lr * float(before.norm()))
    # The very first step goes along the signs of the gradient: 5 is the norm of (3, -4).
    torch.testing.assert_close(
        found[1], start - lr * 5 / math.sqrt(2) * torch.tensor([1.0, -1.0]), rtol=1e-5, atol=0
    )


def test_lamb_has_a_ratio_of_1_where_a_norm_is_0() -> None:
    zeros, pull = torch.zeros(3, dtype=torch.float64), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    (_, from_zero) = course(LAMB(0.01), [pull], zeros)
    torch.testing.assert_close(from_zero, -0.01 * pull.sign(), rtol=1e-5, atol=0)
    (_, unmoved) = course(LAMB(0.01), [zeros], pull)
    assert unmoved.equal(pull)


def test_adabelief_divides_by_how_far_gradients_are_from_what_was_expected() -> None:
    """Steps by hand: v is the running mean of (g - m)^2, with eps added to it every time."""
    lr, eps, b1, b2 = 0.01, 1e-3, 0.9, 0.999
    x, m, v = 1.0, 0.0, 0.0
    pulls, expected = [1.0, 1.0, -2.0, 0.5], []
    for step, g in enumerate(pulls, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (g - m) ** 2 + eps
        x -= lr * m / (1 - b1**step) / (math.sqrt(v / (1 - b2**step)) + eps)
        expected.append(x)
    found = course(
        AdaBelief(lr, eps=eps), torch.tensor(pulls, dtype=torch.float64), torch.tensor(1.0).double()
    )
    assert [float(each) for each in found[1:]] == pytest.approx(expected, rel=1e-13)


def test_adabelief_makes_longer_steps_than_adam_along_a_steady_gradient() -> None:
    steady, start = [torch.ones(1)] * 60, torch.zeros(1)
    lengths = [float((course(update, steady, start)[-1]).abs()) for update in (AdaBelief(0.01), Adam(0.01))]
    assert lengths[0] > 2 * lengths[1]


@pytest.mark.parametrize("update", ALL, ids=str)
def test_nothing_is_changed_in_place_and_the_state_is_all_that_is_remembered(update: Update) -> None:
    """A step is a function: from a state that was kept, the same steps follow again, and it is made of tensors."""
    pulls, start = gradients(), torch.randn(4, 3, 5, generator=generator(9))
    tensor, state = start, update.start(start)
    for pull in pulls[:3]:
        tensor, state = update(tensor, pull, state)
    kept = {name: value.clone() for name, value in state.items()}
    before, given = tensor.clone(), pulls[3].clone()
    once, _ = update(tensor, pulls[3], state)
    assert tensor.equal(before)
    assert pulls[3].equal(given)
    assert all(type(value) is Tensor and value.equal(kept[name]) for name, value in state.items())
    again, _ = update(before.requires_grad_(), given, kept)
    assert not again.requires_grad
    assert again.equal(once)
    assert not once.equal(before.detach())


@pytest.mark.parametrize("update", ALL, ids=str)
def test_a_pace_multiplies_the_rate(update: Update) -> None:
    start, pull = torch.randn(4, 3, generator=generator(1)), torch.randn(4, 3, generator=generator(2))
    full, _ = update(start, pull, update.start(start))
    half, _ = update(start, pull, update.start(start), lr_factor=0.5)
    torch.testing.assert_close(half - start, (full - start) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("update", ALL, ids=str)
def test_every_update_goes_down(update: Update) -> None:
    """A bowl around (1, ..., 1), from elsewhere."""
    tensor = torch.tensor([3.0, -2.0, 0.5])
    state = update.start(tensor)
    for _ in range(1000):
        tensor, state = update(tensor, tensor - 1, state)
    assert float((tensor - 1).abs().max()) < 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(-0.1), "rate -0.1"),
        (lambda: Adam(math.nan), "rate nan"),
        (lambda: LAMB(math.inf), "rate inf"),
        (lambda: Adam(eps=-1e-8), "eps -1e-08"),
        (lambda: SGD(0.1, 1.0), r"momentum or betas \(1.0,\)"),
        (lambda: AdaBelief(betas=(0.9, 1.5)), r"momentum or betas \(0.9, 1.5\)"),
    ],
)
def test_settings_out_of_range_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        make()
