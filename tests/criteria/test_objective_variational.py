"""The plain conditional VAE, against torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from dreamlib.criteria import Batch, Variational
from dreamlib.criteria.variational import divergence
from dreamlib.networks import EncoderNetwork, initialise


def randoms(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=source) for shape in shapes]


def test_the_divergence_is_that_of_torch_distributions() -> None:
    mean, log_variance = randoms((5, 7), (5, 7))
    ours = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    prior = Independent(Normal(torch.zeros(5, 7), torch.ones(5, 7)), 1)
    torch.testing.assert_close(divergence(mean, log_variance), kl_divergence(ours, prior))
    assert float(divergence(torch.zeros(1, 3), torch.zeros(1, 3))) == 0


def batch(count: int = 4, noise: int = 3) -> Batch:
    real, drawn, extra = randoms((count, 1, 2, 5), (count, noise), (count, noise))
    labels = torch.arange(count) % 2
    return Batch(real, labels, drawn, extra, torch.zeros(count), drawn, labels)


def test_the_loss_is_the_negative_evidence_bound_at_the_best_variance() -> None:
    given = batch()
    mean, log_variance = randoms((4, 3), (4, 3), seed=1)
    matrix = randoms((3, 10), seed=2)[0]

    def decode(code: Tensor, labels: Tensor) -> Tensor:
        return (code @ matrix).view(4, 1, 2, 5) + labels.view(4, 1, 1, 1)

    loss, decoded = Variational().generator_loss(decode, lambda x, y: (mean, log_variance), given)
    expected = decode(mean + (log_variance / 2).exp() * given.noise, given.labels)
    torch.testing.assert_close(decoded, expected)
    # Whatever one variance is tried, the likelihood of the pixels is not better than with the one of the loss.
    constant = 10 / 2 * (math.log(2 * math.pi) + 1)
    kl = float(divergence(mean, log_variance).mean())

    def bound(std: float) -> float:
        return float(-Normal(expected, std).log_prob(given.real).sum((1, 2, 3)).mean()) + kl

    error = float((expected - given.real).square().mean())
    assert float(loss) + constant == pytest.approx(bound(math.sqrt(error)), rel=1e-4)
    assert all(bound(math.sqrt(error) * off) > bound(math.sqrt(error)) for off in (0.7, 0.9, 1.1, 1.4))


def test_the_partner_is_an_encoder_of_the_generators_noise_and_learns_with_it() -> None:
    how = Variational()
    encoder = how.partner((1, 8, 8), 2, 3, 4)
    assert isinstance(encoder, EncoderNetwork)
    assert how.joint
    initialise(encoder, torch.Generator().manual_seed(0))
    maker = nn.Linear(3, 64)
    real, noise = randoms((4, 1, 8, 8), (4, 3))
    labels = torch.arange(4) % 2
    given = Batch(real, labels, noise, noise, torch.zeros(4), noise, labels)
    loss, _ = how.generator_loss(lambda z, y: maker(z).view(4, 1, 8, 8), encoder, given)
    gradients = torch.autograd.grad(loss, [*maker.parameters(), *encoder.parameters()])
    assert all(bool(gradient.abs().sum() > 0) for gradient in gradients)
    assert how.partner_loss(maker, encoder, given) is None
