"""Unrolled training: against backpropagation through all of it, finite differences, and what can be written down."""

from __future__ import annotations

import math
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
    stacked,
    whole,
)
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from dreamlib.compute.memory import peak_bytes
from dreamlib.containers.rates import raw_rate
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.criteria.unrolled import (
    Tensors,
    Unrolled,
    check,
    cross_entropy,
    forward_of,
    gradient_descent,
    in_turn,
    on_images,
    squared_error,
    unroll,
    weight_gradient,
)

STEPS, BATCH = 2, 4
RATES = torch.tensor([0.3, 0.1, 0.05, 0.2, 0.15, 0.25], dtype=torch.float64)  # three epochs of two steps
LEARNED = {
    "images": normal(STEPS, BATCH, *SHAPE, seed=1),
    "targets": probabilities(STEPS, BATCH, CLASSES, seed=2),
}


def in_order(learned: Tensors, rates: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The batches of all steps: DD's, over and over again."""
    return [in_turn(learned, k) for k in range(len(rates))]


REAL, KNOWN = normal(7, *SHAPE, seed=3), torch.eye(CLASSES, dtype=torch.float64)[[0, 1, 2, 0, 1, 2, 0]]


class LeNet(nn.Module):
    """Small, with what DD's and LD's networks have besides: maximum pooling, local response norm, hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.Linear(96, 10)
        self.norm, self.last = nn.LocalResponseNorm(4), nn.Linear(10, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(nn.functional.max_pool2d(self.first(images).relu(), 2))
        logits: Tensor = self.last(self.second(maps.flatten(1)).relu())
        return logits


NETWORKS: dict[str, Any] = {
    "lenet": lambda: LeNet().double(),
    "instance": network,
    "none": lambda: network(norm="none", pooling="max"),
    "swish": lambda: network(activation="swish", depth=1),
}


@pytest.mark.parametrize("loss", [cross_entropy, squared_error])
@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_the_recursion_is_backpropagation_through_all_steps(kind: str, loss: Any) -> None:
    module = NETWORKS[kind]()
    forward, start = forward_of(module), fresh(module)
    given = forward, start, LEARNED, in_turn, RATES, on_images(forward, REAL, KNOWN)
    found, (value, learned, rates) = unroll(*given, loss=loss), whole(*given, loss=loss)
    close((found.loss, found.learned, found.rates), (value, learned, rates))
    assert all(float(part.abs().max()) > 1e-4 for part in (*learned.values(), rates))
    close(found.kept, forward(found.weights, REAL))


@pytest.mark.trains
def test_the_gradient_is_that_of_finite_differences() -> None:
    # A smooth network: differences across a kink of a ReLU are none of its derivatives.
    module = network(activation="swish", depth=1, width=4)
    forward, start = forward_of(module), fresh(module)
    final = on_images(forward, REAL, KNOWN)

    def loss(learned: Tensors, rates: Tensor) -> Tensor:
        *_, end = gradient_descent(forward, start, in_order(learned, rates), rates)
        return final(end)[0]

    found = unroll(forward, start, LEARNED, in_turn, RATES, final)
    close(found.rates, differences(lambda rates: loss(LEARNED, rates), RATES), 1e-7)
    for name, value in LEARNED.items():
        part = value[:, :1]  # of one image of every step
        expected = differences(
            lambda some, n=name, v=value: loss({**LEARNED, n: torch.cat([some, v[:, 1:]], 1)}, RATES), part
        )
        close(found.learned[name][:, :1], expected, 1e-7)


def test_several_networks_count_by_their_mean() -> None:
    module = network()
    forward, starts = forward_of(module), [fresh(module, seed) for seed in range(3)]
    final = on_images(forward, REAL, KNOWN)
    found = unroll(forward, stacked(*starts), LEARNED, in_turn, RATES, final)
    each = [unroll(forward, start, LEARNED, in_turn, RATES, final) for start in starts]
    close(found.loss, torch.stack([one.loss for one in each]).mean())
    close(found.rates, torch.stack([one.rates for one in each]).mean(0))
    for name in LEARNED:
        close(found.learned[name], torch.stack([one.learned[name] for one in each]).mean(0))
    close(found.weights, stacked(*[one.weights for one in each]))
    close(found.kept, torch.stack([one.kept for one in each]))
    assert not torch.allclose(each[0].loss, each[1].loss)


def test_one_step_of_a_linear_network_in_closed_form() -> None:
    images, targets, start = normal(5, 6), normal(5, 3, seed=1), normal(6, 3, seed=2)
    real, known, rate = normal(8, 6, seed=3), normal(8, 3, seed=4), torch.tensor([0.7], dtype=torch.float64)
    errors = images @ start - targets
    g = images.T @ errors / 5
    end = start - 0.7 * g
    u = real.T @ (real @ end - known) / 8
    found = unroll(
        linear,
        {"w": start},
        {"images": images[None], "targets": targets[None]},
        in_turn,
        rate,
        on_images(linear, real, known, squared_error),
        squared_error,
    )
    close(found.loss, (real @ end - known).square().sum() / 16)
    close(found.weights["w"], end)
    close(found.rates, -(u * g).sum()[None])
    close(found.learned["targets"][0], 0.7 / 5 * images @ u)
    close(found.learned["images"][0], -0.7 / 5 * (errors @ u.T + images @ u @ start.T))


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_many_steps_of_one_weight_are_a_geometric_sequence(steps: int) -> None:
    """w goes to y / x by the factor r = 1 - rate x^2 a step, so that w_T = r^T w_0 + (1 - r^T) y / x."""
    x, y, w, rate = 0.8, 1.7, -0.4, 0.3
    r = 1 - rate * x**2
    end = r**steps * w + (1 - r**steps) * y / x
    value = {
        name: torch.full((1, 1, 1), number, dtype=torch.float64)
        for name, number in (("images", x), ("targets", y))
    }
    one = torch.ones(1, 1, dtype=torch.float64)
    found = unroll(
        linear,
        {"w": w * one},
        value,
        in_turn,
        torch.full((steps,), rate, dtype=torch.float64),
        on_images(linear, one, 0 * one, squared_error),  # L = w_T^2 / 2, and dL/dw_T = w_T
        squared_error,
    )
    slower = steps * r ** (steps - 1) * (w - y / x)  # d w_T / d r
    close(float(found.loss), end**2 / 2)
    close(float(found.learned["targets"]), end * (1 - r**steps) / x)
    close(float(found.learned["images"]), end * (slower * -2 * rate * x - (1 - r**steps) * y / x**2))
    close(float(found.rates.sum()), end * slower * -(x**2))


def test_what_a_lesson_makes_of_the_learned_is_differentiated_through() -> None:
    """Augmented images, bases under a generator: the batch may be any function of what is stored."""
    module = network()
    forward, start, mixing = forward_of(module), fresh(module), normal(5, BATCH, seed=5)

    def batch_of(learned: Any, k: int) -> tuple[Tensor, Tensor]:
        images = torch.einsum("kb,kchw->bchw", mixing, learned["bases"]) * learned["contrast"]
        return images.roll(k, -1), learned["logits"].softmax(-1)

    learned = {
        "bases": normal(5, *SHAPE, seed=6),
        "contrast": normal(1, seed=7),
        "logits": normal(BATCH, CLASSES, seed=8),
        "unused": normal(2, seed=9),
    }
    given = forward, start, learned, batch_of, RATES[:3], on_images(forward, REAL, KNOWN)
    found, (_, expected, rates) = unroll(*given), whole(*given)
    close((found.learned, found.rates), (expected, rates))
    assert not found.learned["unused"].any()


def test_rates_alone_can_be_learned() -> None:
    module = network()
    forward = forward_of(module)
    final = on_images(forward, REAL, KNOWN)
    given = forward, fresh(module), {}, lambda _, k: in_turn(LEARNED, k), RATES, final
    for curvature in (True, False):
        found = unroll(*given, curvature=curvature)
        assert found.learned == {}
        agrees = torch.allclose(found.rates, whole(*given)[2])
        assert agrees == curvature


@pytest.mark.trains
def test_memory_grows_by_weights_and_not_by_graphs() -> None:
    module = network(width=4, depth=1)
    forward, start = forward_of(module), fresh(module)
    images = torch.zeros(1, 50, *SHAPE, dtype=torch.float64)
    targets = torch.zeros(1, 50, CLASSES, dtype=torch.float64)
    final = on_images(forward, REAL, KNOWN)
    size = sum(value.nbytes for value in start.values())

    def growth(how: Any) -> float:
        """Bytes for each step more, in sets of weights."""

        def run(images: Tensor, targets: Tensor, steps: Tensor) -> Any:
            learned = {"images": images, "targets": targets}
            return how(forward, start, learned, in_turn, torch.full((len(steps),), 0.1).double(), final)

        few, many = (peak_bytes(run, images, targets, torch.zeros(steps)) for steps in (3, 8))
        return (many - few) / 5 / size

    assert growth(unroll) == pytest.approx(1, abs=0.2)
    assert growth(whole) > 20


def test_nothing_found_has_a_graph_and_nothing_given_is_changed() -> None:
    module = network()
    forward, start = forward_of(module), fresh(module)
    rates = RATES.clone().requires_grad_()
    learned = {name: value.clone().requires_grad_() for name, value in LEARNED.items()}
    before = {name: value.clone() for name, value in start.items()}
    with torch.no_grad():
        found = unroll(forward, start, learned, in_turn, rates, on_images(forward, REAL, KNOWN))
    tensors = [found.loss, found.rates, found.kept, *found.learned.values(), *found.weights.values()]
    assert not any(value.requires_grad for value in tensors)
    assert all(value.grad is None for value in (rates, *learned.values()))
    close(start, before, 0)
    close(learned, LEARNED, 0)


@pytest.mark.parametrize("fixed", ["images", "nothing", "targets"])
def test_heavy_functions_go_through_an_engine_as_pure_functions(fixed: str) -> None:
    module = network(width=4, depth=1)
    forward, start = forward_of(module), fresh(module)
    learned = {name: value for name, value in LEARNED.items() if name != fixed}
    traces: dict[Any, Any] = {}

    def batch_of(learned: Any, k: int) -> tuple[Tensor, Tensor]:
        return in_turn({**LEARNED, **learned}, k)

    def run(key: Any, function: Any, *arguments: Any) -> Any:
        """As an engine does: by a trace, which the first call under a key has left for those after it."""
        if key not in traces:
            traces[key] = make_fx(function)(*arguments)
        return traces[key](*arguments)

    given = forward, start, learned, batch_of, RATES, on_images(forward, REAL, KNOWN)
    found, expected = unroll(*given, run=run), unroll(*given)
    close(found, expected)
    assert len(traces) == 2  # one for all steps forwards, one for all steps back


def test_gradient_descent_is_that_of_torch() -> None:
    module = network()
    forward, start = forward_of(module), fresh(module)
    steps = list(zip(LEARNED["images"], LEARNED["targets"], strict=True))
    optimiser = torch.optim.SGD(module.parameters(), lr=1.0)
    fresh(module)
    for k, rate in enumerate(RATES.tolist()):
        images, targets = steps[k % STEPS]
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(images), targets).backward()
        optimiser.step()
    *_, found = gradient_descent(forward, start, in_order(LEARNED, RATES), RATES)
    close(found, {name: value.detach() for name, value in module.named_parameters()})
    close(found, unroll(forward, start, LEARNED, in_turn, RATES, on_images(forward, REAL, KNOWN)).weights)
    *_, both = gradient_descent(forward, stacked(start, fresh(module, 1)), in_order(LEARNED, RATES), RATES)
    close({name: value[0] for name, value in both.items()}, found)


@pytest.mark.parametrize("loss", [cross_entropy, squared_error])
def test_losses_are_means_over_images(loss: Any) -> None:
    logits, targets = normal(2, BATCH, CLASSES), probabilities(BATCH, CLASSES, seed=1)
    expected = torch.zeros(2, dtype=torch.float64)
    for k in range(2):
        for scores, target in zip(logits[k], targets, strict=True):
            total = math.log(sum(math.exp(float(score)) for score in scores))
            for score, share in zip(scores, target, strict=True):
                wrong = (score - share) ** 2 / 2 if loss is squared_error else -share * (score - total)
                expected[k] += wrong / BATCH
    close(loss(logits, targets), expected)


@pytest.mark.parametrize("rate", [1e-4, 0.001, 0.02, 3.0])
def test_a_learned_rate_starts_where_it_is_said_to(rate: float) -> None:
    """DD: 0.02 on MNIST, 0.001 on CIFAR-10."""
    raw = raw_rate(torch.tensor(rate))
    assert float(torch.nn.functional.softplus(raw)) == pytest.approx(rate, rel=1e-6)


def test_weights_stacked_get_each_networks_own_gradient() -> None:
    module = network()
    starts = [fresh(module, seed) for seed in range(2)]
    images, targets = in_turn(LEARNED, 0)
    both = weight_gradient(forward_of(module), stacked(*starts), images, targets)
    for k, start in enumerate(starts):
        module.load_state_dict(start)
        module.zero_grad()
        nn.functional.cross_entropy(module(images), targets).backward()
        close({n: v[k] for n, v in both.items()}, {n: v.grad for n, v in module.named_parameters()})


def test_a_network_with_running_statistics_is_refused() -> None:
    with pytest.raises(BadValue, match="running statistics"):
        forward_of(network(norm="batch"))


@pytest.mark.parametrize(
    ("loss", "rates", "says"),
    [
        (math.nan, [0.1, 0.2], "after 2 steps of training at rates up to 0.2 the loss is nan"),
        (math.inf, [0.1], "after 1 steps of training at rates up to 0.1 the loss is inf"),
        (1.0, [0.1, -0.5, 0.2], "the learned rate of step 1 is -0.5; expected 0 or more"),
    ],
)
def test_a_loss_or_a_rate_gone_wrong_is_named(loss: float, rates: list[float], says: str) -> None:
    found = Unrolled(torch.tensor(loss), {}, torch.zeros(len(rates)), {}, None)
    with pytest.raises(Diverged, match=says):
        check(found, torch.tensor(rates))
    check(found._replace(loss=torch.tensor(1.0)), torch.tensor([0.0, 0.1]))
