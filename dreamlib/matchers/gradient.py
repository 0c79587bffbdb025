"""Gradient matching: DC, DSA, IDC and DREAM compare the gradients that images give to the network's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import unknown
from ..networks import Network
from .base import distance, exact, register
from .classwise import GroupwiseWeights

LAYERS = ("weights", "convolutions", "classifier")


def matched_weights(network: nn.Module, layers: str) -> list[Tensor]:
    """The weights whose gradients are compared.

    ``"weights"``: of every convolution and linear layer (all weights with more than one dimension; DC, DSA).
    ``"convolutions"``: of convolutions only (IDC and DREAM; released code). ``"classifier"``: of the last layer only
    (DM supplement, section 4).
    """
    if layers not in LAYERS:
        raise unknown("choice of layers", layers, LAYERS)
    # The last linear layer: for random networks its gradient is a function of the features (DM supplement, section 4).
    if layers == "classifier":
        return [[module.weight for module in network.modules() if isinstance(module, nn.Linear)][-1]]
    kinds = (nn.Conv2d, nn.Linear) if layers == "weights" else (nn.Conv2d,)
    return [module.weight for module in network.modules() if isinstance(module, kinds)]


@register("gradient")
@dataclass(frozen=True)
class Gradient:
    """Distance between the loss gradients of real and synthetic images, group by group (DC Eq. 9).

    Distillation passes one group for each class; DiM passes a single group, its batch of all classes.

    Parameters
    ----------
    metric : str
        ``"cosine"`` (DC, DSA), ``"mse"`` (IDC, DREAM on CIFAR and SVHN) or ``"l1"`` (on MNIST, FashionMNIST).
    layers : str
        ``"weights"`` (DC, DSA), ``"convolutions"`` (IDC, DREAM) or ``"classifier"``; see :func:`matched_weights`.
    """

    # The gradient of real images is a mean over hundreds. Rounding it makes the error of the gradient by the images 2 %
    # larger (docs/speed.md); rounding the synthetic side too, a sixth (IPC 1) to a third (IPC 10).
    averages: ClassVar[tuple[str, ...]] = ("real",)
    metric: str = "cosine"
    layers: str = "weights"

    def measure(
        self,
        network: Network,
        images: Tensor,
        labels: Tensor,
        differentiable: bool,
        shares: Tensor | None = None,
    ) -> list[Tensor]:
        groups, each = images.shape[:2]
        with torch.enable_grad(), GroupwiseWeights(matched_weights(network, self.layers), groups) as weights:
            logits = exact(network(images.flatten(0, 1)))
            # (G,) labels of classes become (G*B,) labels of images.
            targets = labels.repeat_interleave(each) if labels.ndim == 1 else labels.flatten()
            # Sum over classes of the mean over a class's images: each copy of a weight gets its class's mean gradient.
            if shares is None:
                loss = F.cross_entropy(logits, targets, reduction="sum") / each
            else:
                loss = (F.cross_entropy(logits, targets, reduction="none") * shares.flatten()).sum()
        # create_graph only for synthetic images: the distance is differentiated by them, through this gradient.
        return list(torch.autograd.grad(loss, weights.copies, create_graph=differentiable))

    def distance(self, real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
        # One weight after the other, as DC's sum over layers (Eq. 10).
        parts = [distance(self.metric, a, b) for a, b in zip(real, synthetic, strict=True)]
        return torch.stack(parts).sum()
