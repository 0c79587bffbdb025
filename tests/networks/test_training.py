"""Stacked training against single networks trained one by one with torch.optim.SGD."""

from __future__ import annotations

import pytest
import reference
import torch
from tiny import NETWORK, generator
from torch import Tensor

from dreamlib.core.errors import BadValue, Diverged
from dreamlib.networks import Network, NetworkSpec, build, initialise
from dreamlib.networks.training import SGD, SquaredError, Stack, Training, module_from, sgd_update

SHAPE, CLASSES, SIZE = (1, 8, 8), 4, 22
IMAGES = torch.randn(SIZE, *SHAPE, generator=generator(1))
LABELS = torch.arange(SIZE) % CLASSES
BATCH_NORM = NetworkSpec(width=8, depth=2, norm="batch")


def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
    return IMAGES[index], LABELS[index]


def training(settings: SGD, spec: NetworkSpec = NETWORK, count: int = 3, seed: int = 0) -> Training:
    source = generator(seed)
    return Training(Stack(spec, SHAPE, CLASSES, count, source), fetch, SIZE, settings, source)


def singles(stack: Stack, spec: NetworkSpec) -> list[Network]:
    out = []
    for k in range(stack.count):
        network = build(spec, SHAPE, CLASSES)
        network.load_state_dict({name: value[k] for name, value in stack.tensors.items()})
        out.append(network.train())
    return out


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "spec", [NETWORK, BATCH_NORM, NetworkSpec("resnet10", width=8, norm="layer")], ids=str
)
@pytest.mark.parametrize(
    "settings",
    [
        SGD(epochs=4, batch=22, lr=0.05, momentum=0.0, weight_decay=0.0, decay_at=()),
        SGD(epochs=4, batch=8, lr=0.05, momentum=0.9, weight_decay=0.05, decay_at=(0.5, 0.75), decay_by=0.2),
        SGD(epochs=3, batch=8, lr=0.05, decay_at=(0.5,), extra=1, late=1, restarts=True),
    ],
    ids=["plain", "momentum, decay and steps", "one epoch more, and momentum from zero where the rate falls"],
)
def test_a_stack_learns_what_single_networks_learn(settings: SGD, spec: NetworkSpec, count: int) -> None:
    run = training(settings, spec, count)
    networks = singles(run.stack, spec)
    batches: list[Tensor] = []
    run.watch = lambda index, correct: batches.append(index)
    while not run.done:
        run.advance()
    assert len(batches) == run.steps == run.step
    assert run.steps == (settings.epochs + settings.extra) * run.per_epoch
    for k, network in enumerate(networks):
        own = [(*fetch(index[k]), step // run.per_epoch) for step, index in enumerate(batches)]
        milestones = {0.5: 2, 0.75: 3}  # half of three epochs is one whole one, and one later is two
        reference.train(
            network,
            own,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            milestones=[milestones[at] for at in settings.decay_at],
            decay_by=settings.decay_by,
            restarts=settings.restarts,
        )
        for name, value in network.state_dict().items():
            torch.testing.assert_close(
                run.stack.tensors[name][k], value, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_the_networks_of_a_stack_are_drawn_one_after_the_other() -> None:
    stack, source = Stack(NETWORK, SHAPE, CLASSES, 3, generator(5)), generator(5)
    for k in range(3):
        network = build(NETWORK, SHAPE, CLASSES)
        initialise(network, source)
        assert all(value.equal(stack.tensors[name][k]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("batch", [5, 22, 100])
def test_every_epoch_shows_every_image_once_to_every_network(batch: int) -> None:
    run = training(SGD(epochs=2, batch=batch, lr=0.0))
    seen: list[Tensor] = []
    run.watch = lambda index, correct: seen.append(index)
    while not run.done:
        run.advance()
    assert run.steps == 2 * -(-SIZE // batch)
    first, second = torch.cat(seen[: run.per_epoch], dim=1), torch.cat(seen[run.per_epoch :], dim=1)
    for order in (first, second):
        assert order.sort(1).values.equal(torch.arange(SIZE).expand(3, -1))
    assert not first.equal(second)
    assert not first[0].equal(first[1])


def test_watch_is_told_what_was_right_before_the_update() -> None:
    run = training(SGD(epochs=1, batch=SIZE, lr=0.5), count=2)
    with torch.no_grad():
        before = run.stack(IMAGES).argmax(2)
    told: list[tuple[Tensor, Tensor]] = []
    run.watch = lambda index, correct: told.append((index, correct))
    run.advance()
    ((index, correct),) = told
    for k in range(2):
        assert correct[k].equal(before[k, index[k]] == LABELS[index[k]])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("spec", [NETWORK, BATCH_NORM], ids=["instance", "batch"])
def test_accuracy_is_that_of_each_network_in_eval_mode(spec: NetworkSpec, count: int) -> None:
    run = training(SGD(epochs=3, batch=8, lr=0.05), spec, count)
    while not run.done:
        run.advance()
    expected = [reference.accuracy(network, IMAGES, LABELS) for network in singles(run.stack, spec)]
    for chunk in (5, 500):
        before = {name: value.clone() for name, value in run.stack.tensors.items()}
        assert run.stack.accuracy(IMAGES.__getitem__, LABELS, chunk) == expected
        assert all(value.equal(before[name]) for name, value in run.stack.tensors.items())
    assert max(expected) > 30
    taken = module_from(run.stack, count - 1)
    assert reference.accuracy(taken, IMAGES, LABELS) == expected[-1]


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        (SGD(epochs=4, lr=1.0, decay_at=(0.5,), decay_by=0.1), [1, 1, 0.1, 0.1]),
        (SGD(epochs=6, lr=1.0, decay_at=(2 / 3, 5 / 6), decay_by=0.5), [1, 1, 1, 1, 0.5, 0.25]),
        (SGD(epochs=3, lr=2.0, decay_at=()), [2, 2, 2]),
        # DC: E // 2 + 2 = 4 epochs at the full rate, of E + 1.
        (SGD(epochs=5, lr=1.0, decay_at=(0.5,), extra=1, late=2), [1, 1, 1, 1, 0.1]),
        # Two thirds of 8 are 5 whole epochs, five sixths 6.
        (SGD(epochs=8, lr=1.0, decay_at=(2 / 3, 5 / 6), decay_by=0.5), [1] * 5 + [0.5] + [0.25] * 2),
    ],
)
def test_the_learning_rate_steps_down(settings: SGD, rates: list[float]) -> None:
    assert [settings.rate(epoch) for epoch in range(settings.epochs)] == pytest.approx(rates)


@pytest.mark.parametrize("steps", [4, 40])
def test_in_a_given_number_of_steps_the_rate_goes_through_its_whole_schedule(steps: int) -> None:
    """Half of the steps at the full rate, whether they are fewer or more than those of all epochs (12)."""
    settings, source = SGD(epochs=4, batch=8, lr=1.0, decay_at=(0.5,), decay_by=0.1), generator()
    run = Training(Stack(NETWORK, SHAPE, CLASSES, 1, source), fetch, SIZE, settings, source, steps=steps)
    assert run.steps == steps
    rates = [run.rate_at(step) for step in range(steps)]
    assert rates == pytest.approx([1.0] * (steps // 2) + [0.1] * (steps // 2))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_update_is_that_of_torch_optim(momentum: float, weight_decay: float) -> None:
    ours = [torch.randn(3, generator=generator()), torch.randn(2, 2, generator=generator(1))]
    theirs = [weight.clone().requires_grad_() for weight in ours]
    velocity = [torch.zeros_like(weight) for weight in ours]
    optimiser = torch.optim.SGD(theirs, lr=0.3, momentum=momentum, weight_decay=weight_decay)
    for step in range(3):
        gradients = [torch.randn(weight.shape, generator=generator(step)) for weight in ours]
        kept = [gradient.clone() for gradient in gradients]
        sgd_update(ours, gradients, velocity, 0.3, momentum, weight_decay)
        for weight, gradient in zip(theirs, gradients, strict=True):
            weight.grad = gradient.clone()
        optimiser.step()
        assert all(a.equal(b) for a, b in zip(gradients, kept, strict=True))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other.detach())


def test_a_training_that_diverged_says_so() -> None:
    run = training(SGD(epochs=3, batch=22, lr=1e30))
    run.check()
    while not run.done:
        run.advance()
    with pytest.raises(Diverged, match="weights are not finite after step 3 of 3") as caught:
        run.check()
    assert "lower the learning rate (now 1e+30)" in caught.value.hint


def test_no_network_is_an_error() -> None:
    with pytest.raises(BadValue, match="0 networks to train"):
        Stack(NETWORK, SHAPE, CLASSES, 0, generator())


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_a_squared_error_is_learned_as_torch_learns_it(count: int, real: bool) -> None:
    """Half the squared error of answers as they are; of classes, one-hot less 1 / C (facts 7 and 9)."""
    answers = torch.randn(SIZE, CLASSES, generator=generator(2)) if real else LABELS
    wanted = answers if real else torch.eye(CLASSES)[LABELS] - 1 / CLASSES
    how, source = SquaredError(epochs=3, batch=8, lr=0.05, decay_at=()), generator(0)
    stack = Stack(NETWORK, SHAPE, CLASSES, count, source)
    networks, batches = singles(stack, NETWORK), []

    def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
        batches.append(index)
        return IMAGES[index], answers[index]

    run = Training(stack, fetch, SIZE, how, source)
    while not run.done:
        run.advance()
    for k, network in enumerate(networks):
        optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        for index in batches:
            optimiser.zero_grad()
            error = network(IMAGES[index[k]]) - wanted[index[k]]
            (error.square().sum(1).mean() / 2).backward()
            optimiser.step()
        for name, value in network.named_parameters():
            torch.testing.assert_close(run.stack.tensors[name][k], value.detach(), rtol=1e-3, atol=1e-4)
