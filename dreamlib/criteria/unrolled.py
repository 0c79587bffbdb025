"""Training unrolled over T steps of gradient descent, and the gradient of its end by what it was trained on.

DD learns images and a rate for every step through it, LD learns labels, MTT and TESLA end it at an expert's weights.

Legend: K networks, T steps, B images of a batch, C classes; theta_k the weights before step k, eta_k its rate,
l(theta; X, y) the loss of a batch, L the loss at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ..core.errors import BadValue, Diverged

Tensors = dict[str, Tensor]

# Logits (B, C) of images (B, c, h, w) under one network's weights; of K stacked ones, (K, B, C).
Forward = Callable[[Tensors, Tensor], Tensor]
# Logits (..., B, C) and targets (B, C) to the loss of every network (...).
Loss = Callable[[Tensor, Tensor], Tensor]
# The batch of step k, images and targets (B, C), made of what is learned. It is asked twice for every step and has to
# give the same both times: what it draws is drawn beforehand.
BatchOf = Callable[[Mapping[str, Tensor], int], tuple[Tensor, Tensor]]
# Loss of every network (...) at the end of training, and what else is worth keeping of it (logits, say).
Final = Callable[[Tensors], tuple[Tensor, Any]]
# Runs a pure function of tensors: its key, itself, and its arguments. An engine's ``run`` is one, with the network, the
# loss and the shapes of the weights put in front of the key.
Run = Callable[..., Any]


def call_directly(key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
    """The :data:`Run` that just calls."""
    return function(*arguments)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over a batch of -sum_c y_c log p_c: logits (..., B, C), targets (B, C) of any numbers, to (...)."""
    return -(targets * logits.log_softmax(-1)).sum(-1).mean(-1)


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over a batch of half the squared distance: logits (..., B, C), targets (B, C), to (...)."""
    return (logits - targets).square().sum(-1).mean(-1) / 2


def forward_of(network: nn.Module) -> Forward:
    """How to call ``network`` with other weights, by name: its own give (B, C), K stacked ones give (K, B, C).

    Raises
    ------
    BadValue
        For a network with running statistics: a step of its training is no function of its weights.
    """
    if next(network.buffers(), None) is not None:
        raise BadValue(
            f"{type(network).__name__} keeps running statistics, and its training cannot be unrolled",
            'NetworkSpec(norm="instance")',
        )
    own = {name: value.ndim for name, value in network.named_parameters()}

    def one(weights: Tensors, images: Tensor) -> Tensor:
        logits: Tensor = functional_call(network, weights, (images,))
        return logits

    def forward(weights: Tensors, images: Tensor) -> Tensor:
        stacked = all(weights[name].ndim > ndim for name, ndim in own.items())
        logits: Tensor = vmap(one, in_dims=(0, None))(weights, images) if stacked else one(weights, images)
        return logits

    return forward


def on_images(forward: Forward, images: Tensor, targets: Tensor, loss: Loss = cross_entropy) -> Final:
    """The end of DD and LD: the loss of real images (B, c, h, w) with targets (B, C); their logits are kept."""

    def final(weights: Tensors) -> tuple[Tensor, Tensor]:
        logits = forward(weights, images)
        return loss(logits, targets), logits.detach()

    return final


def in_turn(learned: Mapping[str, Tensor], k: int) -> tuple[Tensor, Tensor]:
    """DD's batches: S steps, stored as images (S, B, c, h, w) and targets (S, B, C), in order and over again."""
    images, targets = learned["images"], learned["targets"]
    return images[k % len(images)], targets[k % len(targets)]


def weight_gradient(
    forward: Forward,
    weights: Tensors,
    images: Tensor,
    targets: Tensor,
    loss: Loss = cross_entropy,
    differentiable: bool = False,
) -> Tensors:
    """The gradient of l(theta; X, y) by the weights, network by network where they are stacked."""
    with torch.enable_grad():
        leaves = weights if differentiable else _leaves(weights)
        # The weights of a network occur in its own loss alone.
        total = loss(forward(leaves, images), targets).sum()
        found = torch.autograd.grad(total, list(leaves.values()), create_graph=differentiable)
    return dict(zip(leaves, found, strict=True))


def gradient_descent(
    forward: Forward,
    start: Tensors,
    batches: Iterable[tuple[Tensor, Tensor]],
    rates: Tensor,
    loss: Loss = cross_entropy,
    run: Run = call_directly,
) -> Iterator[Tensors]:
    """theta_0, then after every step theta_{k+1} = theta_k - eta_k g_k, with g_k its gradient; without a graph."""
    weights = {name: value.detach() for name, value in start.items()}
    yield weights
    step = partial(weight_gradient, forward, loss=loss)
    for (images, targets), rate in zip(batches, rates.detach(), strict=True):
        gradient = run("gradient", step, weights, images.detach(), targets.detach())
        weights = {name: value - rate * gradient[name] for name, value in weights.items()}
        yield weights


class Unrolled(NamedTuple):
    """What :func:`unroll` finds; nothing of it has a graph.

    Attributes
    ----------
    loss : Tensor
        (): L, the mean over the networks.
    learned : dict of str to Tensor
        dL by everything that is learned, of its name and shape.
    rates : Tensor
        (T,): dL by the rate of every step.
    weights : dict of str to Tensor
        theta_T.
    kept : Any
        What the end kept: the logits of :func:`on_images`.
    """

    loss: Tensor
    learned: Tensors
    rates: Tensor
    weights: Tensors
    kept: Any


def unroll(
    forward: Forward,
    start: Tensors,
    learned: Mapping[str, Tensor],
    batch_of: BatchOf,
    rates: Tensor,
    final: Final,
    loss: Loss = cross_entropy,
    curvature: bool = True,
    run: Run = call_directly,
) -> Unrolled:
    """L after T steps of training, and its gradient (DD: Wang et al. 2018, released code).

    With g_k the gradient of step k by the weights, u starts as dL/dtheta_T and goes back to the first step::

        dL/deta_k  = -u . g_k
        dL/d(X, y) = -eta_k * d(u . g_k)/d(X, y)        summed over the steps that X and y occur in
        u         <- u - eta_k * d(u . g_k)/dtheta_k    a product with the Hessian of step k

    This is what backpropagation through all T steps gives. It holds T sets of weights and the graph of one step;
    backpropagation would hold the graphs of all.

    Parameters
    ----------
    forward : callable
        See :func:`forward_of`.
    start : dict of str to Tensor
        theta_0: one network's, or K stacked ones. L is then the mean over them.
    learned : dict of str to Tensor
        What L is differentiated by, apart from the rates; may be empty.
    batch_of : callable
        ``batch_of(learned, k)`` gives images and targets of step k; :func:`in_turn` is DD's.
    rates : Tensor
        (T,): eta_k.
    final : callable
        Gives L of theta_T; see :func:`on_images`.
    loss : callable
        What a step descends: :func:`cross_entropy` or :func:`squared_error`, say.
    curvature : bool
        False leaves u as it started: that a step moves the gradients of those after it is then ignored (TESLA).
    run : callable
        Runs what a step takes, forwards and back: see :data:`Run`.
    """
    leaves = _leaves(learned)
    with torch.no_grad():
        batches = (batch_of(leaves, k) for k in range(len(rates)))
        # 1. Forwards: T steps without a graph. All T + 1 sets of weights are kept, and no activations.
        path = list(gradient_descent(forward, start, batches, rates, loss, run))
    with torch.enable_grad():
        # 2. The loss at the end, and u = dL/dtheta_T.
        end = _leaves(path.pop())
        losses, kept = final(end)
        value = losses.mean()
        u = dict(zip(end, torch.autograd.grad(value, list(end.values())), strict=True))
    by_learned = {name: torch.zeros_like(tensor) for name, tensor in learned.items()}
    by_rates = torch.zeros_like(rates)
    for k in reversed(range(len(rates))):
        # 3. Backwards, step by step: the three formulas above.
        rate = rates[k].detach()
        with torch.enable_grad():
            # Made again with its graph, so that the gradient reaches what is learned through augmentation and decoding.
            batch = batch_of(leaves, k)
        asked = tuple(part.requires_grad for part in batch)
        back = partial(hessian_vector, forward, loss=loss, asked=asked, curvature=curvature)
        given = path.pop(), *(part.detach() for part in batch), u
        along, by_batch, by_weights = run(("hessian", asked, curvature), back, *given)
        by_rates[k] = -along
        # From the batch of the step back to what it was made of.
        if made := [part for part in batch if part.requires_grad]:
            grown = [-rate * part for part in by_batch]
            found = torch.autograd.grad(made, list(leaves.values()), grown, materialize_grads=True)
            by_learned = {name: by_learned[name] + part for name, part in zip(leaves, found, strict=True)}
        # Without curvature u stays dL/dtheta_T at every step (TESLA).
        u = {name: u[name] - rate * by_weights[name] for name in u} if curvature else u
    weights = {name: weight.detach() for name, weight in end.items()}
    return Unrolled(value.detach(), by_learned, by_rates, weights, kept)


def hessian_vector(
    forward: Forward,
    weights: Tensors,
    images: Tensor,
    targets: Tensor,
    u: Tensors,
    loss: Loss = cross_entropy,
    asked: tuple[bool, ...] = (True, True),
    curvature: bool = True,
) -> tuple[Tensor, tuple[Tensor, ...], Tensors]:
    """u . g of one step, and its derivatives: by images and targets, as ``asked``, and by the weights.

    The last is the product of the step's Hessian with u; without ``curvature`` it is not asked for, and empty.
    """
    with torch.enable_grad():
        leaves = _leaves(weights)
        images, targets = (
            part.detach().requires_grad_(yes) for part, yes in zip((images, targets), asked, strict=True)
        )
        # create_graph: u . g is differentiated once more, which gives products with the Hessian without the Hessian.
        g = weight_gradient(forward, leaves, images, targets, loss, differentiable=True)
        along = torch.stack([(u[name] * g[name]).sum() for name in u]).sum()
        batch = [part for part in (images, targets) if part.requires_grad]
        inputs = batch + (list(leaves.values()) if curvature else [])
        # g need not depend on everything: a loss that is linear in some weights has no curvature along them.
        found = torch.autograd.grad(along, inputs, materialize_grads=True) if inputs else ()
    by_weights = dict(zip(leaves, found[len(batch) :], strict=True)) if curvature else {}
    return along.detach(), found[: len(batch)], by_weights


def check(found: Unrolled, rates: Tensor) -> None:
    """Raise :class:`Diverged` for a loss that is no finite number, and for a rate (T,) below 0."""
    wrong = (rates < 0).nonzero().flatten().tolist()
    if wrong:
        raise Diverged(
            f"the learned rate of step {wrong[0]} is {float(rates[wrong[0]]):g}; expected 0 or more",
            "a smaller rate for the rates, or a lower bound for them",
        )
    if not bool(torch.isfinite(found.loss)):
        raise Diverged(
            f"after {len(rates)} steps of training at rates up to {float(rates.max()):g} the loss is "
            f"{float(found.loss)}",
            "lower rates at the start, or fewer steps",
        )


def _leaves(tensors: Mapping[str, Tensor]) -> Tensors:
    return {name: value.detach().requires_grad_() for name, value in tensors.items()}
