"""Distribution matching: DM, and IDC's feature variant, compare mean embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import unknown
from ..networks import Network
from .base import distance, exact, register


@register("feature")
@dataclass(frozen=True)
class Feature:
    """Squared distance between the mean features of real and synthetic images, group by group.

    Distillation passes one group for each class; DiM passes a single group, its batch of all classes.

    With a fresh random network per step it is DM (Eq. 5, the empirical maximum mean discrepancy with a linear kernel
    on the embedding); with IDC's containers and trained networks it is the distribution matching of IDC's released
    code. DREAM's supplement (Eq. 1) says that it averages over channels; this is the mean over images, as in the code.

    Parameters
    ----------
    metric : str
        ``"mse"``, the published choice of both, or ``"l1"``.
    """

    averages: ClassVar[tuple[str, ...]] = ("real", "synthetic")
    metric: str = "mse"

    def __post_init__(self) -> None:
        # Rows of weights have an angle; a mean feature is one number after the other.
        if self.metric not in ("mse", "l1"):
            raise unknown("metric of mean features", self.metric, ("mse", "l1"))

    def measure(
        self,
        network: Network,
        images: Tensor,
        labels: Tensor,
        differentiable: bool,
        shares: Tensor | None = None,
    ) -> list[Tensor]:
        # (G, B, c, h, w) -> (G*B, D) -> (G, B, D) -> (G, D), the mean embeddings of Eq. 5.
        groups, each = images.shape[:2]
        with torch.set_grad_enabled(differentiable):
            features = network.features(images.flatten(0, 1))
            of_group = exact(features).view(groups, each, -1)
            return [of_group.mean(1) if shares is None else torch.einsum("gb,gbd->gd", shares, of_group)]

    def distance(self, real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
        parts = [distance(self.metric, a, b) for a, b in zip(real, synthetic, strict=True)]
        return torch.stack(parts).sum()
