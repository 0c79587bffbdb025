"""Labels learned for fixed images: LD (Bohdal et al. 2020), by second-order gradients or by ridge regression.

Legend: n base images with labels Y (n, C), a batch of B of them, R real images, F features and a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.errors import BadValue
from .unrolled import Final, Forward, Run, Tensors, Unrolled, call_directly, cross_entropy, unroll


def second_order(
    forward: Forward,
    weights: Tensors,
    images: Tensor,
    labels: Tensor,
    batches: Sequence[Tensor],
    rates: Tensor,
    final: Final,
    run: Run = call_directly,
) -> Unrolled:
    """The loss after steps on base images, and its gradient by their labels, ``learned["targets"]``.

    Parameters
    ----------
    forward : callable
        See :func:`~.unrolled.forward_of`.
    weights : dict of str to Tensor
        Of the network that is being trained; K stacked ones likewise.
    images, labels : Tensor
        (n, c, h, w) and Y (n, C).
    batches : sequence of Tensor
        Positions (B,) of the base images of each step; LD takes one step.
    rates : Tensor
        Of each step; LD's is 0.01.
    final : callable
        :func:`~.unrolled.on_images` of real images.
    run : callable
        See :func:`~.unrolled.unroll`.
    """
    return unroll(
        forward,
        weights,
        {"targets": labels},
        lambda learned, k: (images[batches[k]], learned["targets"][batches[k]]),
        rates,
        final,
        run=run,
    )


def with_bias(features: Tensor) -> Tensor:
    """Features (B, F) and a one: (B, F + 1)."""
    return torch.cat([features, torch.ones_like(features[:, :1])], 1)


def ridge(features: Tensor, targets: Tensor, penalty: float = 1.0) -> Tensor:
    """The head W (F, C) that minimises ``|features W - targets|^2 + penalty |W|^2``, by the kernel of the B images.

    It is ``W = features' (features features' + penalty)^-1 targets``.

    Raises
    ------
    BadValue
        For a penalty that is not above 0, with which there may be no such head.
    """
    if not penalty > 0:
        raise BadValue(f"ridge regression with a penalty of {penalty}; expected above 0", "penalty=1.0")
    # By the kernel (B, B), not the covariance (F, F): a batch is smaller than the number of features.
    return features.T @ torch.linalg.solve(_kernel(features, penalty), targets)


def averaged(head: Tensor, features: Tensor, labels: Tensor, share: float = 0.01) -> Tensor:
    """LD's head (F, C), carried over from step to step: a little of the ridge solution of each batch is mixed in.

    The head before is held fixed; features and labels can be differentiated by, as the training of the network does.
    """
    # 0.01 of the new solution in the released code. ``detach``: LD does not differentiate through the steps before.
    return (1 - share) * head.detach() + share * ridge(features, labels)


class RidgeStep(NamedTuple):
    """What :func:`ridge_labels` finds: the loss (), dL/dY of the batch (B, C), the new head, the real logits (R, C)."""

    loss: Tensor
    labels: Tensor
    head: Tensor
    logits: Tensor


@torch.no_grad()
def ridge_labels(
    features: Tensor,
    labels: Tensor,
    head: Tensor,
    scale: Tensor,
    real_features: Tensor,
    real_targets: Tensor,
    penalty: float = 1.0,
    share: float = 0.01,
) -> RidgeStep:
    """Loss of real images under the averaged head, and its gradient by the labels of a batch of base images.

    In closed form: with W the new head, K the kernel of :func:`ridge`, a the scale::

        L = cross entropy of softmax(a * real_features W)
        dL/dW = a * real_features' (softmax - real_targets) / R
        dL/dY = share * K^-1 features dL/dW

    Parameters
    ----------
    features, labels : Tensor
        (B, F) with their bias and (B, C), of base images.
    head : Tensor
        (F, C), zeros at the start.
    scale : Tensor
        (): a, which sharpens the logits. It is learned with the network, on base images, and not here (released code).
    real_features, real_targets : Tensor
        (R, F) with their bias and (R, C), rows of which sum to one.
    penalty : float
        Of the ridge regression, above 0.
    share : float
        Of the batch's own head in the new one.
    """
    local = ridge(features, labels, penalty)
    head = (1 - share) * head + share * local
    logits = scale * (real_features @ head)
    # The gradient of cross-entropy by logits is softmax minus targets.
    by_head = scale * real_features.T @ (logits.softmax(-1) - real_targets) / len(real_features)
    # The head is linear in Y, so that dL/dY is one more solution with the same kernel. No graph is needed.
    by_labels = share * torch.linalg.solve(_kernel(features, penalty), features @ by_head)
    return RidgeStep(cross_entropy(logits, real_targets), by_labels, head, logits)


def _kernel(features: Tensor, penalty: float) -> Tensor:
    return features @ features.T + penalty * torch.eye(
        len(features), dtype=features.dtype, device=features.device
    )
