"""LD: labels by second-order gradients and by ridge regression, and how they stay probabilities."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from backpropagation import CLASSES, SHAPE, close, differences, fresh, network, normal, probabilities, whole
from torch import Tensor
from torch.func import functional_call

from dreamlib.containers.answers import project
from dreamlib.core.errors import BadValue
from dreamlib.criteria.labels import (
    averaged,
    ridge,
    ridge_labels,
    second_order,
    with_bias,
)
from dreamlib.criteria.unrolled import cross_entropy, forward_of, on_images, weight_gradient

BASE, BATCH = 9, 5
IMAGES, LABELS = normal(BASE, *SHAPE, seed=1), torch.full((BASE, CLASSES), 1 / CLASSES, dtype=torch.float64)
REAL, KNOWN = normal(7, *SHAPE, seed=3), torch.eye(CLASSES, dtype=torch.float64)[[0, 1, 2, 0, 1, 2, 0]]
RATE = torch.tensor([0.01], dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_projected_labels_are_probabilities(seed: int) -> None:
    labels = normal(50, CLASSES, seed=seed)
    assert (labels <= 0).all(1).any()  # a row of which the released code makes 0 / 0
    found = project(labels)
    close(found.sum(1), torch.ones(50, dtype=torch.float64))
    assert (found >= 0).all()
    close(project(found), found, 1e-15)


def test_rows_are_cut_and_divided_by_their_sum() -> None:
    labels = torch.tensor([[0.5, 1.5, -1.0], [0.2, 0.2, 0.1], [-1.0, -2.0, 0.0]])
    expected = torch.tensor([[1 / 3, 2 / 3, 0.0], [0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(project(labels), expected)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_gradient_of_labels_is_backpropagation_through_the_steps(steps: int) -> None:
    module = network()
    forward, start, labels = forward_of(module), fresh(module), probabilities(BASE, CLASSES)
    batches = [torch.tensor([0, 2, 4, 6, 8]), torch.tensor([1, 2, 3]), torch.tensor([8, 0])][:steps]
    final, rates = on_images(forward, REAL, KNOWN), RATE.expand(steps)
    found = second_order(forward, start, IMAGES, labels, batches, rates, final)

    def batch_of(learned: Any, k: int) -> tuple[Tensor, Tensor]:
        return IMAGES[batches[k]], learned["targets"][batches[k]]

    value, by, _ = whole(forward, start, {"targets": labels}, batch_of, rates, final)
    close((found.loss, found.learned), (value, by))
    unseen = set(range(BASE)) - set(torch.cat(batches).tolist())
    assert not found.learned["targets"][sorted(unseen)].any()
    assert found.learned["targets"][batches[0]].all()


def test_the_gradient_of_labels_is_that_of_finite_differences() -> None:
    module = network(activation="swish", depth=1, width=4)
    forward, start, final = forward_of(module), fresh(module), on_images(forward_of(module), REAL, KNOWN)
    batch = torch.arange(BATCH)

    def loss(labels: Tensor) -> Tensor:
        return second_order(forward, start, IMAGES, labels, [batch], 30 * RATE, final).loss

    found = second_order(forward, start, IMAGES, LABELS, [batch], 30 * RATE, final)
    close(found.learned["targets"], differences(loss, LABELS), 1e-7)


def test_one_step_teaches_each_label_how_its_logarithm_would_help() -> None:
    """The inner loss is linear in the labels: dL/dY_ic = rate / B * the derivative of log p_c(x_i) along dL/dtheta'."""
    module = network()
    forward, start = forward_of(module), fresh(module)
    batch, final = torch.tensor([1, 3, 4, 6, 7]), on_images(forward, REAL, KNOWN)
    found = second_order(forward, start, IMAGES, LABELS, [batch], RATE, final)
    g = weight_gradient(forward, start, IMAGES[batch], LABELS[batch])
    after = {name: value - RATE * g[name] for name, value in start.items()}
    u = weight_gradient(forward, after, REAL, KNOWN)

    def log_p(weights: Any) -> Tensor:
        return functional_call(module, weights, (IMAGES[batch],)).log_softmax(1)

    close(found.weights, after)
    step = 1e-6
    ahead, behind = ({n: w + sign * step * u[n] for n, w in start.items()} for sign in (1, -1))
    along = (log_p(ahead) - log_p(behind)) / (2 * step)
    close(found.learned["targets"][batch], RATE / BATCH * along.detach(), 1e-8)
    assert found.learned["targets"].abs().max() > 1e-5


def settled(count: int, features: int, seed: int) -> Tensor:
    return with_bias(normal(count, features, seed=seed))


@pytest.mark.parametrize("penalty", [0.01, 1.0, 10.0])
@pytest.mark.parametrize(("count", "features"), [(4, 9), (9, 4)])
def test_the_ridge_solution_by_kernel_is_the_one_by_features(
    count: int, features: int, penalty: float
) -> None:
    phi, labels = settled(count, features, 0), probabilities(count, CLASSES, seed=1)
    primal = torch.linalg.solve(
        phi.T @ phi + penalty * torch.eye(features + 1, dtype=torch.float64), phi.T @ labels
    )
    close(ridge(phi, labels, penalty), primal)


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan")])
def test_a_ridge_needs_a_penalty(penalty: float) -> None:
    with pytest.raises(BadValue, match="expected above 0"):
        ridge(settled(3, 2, 0), LABELS[:3], penalty)


def test_a_bias_is_a_feature_that_is_always_one() -> None:
    features = normal(4, 3)
    found = with_bias(features)
    close(found[:, :3], features, 0)
    close(found[:, 3], torch.ones(4, dtype=torch.float64), 0)


def test_the_ridge_gradient_is_autograd_and_finite_differences() -> None:
    phi, real, head = settled(BATCH, 6, 0), settled(8, 6, 1), normal(7, CLASSES, seed=2)
    labels, scale = probabilities(BATCH, CLASSES, seed=3), torch.tensor(2.5, dtype=torch.float64)
    known = torch.eye(CLASSES, dtype=torch.float64)[[0, 1, 2, 0, 1, 2, 0, 1]]
    found = ridge_labels(phi, labels, head, scale, real, known, penalty=0.5, share=0.3)
    leaf = labels.clone().requires_grad_()
    mixed = 0.7 * head + 0.3 * ridge(phi, leaf, 0.5)
    logits = scale * (real @ mixed)
    (expected,) = torch.autograd.grad(cross_entropy(logits, known), leaf)
    close((found.labels, found.head, found.logits), (expected, mixed.detach(), logits.detach()))

    def loss(labels: Tensor) -> Tensor:
        return ridge_labels(phi, labels, head, scale, real, known, penalty=0.5, share=0.3).loss

    close(found.labels, differences(loss, labels), 1e-8)


def test_the_head_is_carried_over_with_a_hundredth_of_each_batch() -> None:
    """LD: W <- 0.99 W + 0.01 W_local, with penalty 1; only the new part can be learned through."""
    phi, labels = normal(BATCH, 6).requires_grad_(), probabilities(BATCH, CLASSES).requires_grad_()
    head = normal(6, CLASSES, seed=2).requires_grad_()
    found = averaged(head, phi, labels)
    local = torch.linalg.solve(phi.T @ phi + torch.eye(6, dtype=torch.float64), phi.T @ labels)
    close(found, 0.99 * head + 0.01 * local)
    by_labels, by_features, by_head = torch.autograd.grad(
        found.sum(), (labels, phi, head), materialize_grads=True
    )
    assert by_labels.all()
    assert by_features.all()
    assert not by_head.any()
    step = ridge_labels(
        phi.detach(), labels.detach(), head.detach(), torch.ones(()).double(), phi.detach(), labels.detach()
    )
    close(step.head, found.detach())
