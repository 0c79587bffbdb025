"""What an objective is: the losses of a generator, and of a partner network trained with it.

A generator trained by an objective alone is a generative model (a GAN, say); with a matcher added it is DiM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from ..core.registry import Registry

Called = Callable[..., Any]  # a network with its current weights


@dataclass(frozen=True)
class Batch:
    """The inputs of one step, N images. All random numbers are drawn beforehand, so that a loss is a pure function.

    Attributes
    ----------
    real : Tensor
        (N, c, h, w) real images in [-1, 1].
    labels : Tensor
        (N,) int64, their classes. The images of the generator's own step have the same labels, position by position.
    noise : Tensor
        (N, K) standard normal, the noise of those images.
    extra : Tensor
        (N, K) standard normal, for an objective that needs more.
    uniform : Tensor
        (N,) in [0, 1), likewise.
    other_noise, other_labels : Tensor
        (N, K) and (N,): noise and labels of the generated images in the partner's own step. Drawn independently, or the
        same as ``noise`` and ``labels``; see ``Generative.independent_draws``.
    """

    real: Tensor
    labels: Tensor
    noise: Tensor
    extra: Tensor
    uniform: Tensor
    other_noise: Tensor
    other_labels: Tensor


class Objective(Protocol):
    """The losses of a generative model. Implementations are frozen dataclasses.

    A step updates the partner (a discriminator, say) by ``partner_loss``, where there is one, and the generator by
    ``generator_loss``, in the order of the recipe (``Generative.generator_first``). With ``joint`` the partner (an
    encoder, say) is updated by ``generator_loss`` too.
    Generators map (noise (N, K), labels (N,)) to images (N, c, h, w) in [-1, 1].
    """

    @property
    def joint(self) -> bool: ...

    def partner(
        self, shape: tuple[int, int, int], num_classes: int, noise: int, width: int
    ) -> nn.Module | None:
        """The network trained with a generator of that noise and width; None where there is none."""
        ...

    def partner_loss(self, generator: Called, partner: Called, batch: Batch) -> Tensor | None:
        """Scalar to be minimised by the partner; None where it has no loss of its own.

        Images are generated from ``batch.other_noise`` and ``batch.other_labels``.
        """
        ...

    def generator_loss(
        self, generator: Called, partner: Called | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Scalar to be minimised by the generator, and the images (N, c, h, w) it generated from ``batch.noise``."""
        ...


OBJECTIVES: Registry[Objective] = Registry("objective")
register = OBJECTIVES.register
