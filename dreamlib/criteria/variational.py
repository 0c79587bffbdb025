"""A conditional variational autoencoder in its simplest form."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from ..networks import EncoderNetwork
from .objective import Batch, Called, register


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of normal distributions (N, K), of these means and log variances, from the standard one: (N,)."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


@register("vae")
@dataclass(frozen=True)
class Variational:
    """A plain conditional VAE: the evidence bound of Kingma and Welling 2014 (Eq. 3), given the class.

    The encoder, the partner, makes of an image and its label the mean and log variance of K numbers; the generator
    decodes a sample of them. Pixels are Gaussian around the decoded image, with one variance for all. The variance is
    that of the batch's errors, the maximum-likelihood value (Rybkin et al. 2021), so there is no weight between
    reconstruction and KL to choose. Up to constants, for N images of D numbers::

        D / 2 * log(mean squared error) + mean of KL(q(z | x, y), N(0, 1))

    The images it returns are reconstructions: each resembles the real image at the same position.
    """

    @property
    def joint(self) -> bool:
        return True

    def partner(self, shape: tuple[int, int, int], num_classes: int, noise: int, width: int) -> nn.Module:
        return EncoderNetwork(shape, num_classes, noise, width)

    def partner_loss(self, generator: Called, partner: Called, batch: Batch) -> None:
        return None

    def generator_loss(
        self, generator: Called, partner: Called | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        assert partner is not None
        mean, log_variance = partner(batch.real, batch.labels)
        # The reparametrisation z = mean + sigma * noise lets the gradient reach the encoder.
        decoded = generator(mean + (log_variance / 2).exp() * batch.noise, batch.labels)
        error, size = (decoded - batch.real).square().mean(), math.prod(batch.real.shape[1:])
        # 1e-6 bounds the likelihood of a batch that is reconstructed perfectly.
        return size / 2 * (error + 1e-6).log() + divergence(mean, log_variance).mean(), decoded
