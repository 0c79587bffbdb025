"""The generator as a container: an image depends on its noise and its label, and on nothing around it."""

from __future__ import annotations

import pytest
import torch
from tiny import generator
from torch import nn

from dreamlib.containers import CONTAINERS, Drawing, Generator, drawing
from dreamlib.containers import generator as module
from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.data import Normalisation

SHAPE, CLASSES = (1, 8, 8), 4
SMALL = Generator(noise=6, width=4)
NORMALISATION = Normalisation("test", (0.3,), (0.2,))


@pytest.fixture
def made() -> Drawing:
    """With statistics that a training would have left."""
    net = SMALL.module(SHAPE, CLASSES)
    for number, weight in enumerate(
        net.parameters()
    ):  # fresh ones of this width give one grey for everything
        nn.init.normal_(weight, 0, 0.5, generator=generator(number))
    for layer in net.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(layer.running_mean, 0, 0.1, generator=generator(1))
            nn.init.uniform_(layer.running_var, 0.5, 1.5, generator=generator(2))
    return Drawing(net.train(), SMALL.noise, NORMALISATION)


def test_an_image_is_the_same_alone_and_among_others(made: Drawing) -> None:
    labels = torch.arange(CLASSES).repeat(3)
    images = made.unit(labels, generator())
    noise = torch.randn(12, 6, generator=generator())
    for number in range(12):
        with torch.no_grad():
            alone = made.generator(noise[number : number + 1], labels[number : number + 1])
        torch.testing.assert_close(images[number], (alone[0] + 1) / 2, rtol=0, atol=1e-6)
    swapped = labels.clone()
    swapped[0] = 3
    other = made.unit(swapped, generator())
    assert not other[0].equal(images[0])
    torch.testing.assert_close(other[1:], images[1:])


def test_the_same_stream_gives_the_same_bits(made: Drawing) -> None:
    labels, stream = torch.arange(CLASSES), generator()
    first, second = made.unit(labels, stream), made.unit(labels, stream)
    assert first.equal(made.unit(labels, generator()))
    assert not second.equal(first)
    assert 0 <= float(first.min()) < float(first.max()) <= 1


def test_drawing_leaves_the_generator_as_it_is_and_follows_nobody_elses_stream(made: Drawing) -> None:
    before = {name: value.clone() for name, value in made.generator.state_dict().items()}
    state = torch.get_rng_state()
    images = made.unit(torch.arange(CLASSES), generator())
    assert not images.requires_grad
    assert state.equal(torch.get_rng_state())
    assert all(value.equal(before[name]) for name, value in made.generator.state_dict().items())


def test_labels_of_any_shape_and_number(made: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.arange(CLASSES).expand(3, CLASSES)
    images = made.unit(labels, generator())
    assert images.shape == (3, CLASSES, *SHAPE)
    assert images.flatten(0, 1).equal(made.unit(labels.flatten(), generator()))
    monkeypatch.setattr(module, "AT_ONCE", 5)
    torch.testing.assert_close(made.unit(labels, generator()), images)
    torch.testing.assert_close(made.draw(labels, generator()), (images - 0.3) / 0.2)


def test_what_is_stored_draws_the_same_images(made: Drawing) -> None:
    stored = {name: value.clone() for name, value in made.generator.state_dict().items()}
    again = drawing(SMALL, stored, SHAPE, CLASSES, NORMALISATION)
    labels = torch.arange(CLASSES)
    assert again.draw(labels, generator()).equal(made.draw(labels, generator()))
    assert not any(weight.requires_grad for weight in again.generator.parameters())
    with pytest.raises(RuntimeError, match="size mismatch"):
        drawing(Generator(noise=6, width=8), stored, SHAPE, CLASSES, NORMALISATION)


def test_a_generator_says_what_it_cannot_draw() -> None:
    assert CONTAINERS["generator"] is Generator
    assert Generator() == Generator(noise=100, width=196, label="inside", architecture="dim")
    assert Generator().space == "unit"
    Generator().check((3, 32, 32), 10)
    with pytest.raises(BadValue, match="24x24"):
        Generator().check((3, 24, 24), 10)
    with pytest.raises(BadValue, match="no room for the labels of 100 classes"):
        Generator().check((3, 32, 32), 100)
    Generator(label="beside").check((3, 32, 32), 100)
    for betas in ((1.5, 0.9), (0.5,)):
        with pytest.raises(BadValue, match=r"betas are .*expected two numbers in \[0, 1\)"):
            Generator(betas=betas).check((3, 32, 32), 10)
    for lr in (-0.1, float("nan"), "a"):
        with pytest.raises(BadValue, match=f"lr is {lr!r}; expected a number of at least 0"):
            Generator(lr=lr).check((3, 32, 32), 10)
    with pytest.raises(UnknownName, match=r"unknown generator 'dime'.*\n.*did you mean 'dim'"):
        Generator(architecture="dime").check((3, 32, 32), 10)
