"""The same things by the plainest means: one graph through every step, and finite differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from tiny import generator
from torch import Tensor

from dreamlib.criteria.unrolled import BatchOf, Final, Forward, Loss, Tensors, cross_entropy
from dreamlib.networks import NetworkSpec, build, initialise

SHAPE, CLASSES = (1, 8, 8), 3


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def probabilities(*shape: int, seed: int = 0) -> Tensor:
    return normal(*shape, seed=seed).softmax(-1)


def close(left: Any, right: Any, to: float = 1e-10) -> None:
    torch.testing.assert_close(left, right, rtol=to, atol=to)


def network(**changes: Any) -> torch.nn.Module:
    return build(NetworkSpec(**{"width": 8, "depth": 2} | changes), SHAPE, CLASSES).double()


def fresh(module: torch.nn.Module, seed: int = 0) -> Tensors:
    """Weights of one network."""
    initialise(module, generator(seed))
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def stacked(*weights: Tensors) -> Tensors:
    return {name: torch.stack([one[name] for one in weights]) for name in weights[0]}


def linear(weights: Tensors, images: Tensor) -> Tensor:
    """A network without hidden layers or biases: of (B, F), or of images flattened to that."""
    return images.flatten(1) @ weights["w"]


def whole(
    forward: Forward,
    start: Tensors,
    learned: Mapping[str, Tensor],
    batch_of: BatchOf,
    rates: Tensor,
    final: Final,
    loss: Loss = cross_entropy,
) -> tuple[Tensor, Tensors, Tensor]:
    """L, dL by what is learned and dL by the rates, by backpropagation through a graph of all steps of one network."""
    learned = {name: value.detach().requires_grad_() for name, value in learned.items()}
    rates = rates.detach().clone().requires_grad_()
    weights = {name: value.detach().requires_grad_() for name, value in start.items()}
    for k in range(len(rates)):
        images, targets = batch_of(learned, k)
        total = loss(forward(weights, images), targets)
        slopes = torch.autograd.grad(total, list(weights.values()), create_graph=True)
        weights = {n: w - rates[k] * g for (n, w), g in zip(weights.items(), slopes, strict=True)}
    value = final(weights)[0]
    found = torch.autograd.grad(value, [*learned.values(), rates], materialize_grads=True)
    return value.detach(), dict(zip(learned, found[:-1], strict=True)), found[-1]


def differences(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5) -> Tensor:
    """Central differences of a scalar function, entry by entry."""
    out = torch.empty_like(at)
    for i in range(at.numel()):
        up, down = at.detach().clone(), at.detach().clone()
        up.view(-1)[i] += step
        down.view(-1)[i] -= step
        out.view(-1)[i] = (function(up) - function(down)) / (2 * step)
    return out
