"""What an objective is: the losses of a generator, and of a network that is trained beside it.

A generator trained by an objective alone is a generative model (a GAN, say); with a matcher added it is DiM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from ..core.registry import Registry

Called = Callable[..., Any]  # a network under the weights of the moment


@dataclass(frozen=True)
class Batch:
    """What one step sees. N images; all random numbers are drawn beforehand, so that a loss is a pure function.

    Attributes
    ----------
    real : Tensor
        (N, c, h, w) real images in [-1, 1].
    labels : Tensor
        (N,) int64, their classes. The images that the generator is judged by have the same: a real image of its class
        stands beside each of them.
    noise : Tensor
        (N, K) standard normal, what those images are generated from.
    extra : Tensor
        (N, K) standard normal, for an objective that needs more.
    uniform : Tensor
        (N,) in [0, 1), likewise.
    other_noise, other_labels : Tensor
        (N, K) and (N,): what the images are generated from that the partner learns to tell from real ones. Drawn
        independently, or the same as ``noise`` and ``labels``; see ``Generative.independent_draws``.
    """

    real: Tensor
    labels: Tensor
    noise: Tensor
    extra: Tensor
    uniform: Tensor
    other_noise: Tensor
    other_labels: Tensor


class Objective(Protocol):
    """Says how well a generator does. Implementations are frozen dataclasses.

    A step moves the partner (a discriminator, say) down ``partner_loss``, where there is one, and the generator down
    ``generator_loss``, in the order that a recipe says (``Generative.generator_first``); with ``joint`` the partner (an
    encoder, say) goes down the latter too.
    Generators map (noise (N, K), labels (N,)) to images (N, c, h, w) in [-1, 1].
    """

    @property
    def joint(self) -> bool: ...

    def partner(
        self, shape: tuple[int, int, int], num_classes: int, noise: int, width: int
    ) -> nn.Module | None:
        """The network trained beside a generator of that noise and width; None where there is none."""
        ...

    def partner_loss(self, generator: Called, partner: Called, batch: Batch) -> Tensor | None:
        """Scalar to be lowered by the partner; None where it has none of its own.

        Images are generated from ``batch.other_noise`` and ``batch.other_labels``.
        """
        ...

    def generator_loss(
        self, generator: Called, partner: Called | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Scalar to be lowered by the generator, and the images (N, c, h, w) it generated from ``batch.noise``."""
        ...


OBJECTIVES: Registry[Objective] = Registry("objective")
register = OBJECTIVES.register
