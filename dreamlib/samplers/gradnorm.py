"""Images by the norm of the gradient they cause: the quantity in DREAM's opening figure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ..core.errors import BadValue
from .base import View, register


def gradient_norms(network: nn.Module, images: Tensor, labels: Tensor, chunk: int = 64) -> Tensor:
    """Euclidean norm of the cross-entropy gradient of each image, over all weights.

    Parameters
    ----------
    network : nn.Module
        Any network without batch statistics across images.
    images, labels : Tensor
        (N, c, h, w) normalised, (N,) int64.
    chunk : int
        Images whose gradients are held at once.

    Returns
    -------
    Tensor
        (N,) float32.
    """
    # Detached: grad() below differentiates by its first argument alone.
    weights = {name: value.detach() for name, value in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network, (parameters, buffers), (image.unsqueeze(0),))
        return F.cross_entropy(logits, label.unsqueeze(0))

    # One gradient per image: grad is of a single image, and vmap runs a chunk of images together.
    def norm(image: Tensor, label: Tensor) -> Tensor:
        gradient = grad(loss)(weights, image, label)
        return torch.stack([value.square().sum() for value in gradient.values()]).sum().sqrt()

    parts = zip(images.split(chunk), labels.split(chunk), strict=True)
    return torch.cat([vmap(norm)(x, y) for x, y in parts])


@register("gradient-norm")
@dataclass(frozen=True)
class GradientNormBand:
    """Random images among those whose gradient norm lies in a band of quantiles of their class.

    The control experiment for DREAM's argument that images near the decision boundary (large norm) or deep inside
    the class (small norm) are both poor targets.

    Parameters
    ----------
    low, high : float
        Quantiles, 0 <= low < high <= 1.
    every : int
        Matching steps between two choices.
    pool : int, optional
        Candidates of each class, whose norms are taken; drawn again each time. None is all.
    """

    low: float = 0.25
    high: float = 0.75
    every: int = 10
    pool: int | None = 256

    def choose(self, view: View) -> Tensor:
        if not 0 <= self.low < self.high <= 1:
            raise BadValue(
                f"band low={self.low}, high={self.high}: expected 0 <= low < high <= 1", "low=0.25, high=0.75"
            )
        index, mask = view.candidates(self.pool)
        classes, count = index.shape
        images = view.data.take(index).flatten(0, 1)
        labels = torch.arange(classes, device=index.device).repeat_interleave(count)
        norms = gradient_norms(view.network, images, labels).view(classes, count)
        # argsort twice gives ranks. Half a rank is added so that shares are symmetric about 0.5; padding ranks last.
        rank = norms.masked_fill(~mask, float("inf")).argsort(1).argsort(1) + 0.5
        share = rank / mask.sum(1, keepdim=True)
        inside = (share >= self.low) & (share <= self.high) & mask
        if int(inside.sum(1).min()) < view.batch:
            raise BadValue(
                f"the band {self.low}..{self.high} holds {int(inside.sum(1).min())} images of some class, "
                f"fewer than the real batch {view.batch}",
                "a wider band, more candidates (pool), or a smaller real_batch",
            )
        # The largest random keys inside the band: a draw without replacement in every class at once.
        order = torch.rand(classes, count, generator=view.generator, device=index.device)
        return index.gather(1, order.masked_fill(~inside, -1).topk(view.batch, dim=1).indices)
