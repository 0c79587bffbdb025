"""The losses of the conditional GAN, by hand and against plain autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import generator
from torch import Tensor, nn

from dreamlib.criteria import OBJECTIVES, Adversarial, Batch
from dreamlib.networks import DiscriminatorNetwork, GeneratorNetwork, initialise

SHAPE, CLASSES, SIZE = (1, 8, 8), 3, 5


def networks() -> tuple[nn.Module, nn.Module]:
    made = GeneratorNetwork(SHAPE, CLASSES, 6, 4).double(), DiscriminatorNetwork(SHAPE, CLASSES, 4).double()
    for number, net in enumerate(made):
        initialise(net, generator(number))
    return made


def batch() -> Batch:
    source = generator(5)
    draw: dict[str, Any] = {"generator": source, "dtype": torch.float64}
    return Batch(
        real=torch.rand(SIZE, *SHAPE, **draw) * 2 - 1,
        labels=torch.tensor([0, 1, 2, 1, 0]),
        noise=torch.randn(SIZE, 6, **draw),
        extra=torch.randn(SIZE, 6, **draw),
        uniform=torch.rand(SIZE, **draw),
        other_noise=torch.randn(SIZE, 6, **draw),
        other_labels=torch.tensor([2, 2, 0, 1, 1]),
    )


class Affine:
    """A judge whose slope is known: how real is a weighted sum of the pixels, and no class is likelier."""

    def __init__(self, slope: float) -> None:
        self.weights = torch.full((64,), slope / 8, dtype=torch.float64)  # of length ``slope``

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1) @ self.weights, images.new_zeros(len(images), CLASSES)


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0, 3.0])
def test_losses_of_a_judge_with_a_known_slope(slope: float) -> None:
    seen, judge = batch(), Affine(slope)
    made = torch.rand(SIZE, *SHAPE, generator=generator(1), dtype=torch.float64)

    def gives(noise: Tensor, labels: Tensor) -> Tensor:
        return made

    chance = torch.log(torch.tensor(3.0)).item()
    real, fake = (float(judge(images)[0].mean()) for images in (seen.real, made))
    expected = fake - real + 2 * chance + 10 * (slope - 1) ** 2
    found = Adversarial().partner_loss(gives, judge, seen)
    assert float(found) == pytest.approx(expected, abs=1e-4)
    found, images = Adversarial().generator_loss(gives, judge, seen)
    assert float(found) == pytest.approx(chance - fake)
    assert images is made
    doubled = float(Adversarial(penalty=20.0).partner_loss(gives, judge, seen))
    assert doubled == pytest.approx(expected + 10 * (slope - 1) ** 2, abs=1e-4)


def test_the_penalty_is_that_of_one_image_after_the_other() -> None:
    """Its value and its gradient by every weight, against a loop over images with autograd on modules."""
    net, judge = networks()
    seen, weights = batch(), list(judge.parameters())
    with torch.no_grad():
        made = net(seen.noise, seen.labels)
    total = torch.zeros((), dtype=torch.float64)
    for real, fake, share in zip(seen.real, made, seen.uniform, strict=True):
        between = (share * real + (1 - share) * fake).unsqueeze(0).requires_grad_()
        (slope,) = torch.autograd.grad(judge(between)[0].sum(), between, create_graph=True)
        total = total + (slope.norm() - 1) ** 2
    expected = total / SIZE
    found = Adversarial()._gradient_penalty(judge, seen, made)
    torch.testing.assert_close(found, expected)
    theirs = torch.autograd.grad(expected, weights, allow_unused=True)
    ours = torch.autograd.grad(found, weights, allow_unused=True)
    assert sum(gradient is not None for gradient in theirs) > 20
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-10)


def test_a_flat_judge_has_a_finite_penalty_to_learn_from() -> None:
    """The root of a slope of 0 has no derivative; a judge that starts there must get away."""
    _, judge = networks()
    for weight in judge.parameters():
        nn.init.zeros_(weight)
    seen = batch()
    loss = Adversarial()._gradient_penalty(judge, seen, seen.real.flip(0))
    gradients = torch.autograd.grad(loss, list(judge.parameters()), allow_unused=True)
    assert float(loss.detach()) == pytest.approx(1, abs=1e-5)
    assert all(bool(torch.isfinite(one).all()) for one in gradients if one is not None)


def test_joining_real_and_generated_images_changes_nothing() -> None:
    net, judge = networks()
    seen = batch()
    net.eval()
    with torch.no_grad():
        made = net(seen.other_noise, seen.other_labels)
    ask = nn.functional.cross_entropy
    (real, of_real), (fake, of_fake) = judge(seen.real), judge(made)
    apart = fake.mean() - real.mean() + ask(of_real, seen.labels) + ask(of_fake, seen.other_labels)
    found = Adversarial(penalty=0.0).partner_loss(net, judge, seen)
    torch.testing.assert_close(found, apart)


def test_a_discriminator_is_shown_images_of_noise_and_labels_of_their_own() -> None:
    """DiM, released code: real images keep their labels, generated ones have others."""
    asked, seen = [], batch()
    judge = Affine(1.0)

    def gives(noise: Tensor, labels: Tensor) -> Tensor:
        asked.append((noise, labels))
        return torch.zeros(len(labels), *SHAPE, dtype=torch.float64)

    Adversarial().partner_loss(gives, judge, seen)
    Adversarial().generator_loss(gives, judge, seen)
    (noise, labels), (own_noise, own_labels) = asked
    assert noise is seen.other_noise
    assert labels is seen.other_labels
    assert own_noise is seen.noise
    assert own_labels is seen.labels


def test_a_discriminator_has_the_slope_of_the_released_code() -> None:
    partner = Adversarial().partner(SHAPE, CLASSES, noise=6, width=7)
    slopes = {layer.negative_slope for layer in partner.modules() if isinstance(layer, nn.LeakyReLU)}
    assert slopes == {0.01}


def test_neither_loss_teaches_the_other_network() -> None:
    net, judge = networks()
    loss = Adversarial().partner_loss(net, judge, batch())
    found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    assert all(one is None for one in found)


def test_its_partner_is_a_discriminator_of_its_width() -> None:
    assert OBJECTIVES["gan"] is Adversarial
    assert OBJECTIVES.name_of(Adversarial()) == "gan"
    assert not Adversarial().joint
    partner = Adversarial().partner(SHAPE, CLASSES, noise=6, width=7)
    assert isinstance(partner, DiscriminatorNetwork)
    assert partner.real.in_features == 7
    assert partner.classify.out_features == CLASSES
