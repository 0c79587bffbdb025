"""Labels that are learned: what they start from, what they are pushed to, and where they are kept."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..core.errors import BadValue


def centred(classes: Tensor, num_classes: int, scale: float = 1.0) -> Tensor:
    """Targets (n, C) of classes (n,): one-hot minus 1/C, so that every row adds up to 0 (KIP, RFAD, FRePo).

    FRePo's learned labels start with ``scale=(10 / num_classes) ** 0.5`` (released code), its targets are not scaled.
    """
    return scale * (one_hot(classes, num_classes).to(torch.get_default_dtype()) - 1 / num_classes)


def margin_loss(labels: Tensor) -> Tensor:
    """FRePo's term for learned labels (n, C): minus how far the largest is above the second, at most 1/C, on average.

    It keeps a label from losing its class, and stops to push at a distance of 1/C (released code).

    Raises
    ------
    BadValue
        For labels of fewer than two classes.
    """
    if labels.dim() != 2 or labels.shape[1] < 2:
        raise BadValue(f"labels {tuple(labels.shape)}; expected (n, C) with at least two classes")
    first, second = labels.topk(2, dim=1).values.unbind(1)
    return -(first - second).clamp(max=1 / labels.shape[1]).mean()


def on_simplex(labels: Tensor) -> Tensor:
    """Labels (n, C) as probabilities: clamped to [0, 1], then divided by the sum of their row (LD, released code).

    A row that is clamped to zeros says nothing, and becomes uniform; the released code divides 0 by 0 there.
    """
    clamped = labels.clamp(0, 1)
    total = clamped.sum(1, keepdim=True)
    return torch.where(total > 0, clamped / total, 1 / labels.shape[1])


def with_mirrored(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, c, h, w) followed by their mirror images, and their labels (n, ...) twice (FRePo's ``use_flip``).

    A ridge regression on both is one on twice as many images; the gradient reaches an image from either side.
    """
    return torch.cat([images, images.flip(-1)]), torch.cat([labels, labels])
