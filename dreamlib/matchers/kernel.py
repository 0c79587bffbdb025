"""Vanilla MMD in pixel space: DM without its embedding (DM supplement, section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import BadValue, unknown
from ..networks import Network
from .base import exact, register

# The kernels that the supplement of DM tried in pixel space (section 2.2).
KERNELS = ("linear", "polynomial", "rbf", "laplacian")


@register("kernel")
@dataclass(frozen=True)
class Kernel:
    """Squared maximum mean discrepancy between the pixels of real and synthetic images, class by class.

    Gretton et al. 2012, Eq. 5 (every pair counts, also of an image with itself)::

        mean k(r, r') + mean k(s, s') - 2 mean k(r, s)

    No network takes part. For images x, y of D numbers, each of about unit variance once normalised::

        linear       <x, y>                                     the squared distance of the mean images
        polynomial   D * (<x, y> / D + offset) ** degree
        rbf          D * exp(-|x - y|^2 / (2 * bandwidth^2 * D))
        laplacian    D * exp(-|x - y|_1 / (bandwidth * D))

    All are D times a function of means over the D numbers, so one setting means the same for images of any size, and
    one learning rate has about the same effect with all kernels. The supplement names the kernels and neither their
    formulas nor their settings: those are ours.

    Parameters
    ----------
    kernel : str
        One of :data:`KERNELS`.
    degree : int
        Of the polynomial, at least 1.
    offset : float
        Added by the polynomial: how much products of lower degree count. At least 0.
    bandwidth : float
        Of rbf, in root mean squared distances; of laplacian, in mean absolute ones. Above 0. Two unrelated images are
        about 1.4 and 1.1 apart.

    Raises
    ------
    UnknownName
        For another kernel.
    BadValue
        For a setting outside its range.
    """

    kernel: str = "linear"
    degree: int = 2
    offset: float = 1.0
    bandwidth: float = 1.0

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise unknown("kernel", self.kernel, KERNELS)
        if self.degree < 1 or not self.offset >= 0:
            raise BadValue(
                f"polynomial kernel of degree {self.degree} and offset {self.offset}; "
                "expected at least 1 and at least 0",
                "Kernel('polynomial', degree=2, offset=1.0)",
            )
        if not self.bandwidth > 0:
            raise BadValue(f"kernel: bandwidth is {self.bandwidth}; expected more than 0", "bandwidth=1.0")

    def measure(self, network: Network, images: Tensor, labels: Tensor, differentiable: bool) -> list[Tensor]:
        with torch.set_grad_enabled(differentiable):
            # detach as well: flatten() is a view, and a view of images with a graph has a graph in any context.
            points = exact(images if differentiable else images.detach()).flatten(2)
            if self.kernel == "linear":
                # The linear kernel needs no pairs: MMD^2 is the squared distance of the mean images.
                return [points.mean(1)]
            # mean k(r, r') and mean k(s, s') need one set only. Here the real one is computed once, without a gradient.
            return [points, self.mean(points, points)]

    def distance(self, real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
        if self.kernel == "linear":
            return (real[0] - synthetic[0]).square().sum()
        # Gretton et al. 2012, Eq. 5, summed over classes.
        return (real[1] + synthetic[1] - 2 * self.mean(real[0], synthetic[0])).sum()

    def mean(self, left: Tensor, right: Tensor) -> Tensor:
        """Mean kernel (G,) over all pairs of points (G, A, D) and (G, B, D), for the kernels that need the pairs."""
        size = left.shape[2]
        if self.kernel == "laplacian":
            values = (-torch.cdist(left, right, p=1) / (self.bandwidth * size)).exp()
        else:
            products = left @ right.transpose(1, 2)
            if self.kernel == "polynomial":
                values = (products / size + self.offset) ** self.degree
            else:
                # |x - y|^2 = |x|^2 + |y|^2 - 2 <x, y>: one matrix product instead of all A * B differences.
                squares = left.square().sum(2).unsqueeze(2) + right.square().sum(2).unsqueeze(1)
                apart = (squares - 2 * products).clamp(min=0)  # rounding can make it negative
                values = (-apart / (2 * self.bandwidth**2 * size)).exp()
        return size * values.mean((1, 2))
