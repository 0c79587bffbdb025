"""What a module consists of, read from it."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dreamlib.networks import (
    DiscriminatorNetwork,
    GeneratorNetwork,
    NetworkSpec,
    blocks,
    build,
    forward_operations,
    layers,
    misfit,
    parameter_count,
)
from dreamlib.networks.spec import names

NOISE = (torch.zeros(1, 100), torch.zeros(1, dtype=torch.int64))


def test_the_generator_of_figure_4() -> None:
    module = GeneratorNetwork((3, 32, 32), 10)
    found = blocks(layers(module, *NOISE))
    assert [block.kinds[0] for block in found] == [
        *("Linear", "ConvTranspose2d", "Conv2d", "Conv2d", "Conv2d"),
        *("ConvTranspose2d", "Conv2d", "ConvTranspose2d", "Conv2d"),
    ]
    assert found[0].detail == "100 to 3136"
    assert found[1].detail == "196 to 196, 4x4, stride 2"
    assert [block.shape for block in found[1::4]] == [(196, 8, 8), (196, 16, 16)]
    assert found[-1].kinds == ("Conv2d", "Tanh")
    assert found[-1].shape == (3, 32, 32)
    assert sum(block.parameters for block in found) == parameter_count(module) == 3_559_363


def test_the_discriminator_is_all_there() -> None:
    module = DiscriminatorNetwork((3, 32, 32), 10)
    found = blocks(layers(module, torch.zeros(1, 3, 32, 32)))
    assert [block.shape[-1] for block in found[:8]] == [32, 16, 16, 8, 8, 8, 8, 4]
    assert [block.kinds[0] for block in found[8:]] == ["Linear", "Linear"]
    assert sum(block.parameters for block in found) == parameter_count(module) == 3_137_971


def test_looking_changes_nothing() -> None:
    module = GeneratorNetwork((1, 8, 8), 10, width=4).train()
    module.start[1].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [layer.training for layer in module.modules()]
    layers(module, *NOISE)
    assert [layer.training for layer in module.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(layer._forward_hooks for layer in module.modules())


def test_layers_of_a_network_with_others_inside() -> None:
    network = build(NetworkSpec("resnet10", width=8), (3, 32, 32), 10)
    found = layers(network, torch.zeros(2, 3, 32, 32))
    assert sum(layer.parameters for layer in found) == parameter_count(network)
    assert found[-1].shape == (10,)


@pytest.mark.parametrize(
    ("name", "side", "why"),
    [
        ("vgg11", 8, "halves its images 5 times"),
        ("resnet18", 8, "one pixel"),
        ("vgg11", 32, ""),
        ("alexnet", 8, ""),
    ],
)
def test_misfit_says_why_a_network_is_too_deep(name: str, side: int, why: str) -> None:
    said = misfit(NetworkSpec(name, width=8), (1, side, side), 10)
    assert why in said
    assert bool(said) == bool(why)


def test_the_operations_of_the_published_convnet_are_those_of_its_three_convolutions_and_its_layer() -> None:
    """Two for each product: 32 x 32 pixels of 3 x 9 x 128, 16 x 16 and 8 x 8 of 128 x 9 x 128, and 2048 x 10."""
    products = 32 * 32 * 27 * 128 + (16 * 16 + 8 * 8) * 128 * 9 * 128 + 2048 * 10
    assert forward_operations(NetworkSpec(), (3, 32, 32), 10) == 2 * products


@pytest.mark.parametrize("name", sorted(names()))
def test_operations_are_those_that_pytorch_counts(name: str) -> None:
    spec = NetworkSpec(name)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        build(spec, (3, 32, 32), 10, device="meta").eval()(torch.empty(1, 3, 32, 32, device="meta"))
    assert forward_operations(spec, (3, 32, 32), 10) == counter.get_total_flops()
