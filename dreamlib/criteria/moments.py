"""A generative moment matching network: no partner, only a distance between two sets of images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..core.errors import BadValue
from .objective import Batch, Called, register


@register("gmmn")
@dataclass(frozen=True)
class MomentMatching:
    """The root of the squared MMD between generated and real images (GMMN: Li, Swersky and Zemel 2015, Eq. 2 and 8).

    The kernel is a mean of Gaussians of several widths; made conditional by taking it as 0 between images of different
    classes, so that sums over all pairs (i, j) of a batch of N real x and generated s are sums within classes::

        MMD^2 = sum over y_i = y_j of k(x_i, x_j) + k(s_i, s_j) - 2 k(x_i, s_j), over N^2
        k(a, b) = mean over widths of exp(-|a - b|^2 / (2 * width^2 * D))           D numbers of an image

    Pairs of an image with itself count, as in the paper. They make a small batch favour images that are too alike, so
    the batch has to be large: the paper's has 1,000 images.

    Parameters
    ----------
    widths : tuple of float
        Of the Gaussians, in root mean squared distances between images in [-1, 1]. Above 0.

    Raises
    ------
    BadValue
        For no widths, or one that is not above 0.
    """

    widths: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8, 1.6)

    def __post_init__(self) -> None:
        if not self.widths or not all(width > 0 for width in self.widths):
            raise BadValue(
                f"moment matching with widths {self.widths}; expected one or more, above 0",
                "widths=(0.2, 0.8)",
            )

    @property
    def joint(self) -> bool:
        return False

    def partner(self, shape: tuple[int, int, int], num_classes: int, noise: int, width: int) -> None:
        return None

    def partner_loss(self, generator: Called, partner: Called, batch: Batch) -> None:
        return None

    def generator_loss(
        self, generator: Called, partner: Called | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        generated = generator(batch.noise, batch.labels)
        # The root of MMD^2 (Li et al. 2015); 1e-8, since the root has no derivative at 0.
        return (self.discrepancy(batch.real, generated, batch.labels) + 1e-8).sqrt(), generated

    def discrepancy(self, real: Tensor, generated: Tensor, labels: Tensor) -> Tensor:
        """MMD^2 between images (N, c, h, w) and as many others, of the same ``labels`` (N,)."""
        same, x, s = labels.unsqueeze(1) == labels, real.flatten(1), generated.flatten(1)
        # (N, N) values of all pairs. Those of different classes are masked out, which makes the kernel conditional.
        values = self._kernel(x, x) + self._kernel(s, s) - 2 * self._kernel(x, s)
        return (same * values).mean().clamp(min=0)

    def _kernel(self, left: Tensor, right: Tensor) -> Tensor:
        """The kernel (A, B) of points (A, D) and (B, D)."""
        squares = left.square().sum(1).unsqueeze(1) + right.square().sum(1)
        # |a - b|^2 / D; clamped, since rounding can make it negative.
        apart = (squares - 2 * left @ right.T).clamp(min=0) / left.shape[1]
        kernels = [(-apart / (2 * width**2)).exp() for width in self.widths]
        return sum(kernels[1:], start=kernels[0]) / len(kernels)
