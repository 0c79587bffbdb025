"""BigGAN's generator and discriminator, and the encoder of a VAE: sizes, conditions, what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dreamlib.containers import Generator
from dreamlib.core.errors import BadValue
from dreamlib.networks import (
    BigGANDiscriminator,
    BigGANGenerator,
    DiscriminatorNetwork,
    EncoderNetwork,
    initialise,
)
from dreamlib.networks.spectral import Spectral

SHAPES = [(1, 8, 8), (3, 16, 16), (1, 28, 28), (3, 32, 32), (3, 64, 64)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_in_and_out(shape: tuple[int, int, int]) -> None:
    maker = initialise(BigGANGenerator(shape, 4, noise=6, width=8), generator())
    judge = initialise(BigGANDiscriminator(shape, 4, width=8), generator())
    encoder = initialise(EncoderNetwork(shape, 4, noise=5, width=8), generator())
    labels = torch.tensor([0, 3, 1])
    images = maker(torch.randn(3, 6, generator=generator(1)), labels)
    assert images.shape == (3, *shape)
    assert float(images.detach().abs().max()) <= 1
    assert judge(images, labels).shape == (3,)
    assert [part.shape for part in encoder(images, labels)] == [(3, 5), (3, 5)]


def test_sizes_are_those_the_documentation_says() -> None:
    def count(module: nn.Module) -> float:
        return round(sum(weight.numel() for weight in module.parameters()) / 1e6, 1)

    with torch.device("meta"):
        assert count(BigGANGenerator((3, 32, 32), 10)) == 4.3
        assert count(BigGANDiscriminator((3, 32, 32), 10)) == 4.3


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)], ids=str)
def test_labels_and_noise_both_decide_what_is_drawn_and_judged(shape: tuple[int, int, int]) -> None:
    maker = initialise(BigGANGenerator(shape, 3, noise=6, width=8), generator()).eval()
    judge = initialise(BigGANDiscriminator(shape, 3, width=8), generator()).eval()
    encoder = initialise(EncoderNetwork(shape, 3, noise=2, width=8), generator())
    noise, same = torch.randn(2, 6, generator=generator(1)), torch.zeros(2, dtype=torch.int64)
    images = maker(noise, same)
    assert not torch.allclose(images[0], images[1], atol=1e-3)
    assert not torch.allclose(maker(noise, same + 1), images, atol=1e-3)
    assert not torch.allclose(judge(images, same), judge(images, same + 1))
    assert not torch.allclose(encoder(images, same)[0], encoder(images, same + 1)[0])
    # Evaluation uses what was seen in training: an image does not depend on its neighbours.
    torch.testing.assert_close(maker(noise[:1], same[:1]), images[:1])


def test_every_convolution_and_all_of_the_discriminator_is_under_spectral_norm() -> None:
    judge, maker = BigGANDiscriminator((3, 32, 32), 10, width=8), BigGANGenerator((3, 32, 32), 10, width=8)
    for layer in judge.modules():
        assert isinstance(layer, Spectral) == isinstance(layer, (nn.Conv2d, nn.Linear))
    assert all(isinstance(layer, Spectral) for layer in maker.modules() if isinstance(layer, nn.Conv2d))


def test_equal_seeds_equal_bits_without_the_global_generator() -> None:
    def made(seed: int) -> list[torch.Tensor]:
        torch.randn(1)  # moves the global generator
        module = BigGANGenerator((1, 8, 8), 3, noise=6, width=8)
        return list(initialise(module, generator(seed)).state_dict().values())

    assert all(a.equal(b) for a, b in zip(made(0), made(0), strict=True))
    assert not all(a.equal(b) for a, b in zip(made(0), made(1), strict=True))


def test_it_is_an_architecture_of_the_container() -> None:
    container = Generator(noise=6, width=8, label="beside", architecture="biggan")
    container.check((1, 8, 8), 3)
    assert isinstance(container.module((1, 8, 8), 3), BigGANGenerator)
    with pytest.raises(BadValue, match="labels go to its batch norms, not inside the noise"):
        Generator(architecture="biggan").check((1, 8, 8), 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BigGANGenerator((3, 20, 20), 4), "20x20"),
        (lambda: BigGANGenerator((3, 32, 32), 4, noise=0), "noise is 0"),
        (lambda: BigGANGenerator((3, 32, 32), 4, width=0), "width is 0"),
        (lambda: BigGANDiscriminator((3, 32, 32), 4, width=0), "width is 0"),
        (lambda: EncoderNetwork((3, 32, 32), 4, noise=0), "noise is 0"),
        (lambda: EncoderNetwork((3, 32, 32), 4, width=0), "encoder: width is 0"),
        (lambda: EncoderNetwork((3, 128, 128), 4), "an encoder of images of 128x128"),
        (lambda: DiscriminatorNetwork((3, 128, 128), 4), "a discriminator of images of 128x128"),
    ],
)
def test_what_does_not_fit_is_refused(make: object, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        make()
