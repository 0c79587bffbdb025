"""MTT's distance and its gradient, exact and in TESLA's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from backpropagation import (
    CLASSES,
    SHAPE,
    close,
    differences,
    fresh,
    linear,
    network,
    normal,
    probabilities,
    whole,
)
from torch import Tensor

from dreamlib.compute.memory import peak_bytes
from dreamlib.criteria.trajectory import distance, match_trajectory, squared_distance
from dreamlib.criteria.unrolled import (
    Tensors,
    cross_entropy,
    forward_of,
    gradient_descent,
    in_turn,
    squared_error,
    weight_gradient,
)

BATCH = 4
RATE = torch.tensor(0.2, dtype=torch.float64)


def learned(batches: int, seed: int = 1) -> Tensors:
    return {
        "images": normal(batches, BATCH, *SHAPE, seed=seed),
        "targets": probabilities(batches, BATCH, CLASSES, seed=seed + 1),
    }


def setting(batches: int = 2) -> tuple[Any, Tensors, Tensors, Tensors]:
    """A network's forward, two snapshots of an expert, and what is learned."""
    module = network()
    start = fresh(module)
    target = {name: value + 0.1 * normal(*value.shape, seed=9) for name, value in start.items()}
    return forward_of(module), start, target, learned(batches)


def plain(
    forward: Any, start: Tensors, target: Tensors, learned: Tensors, steps: int, loss: Any = cross_entropy
) -> tuple[Tensor, Tensors, Tensor]:
    def final(weights: Tensors) -> tuple[Tensor, None]:
        return distance(weights, start, target), None

    value, by, rates = whole(forward, start, learned, in_turn, RATE.expand(steps), final, loss)
    return value, by, rates.sum()


def tesla(
    forward: Any, start: Tensors, target: Tensors, learned: Mapping[str, Tensor], steps: int
) -> tuple[Tensors, Tensor]:
    """TESLA's closed form, word for word: sum of 2 (a D + a^2 G) . dg_k / |D|^2, and 2 G . (D + a G) / |D|^2."""

    def flat(weights: Tensors) -> Tensor:
        return torch.cat([value.flatten() for value in weights.values()])

    batches = [in_turn(learned, k) for k in range(steps)]
    path = list(gradient_descent(forward, start, batches, RATE.expand(steps)))
    gradients = [flat(weight_gradient(forward, path[k], *batches[k])) for k in range(steps)]
    way, total = flat(target) - flat(start), torch.stack(gradients).sum(0)
    leaves = {name: value.clone().requires_grad_() for name, value in learned.items()}
    summed = {name: torch.zeros_like(value) for name, value in learned.items()}
    for k in range(steps):
        weights = {name: value.clone().requires_grad_() for name, value in path[k].items()}
        g = flat(weight_gradient(forward, weights, *in_turn(leaves, k), differentiable=True))
        pulled = 2 * (RATE * way + RATE**2 * total) @ g / (way @ way)
        for name, part in zip(leaves, torch.autograd.grad(pulled, list(leaves.values())), strict=True):
            summed[name] += part
    return summed, 2 * total @ (way + RATE * total) / (way @ way)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_exact_form_is_backpropagation_through_the_student(steps: int) -> None:
    forward, start, target, given = setting()
    found = match_trajectory(forward, start, target, given, in_turn, RATE, steps)
    value, by, rate = plain(forward, start, target, given, steps)
    close((found.loss, found.learned, found.rates), (value, by, rate))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_tesla_is_its_closed_form(steps: int) -> None:
    forward, start, target, given = setting()
    found = match_trajectory(forward, start, target, given, in_turn, RATE, steps, exact=False)
    by, rate = tesla(forward, start, target, given, steps)
    close((found.learned, found.rates), (by, rate))
    close(found.loss, plain(forward, start, target, given, steps)[0])


def test_both_forms_agree_for_one_step_and_not_for_more() -> None:
    forward, start, target, given = setting()
    one, other = (
        match_trajectory(forward, start, target, given, in_turn, RATE, 1, exact) for exact in (True, False)
    )
    close((one.learned, one.rates), (other.learned, other.rates))
    more, first_order = (
        match_trajectory(forward, start, target, given, in_turn, RATE, 5, exact) for exact in (True, False)
    )
    close(more.loss, first_order.loss)
    for name in given:
        apart = (more.learned[name] - first_order.learned[name]).norm() / more.learned[name].norm()
        assert apart > 0.01, name
    assert abs(float(more.rates / first_order.rates) - 1) > 1e-3


def test_tesla_is_exact_for_what_the_last_step_alone_is_taught_by() -> None:
    forward, start, target, given = setting(batches=4)
    found = match_trajectory(forward, start, target, given, in_turn, RATE, 4, exact=False)
    _, expected, _ = plain(forward, start, target, given, 4)
    for name in given:
        close(found.learned[name][-1], expected[name][-1])
        assert not torch.allclose(found.learned[name][0], expected[name][0], rtol=1e-3)


def test_tesla_is_exact_where_no_step_moves_the_gradient_of_another() -> None:
    """A linear network whose batches use pixels of their own: X_j' (...) is invisible to X_k."""
    pixels = torch.zeros(4, 3, 20, dtype=torch.float64)
    for k in range(4):
        pixels[k, :, 5 * k : 5 * k + 5] = normal(3, 5, seed=k)
    start, target = {"w": normal(20, CLASSES, seed=5)}, {"w": normal(20, CLASSES, seed=6)}
    targets = normal(4, 3, CLASSES, seed=7)

    def match_labels(images: Tensor, exact: bool) -> Any:
        def batch_of(learned: Any, k: int) -> tuple[Tensor, Tensor]:
            return images[k], learned["targets"][k]

        return match_trajectory(
            linear, start, target, {"targets": targets}, batch_of, RATE, 4, exact, loss=squared_error
        )

    apart, tesla_apart = (match_labels(pixels, exact) for exact in (True, False))
    close((apart.learned, apart.rates), (tesla_apart.learned, tesla_apart.rates))
    shared, tesla_shared = (match_labels(normal(4, 3, 20), exact) for exact in (True, False))
    assert not torch.allclose(shared.learned["targets"], tesla_shared.learned["targets"], rtol=1e-2)


@pytest.mark.parametrize("exact", [False, True])
def test_at_rate_0_the_loss_is_1_and_images_do_nothing(exact: bool) -> None:
    forward, start, target, given = setting()
    found = match_trajectory(forward, start, target, given, in_turn, 0 * RATE, 5, exact)
    close(float(found.loss), 1.0)
    assert not any(value.any() for value in found.learned.values())
    # And yet the rate is pulled away from 0: 2 G . D / |D|^2 with all gradients taken at the start.
    gradients = [weight_gradient(forward, start, *in_turn(given, k)) for k in range(5)]
    way = {name: target[name] - start[name] for name in start}
    along = sum((one[name] * way[name]).sum() for one in gradients for name in way)
    close(found.rates, 2 * along / squared_distance(start, target))


@pytest.mark.parametrize("exact", [False, True])
def test_on_the_experts_own_steps_the_loss_is_0_and_nothing_pulls(exact: bool) -> None:
    forward, start, _, given = setting()
    *_, target = gradient_descent(forward, start, [in_turn(given, k) for k in range(4)], RATE.expand(4))
    found = match_trajectory(forward, start, target, given, in_turn, RATE, 4, exact)
    close(float(found.loss), 0.0)
    for value in (*found.learned.values(), found.rates):
        close(value, torch.zeros_like(value))
    other = match_trajectory(forward, start, target, learned(2, seed=20), in_turn, RATE, 4, exact)
    assert other.loss > 0.1


def test_the_gradient_by_rate_is_that_of_finite_differences() -> None:
    forward, start, target, given = setting()
    for value in target:
        target[value] = start[value] + 0.3 * normal(*start[value].shape, seed=10)

    def loss(rate: Tensor) -> Tensor:
        *_, end = gradient_descent(forward, start, [in_turn(given, k) for k in range(3)], rate.expand(3))
        return distance(end, start, target)

    close(
        match_trajectory(forward, start, target, given, in_turn, RATE, 3).rates,
        differences(loss, RATE, 1e-6),
        1e-6,
    )


def test_the_distance_counts_every_parameter_alike_and_no_units() -> None:
    start = {"w": torch.zeros(2, 2), "b": torch.zeros(2)}
    target = {"w": torch.full((2, 2), 2.0), "b": torch.tensor([3.0, 0.0])}  # |start - target|^2 is 25
    weights = {"w": torch.tensor([[2.0, 2.0], [2.0, -1.0]]), "b": torch.tensor([3.0, 1.0])}  # 9 + 1 away
    assert float(distance(weights, start, target)) == pytest.approx(10 / 25)
    times_7 = ({name: 7 * value for name, value in one.items()} for one in (weights, start, target))
    assert float(distance(*times_7)) == pytest.approx(10 / 25)
    assert float(distance(start, start, target)) == 1
    assert float(distance(target, start, target)) == 0


@pytest.mark.trains
def test_memory_grows_by_weights_and_not_by_graphs() -> None:
    module = network(width=4, depth=1)
    forward, start = forward_of(module), fresh(module)
    target = {name: value + 1 for name, value in start.items()}
    size = sum(value.nbytes for value in start.values())
    given = {"images": normal(1, 50, *SHAPE), "targets": probabilities(1, 50, CLASSES)}
    for exact in (True, False):

        def run(images: Tensor, targets: Tensor, steps: Tensor, exact: bool = exact) -> Any:
            learned = {"images": images, "targets": targets}
            return match_trajectory(forward, start, target, learned, in_turn, RATE, len(steps), exact)

        few, many = (peak_bytes(run, *given.values(), torch.zeros(steps)) for steps in (3, 8))
        assert (many - few) / 5 / size == pytest.approx(1, abs=0.2)
