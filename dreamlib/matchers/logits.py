"""Logits matching: DiM compares the logits of a generated image and of a real one of the same class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import unknown
from ..networks import Network
from .base import exact, register

SCALES = ("raw", "log-softmax")


@register("logits")
@dataclass(frozen=True)
class Logits:
    """Mean squared difference of the logits of pairs of images (DiM Eq. 5).

    Each synthetic image is compared with the real image at the same position. Unlike the other matchers it therefore
    needs as many synthetic images as real ones.

    Parameters
    ----------
    scale : str
        ``"raw"``: logits as they are (paper). ``"log-softmax"``: normalised to log-probabilities (released code).
    """

    scale: str = "raw"

    def measure(self, network: Network, images: Tensor, labels: Tensor, differentiable: bool) -> list[Tensor]:
        if self.scale not in SCALES:
            raise unknown("scale of logits", self.scale, SCALES)
        groups, each = images.shape[:2]
        with torch.set_grad_enabled(differentiable):
            # (G, B, c, h, w) -> (G*B, classes) -> (G, B, classes).
            logits = exact(network(images.flatten(0, 1)))
            found = logits if self.scale == "raw" else logits.log_softmax(1)
            return [found.view(groups, each, -1)]

    def distance(self, real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
        # The mean over a group's pairs, and the sum over groups, as every matcher's.
        return torch.stack(
            [(a - b).square().mean((1, 2)).sum() for a, b in zip(real, synthetic, strict=True)]
        ).sum()
