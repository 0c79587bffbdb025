"""Fresh weights: PyTorch's distributions, one explicit generator, nothing else touched."""

import math
import time

import pytest
import torch
from torch import nn

from dreamlib.core.errors import BadValue
from dreamlib.networks import NetworkSpec, build, initialise, names

torch.set_num_threads(1)
SMALL = {"resnet50": 8, "densenet121": 8}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(name: str, norm: str = "batch") -> nn.Module:
    return build(NetworkSpec(name, width=SMALL.get(name, 16), norm=norm), (3, 32, 32), 4)


def flat(module: nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().double().flatten() for value in module.state_dict().values()])


@pytest.mark.parametrize("name", names())
def test_draws_what_pytorch_draws_in_the_same_order(name: str) -> None:
    network = small(name)
    initialise(network, generator(7))
    ours = flat(network)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.reset_parameters()
    # The bounds are computed along another way, so the last bit may differ.
    torch.testing.assert_close(ours, flat(network), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["convnet", "resnet10", "densenet121"])
def test_equal_seeds_equal_bits_whatever_was_there(name: str) -> None:
    network, other = small(name), small(name)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.fill_(7 if value.dtype == torch.int64 else math.nan)
    assert torch.equal(flat(initialise(network, generator(3))), flat(initialise(other, generator(3))))
    assert not torch.equal(flat(network), flat(initialise(other, generator(4))))
    statistics = dict(network.named_buffers())
    assert statistics
    for key, value in statistics.items():
        assert (value == (1 if key.endswith("running_var") else 0)).all()


def test_successive_draws_differ_and_the_generator_moves_on() -> None:
    stream = generator(0)
    first = flat(initialise(small("convnet"), stream))
    assert not torch.equal(first, flat(initialise(small("convnet"), stream)))


def test_bounds_and_variance() -> None:
    network = build(NetworkSpec(), (3, 32, 32), 10)
    initialise(network, generator(11))
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            assert layer.bias is not None
            for value in (layer.weight, layer.bias):
                assert value.abs().max() <= bound
            # 5 standard errors of the mean and of the variance of a uniform distribution
            count = layer.weight.numel()
            assert abs(layer.weight.mean()) < 5 * bound / math.sqrt(3 * count)
            error = 5 * math.sqrt(4 / 45 / count)
            assert abs(layer.weight.var() / bound**2 - 1 / 3) < error
        elif isinstance(layer, nn.GroupNorm):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()


def test_convolutions_of_dims_resnets_start_from_hes_normal_distribution() -> None:
    """IDC's and DiM's released code: variance 2 / (kernel size * output channels); the classifier has PyTorch's."""
    network = build(NetworkSpec("resnet18", width=64, norm="batch", form="idc"), (3, 32, 32), 10)
    initialise(network, generator(3))
    before = flat(network)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            count, places = layer.weight.numel(), layer.kernel_size[0] * layer.kernel_size[1]
            variance = 2 / (places * layer.out_channels)
            assert abs(layer.weight.mean()) < 5 * math.sqrt(variance / count)
            assert abs(layer.weight.var() / variance - 1) < 5 * math.sqrt(2 / count)
            assert layer.weight.abs().max() > 2.5 * math.sqrt(variance)  # not a uniform one
        elif isinstance(layer, nn.Linear):
            assert layer.weight.abs().max() <= 1 / math.sqrt(256)
    assert torch.equal(flat(initialise(network, generator(3))), before)
    assert not torch.equal(flat(initialise(network, generator(4))), before)


@pytest.mark.parametrize("name", names())
def test_no_global_generator_is_touched(name: str) -> None:
    before = torch.get_rng_state()
    initialise(small(name), generator(0))
    assert torch.equal(before, torch.get_rng_state())


def test_build_starts_from_seed_0_whatever_the_global_seed() -> None:
    spec = NetworkSpec(width=8)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = flat(build(spec, (1, 8, 8), 3))
        torch.manual_seed(2)
        second = build(spec, (1, 8, 8), 3)
    assert torch.equal(first, flat(second))
    assert torch.equal(first, flat(initialise(second, generator(0))))


def test_weights_that_need_no_gradient_and_weights_that_do() -> None:
    network = build(NetworkSpec(width=8), (1, 8, 8), 3)
    assert all(parameter.requires_grad for parameter in network.parameters())
    pointers = [parameter.data_ptr() for parameter in network.parameters()]
    network.requires_grad_(False)
    assert initialise(network, generator(1)) is network
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert pointers == [parameter.data_ptr() for parameter in network.parameters()]


def test_other_layers_of_generators_and_discriminators() -> None:
    def make() -> nn.Sequential:
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ConvTranspose2d(6, 3, 4), nn.LayerNorm(5))

    module = make()
    initialise(module, generator(2))
    assert module[2].weight.abs().max() <= 1 / math.sqrt(3 * 16)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        expected = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ConvTranspose2d(6, 3, 4), nn.LayerNorm(5)
        )
    torch.testing.assert_close(flat(module), flat(expected), rtol=1e-6, atol=1e-8)


def test_a_layer_nobody_knows_is_an_error() -> None:
    with pytest.raises(BadValue, match=r"Embedding \(at 1\)"):
        initialise(nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 2)), generator(0))


def test_a_generator_elsewhere_is_an_error() -> None:
    network = build(NetworkSpec(), (3, 32, 32), 10, device="meta")
    with pytest.raises(BadValue, match=r"meta.*cpu"):
        initialise(network, generator(0))


def test_speed() -> None:
    network, stream = build(NetworkSpec(), (3, 32, 32), 10), generator(0)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        initialise(network, stream)
        seconds.append(time.perf_counter() - start)
    # 1.5 ms on a machine with nothing else to do; the bound only catches a change of kind.
    assert min(seconds) < 0.05
