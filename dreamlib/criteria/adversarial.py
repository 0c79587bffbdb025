"""The conditional GAN that DiM starts from: an auxiliary-classifier GAN with a gradient penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks import DiscriminatorNetwork
from .objective import Batch, Called, register


@register("gan")
@dataclass(frozen=True)
class Adversarial:
    """A generator against a discriminator that also classifies images (DiM, section 3.3, L_g).

    Discriminator D, with its class loss CE, on real x of class y and generated s::

        D(s) - D(x) + CE(x, y) + CE(s, y') + penalty * (|grad D(m)| - 1)^2      s = G(z', y'), m between x and s
        -D(s) + CE(s, y)                                                          for the generator, s = G(z, y)

    The paper gives Eq. 3; this is what its released code trains (Wasserstein loss with gradient penalty).

    Parameters
    ----------
    penalty : float
        Weight of the gradient penalty.
    slope : float
        Of the discriminator's leaky ReLUs below 0 (released code).
    """

    penalty: float = 10.0
    slope: float = 0.01

    @property
    def joint(self) -> bool:
        return False

    def partner(self, shape: tuple[int, int, int], num_classes: int, noise: int, width: int) -> nn.Module:
        return DiscriminatorNetwork(shape, num_classes, width, self.slope)

    def partner_loss(self, generator: Called, partner: Called, batch: Batch) -> Tensor:
        # D's step leaves the generator as it is, so nothing is differentiated by it.
        with torch.no_grad():
            generated = generator(batch.other_noise, batch.other_labels)
        # Both halves in one pass: with layer norm, an image does not depend on the others of its batch.
        judged, logits = partner(torch.cat([batch.real, generated]))
        real, fake = judged.chunk(2)
        known = torch.cat([batch.labels, batch.other_labels])
        classes = F.cross_entropy(logits, known) * 2  # CE(x, y) + CE(s, y'), each a mean over its half
        return (
            fake.mean()
            - real.mean()
            + classes
            + self.penalty * self._gradient_penalty(partner, batch, generated)
        )

    def _gradient_penalty(self, partner: Called, batch: Batch, generated: Tensor) -> Tensor:
        """(|grad D(m)| - 1)^2 at random points m between real and generated images (Gulrajani et al. 2017, Eq. 3)."""
        share = batch.uniform.view(-1, 1, 1, 1)
        # m is a leaf: the penalty is on the gradient by the image, not on the way back to the generator.
        between = (share * batch.real + (1 - share) * generated).detach().requires_grad_()
        judged = cast(Tensor, partner(between)[0])
        # The sum: each image's D depends on that image alone, so this gives every image's own gradient.
        (gradient,) = torch.autograd.grad(judged.sum(), between, create_graph=True)
        # 1e-12, since the root has no derivative at 0, where a dead discriminator's gradient is.
        return ((gradient.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).square().mean()

    def generator_loss(
        self, generator: Called, partner: Called | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        assert partner is not None
        # -D(s) + CE(s, y), with noise and labels of the generator's own step.
        generated = generator(batch.noise, batch.labels)
        judged, logits = partner(generated)
        return F.cross_entropy(logits, batch.labels) - judged.mean(), generated
