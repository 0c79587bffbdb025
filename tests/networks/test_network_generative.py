"""The generator of DiM and its discriminator: sizes, parameters, labels, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from tiny import generator
from torch import Tensor, nn

from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.networks import DiscriminatorNetwork, GeneratorNetwork
from dreamlib.networks.generative import doublings


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def noise(images: int, size: int = 12) -> Tensor:
    return torch.randn(images, size, generator=generator())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "times"), [(8, 1), (16, 2), (28, 3), (32, 3), (64, 4)])
def test_images_of_every_size_are_drawn_and_judged(side: int, times: int, channels: int) -> None:
    shape = (channels, side, side)
    assert doublings(shape) == times
    images = GeneratorNetwork(shape, 10, 12, 4)(noise(3), torch.tensor([0, 9, 4]))
    assert images.shape == (3, *shape)
    assert float(images.detach().abs().max()) <= 1
    real, logits = DiscriminatorNetwork(shape, 10, 4)(images)
    assert (real.shape, logits.shape) == ((3,), (3, 10))


def test_published_sizes_have_the_published_parameters() -> None:
    """DiM's released code on 3x32x32: 3.56 and 3.14 million (shared by nobody: counted on the meta device)."""
    with torch.device("meta"):
        made = GeneratorNetwork((3, 32, 32), 10), DiscriminatorNetwork((3, 32, 32), 10)
    assert [round(count(module) / 1e6, 2) for module in made] == [3.56, 3.14]


def test_layers_of_the_generator_are_those_of_figure_4() -> None:
    """Linear to 4x4; up, three convolutions; up, one; up; the image. Batch norm and ReLU after each but the last."""
    body = GeneratorNetwork((3, 32, 32), 10, 12, 4).body
    kinds = [type(layer).__name__ for layer in body]
    normed = {"ConvTranspose2d", "Conv2d"}
    order = [kind for kind in kinds if kind in normed]
    up, flat = "ConvTranspose2d", "Conv2d"
    assert order == [up, flat, flat, flat, up, flat, up, flat]
    assert kinds.count("BatchNorm2d") == kinds.count("ReLU") == len(order) - 1
    assert kinds[-2:] == ["Conv2d", "Tanh"]


def test_the_discriminator_halves_at_layers_2_4_and_8() -> None:
    body = DiscriminatorNetwork((3, 32, 32), 10, 4).body
    strides = [layer.stride[0] for layer in body if isinstance(layer, nn.Conv2d)]
    assert strides == [1, 2, 1, 2, 1, 1, 1, 2]
    norms = [tuple(layer.normalized_shape) for layer in body if isinstance(layer, nn.LayerNorm)]
    assert norms[0] == (4, 32, 32)
    assert norms[-1] == (4, 4, 4)


@pytest.mark.parametrize(("label", "inputs"), [("inside", 12), ("beside", 15)])
def test_the_label_stands_in_the_noise_or_beside_it(label: str, inputs: int) -> None:
    net = GeneratorNetwork((1, 8, 8), 3, 12, 4, label).eval()
    linear = net.start[0]
    assert isinstance(linear, nn.Linear)
    assert linear.in_features == inputs
    z, y = noise(2), torch.tensor([2, 2])
    other = z.clone()
    other[:, :3] += 1  # what the label replaces, where it stands inside
    assert net(z, y).equal(net(other, y)) == (label == "inside")
    other[:, 3] += 1
    assert not net(z, y).equal(net(other, y))
    assert not net(z, y).equal(net(z, torch.tensor([1, 1])))


@pytest.mark.parametrize("shape", [(3, 24, 24), (3, 32, 28), (1, 4, 4), (1, 56, 56), (1, 20, 20)])
def test_images_of_other_sizes_are_refused(shape: tuple[int, int, int]) -> None:
    _, height, width = shape
    for kind in (GeneratorNetwork, DiscriminatorNetwork):
        with pytest.raises(BadValue, match=f"images of {height}x{width}; expected square ones of 8, 16, 28"):
            kind(shape, 3)


def test_a_discriminator_ends_at_64_pixels() -> None:
    assert GeneratorNetwork((1, 128, 128), 3, 12, 2)(noise(2), torch.tensor([0, 1])).shape == (2, 1, 128, 128)
    with pytest.raises(BadValue, match="128x128; expected at most 64x64"):
        DiscriminatorNetwork((1, 128, 128), 3, 2)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (
            {"noise": 10},
            BadValue,
            "K = 10 numbers has no room for the labels of 10 classes.*\n.*noise=11 or more",
        ),
        ({"noise": 0, "label": "beside"}, BadValue, "noise is 0; expected at least 1"),
        ({"width": 0}, BadValue, "width is 0"),
        ({"label": "insied"}, UnknownName, "place of the label 'insied'.*\n.*did you mean 'inside'"),
    ],
)
def test_bad_values_are_named(given: dict[str, object], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        GeneratorNetwork((1, 8, 8), 10, **given)  # type: ignore[arg-type]  # wrong ones, on purpose
    assert GeneratorNetwork((1, 8, 8), 10, noise=1, width=2, label="beside").noise == 1
    with pytest.raises(BadValue, match="discriminator: width is 0"):
        DiscriminatorNetwork((1, 8, 8), 10, 0)
