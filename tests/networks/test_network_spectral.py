"""Spectral norm, against the singular values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dreamlib.networks import initialise
from dreamlib.networks.spectral import Spectral, SpectralConv2d, SpectralLinear


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


LAYERS = {
    "linear": lambda: SpectralLinear(7, 5),
    "wide": lambda: SpectralLinear(3, 20),
    "one output": lambda: SpectralLinear(9, 1),
    "no bias": lambda: SpectralLinear(10, 6, bias=False),
    "convolution": lambda: SpectralConv2d(4, 6),
    "1x1": lambda: SpectralConv2d(5, 5, 1),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LAYERS)
def test_the_weight_ends_with_a_norm_of_one(name: str, seed: int) -> None:
    layer = initialise(LAYERS[name](), generator(seed))
    with torch.no_grad():
        layer.weight.mul_(7)
        fresh = float(torch.linalg.matrix_norm(layer.normed().flatten(1), ord=2))
        assert 1 - 1e-5 <= fresh <= 1.2  # a product with a unit vector never exceeds the norm
        for _ in range(100):
            layer.normed()
        assert float(torch.linalg.matrix_norm(layer.normed().flatten(1), ord=2)) == pytest.approx(1, abs=1e-3)


def test_a_linear_layer_and_a_convolution_enlarge_nothing() -> None:
    linear, convolution = (initialise(LAYERS[name](), generator()) for name in ("linear", "convolution"))
    for layer, shape, most in ((linear, (50, 7), 1.0), (convolution, (50, 4, 6, 6), 3.0)):
        with torch.no_grad():
            layer.weight.mul_(20)
            layer.bias.zero_()
            for _ in range(100):
                layer.normed()
            x = torch.randn(shape, generator=generator(1))
            # A pixel takes part in nine products of a 3x3 convolution, hence its root.
            grown = layer(x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
        assert float(grown.max()) <= most * 1.001
        assert float(grown.max()) > 0.2


@pytest.mark.parametrize("name", LAYERS)
def test_the_gradient_is_that_of_torchs_own_spectral_norm(name: str) -> None:
    ours = initialise(LAYERS[name](), generator())
    for _ in range(200):
        ours.normed()
    ours.eval()
    weight = ours.weight.detach().clone().requires_grad_()
    exact = weight / torch.linalg.matrix_norm(weight.flatten(1), ord=2)
    direction = torch.randn(weight.shape, generator=generator(2))
    (found,) = torch.autograd.grad((ours.normed() * direction).sum(), ours.weight)
    (expected,) = torch.autograd.grad((exact * direction).sum(), weight)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_the_direction_moves_in_training_alone_and_is_saved() -> None:
    layer = initialise(SpectralLinear(8, 6), generator())
    assert "u" in layer.state_dict()
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    before = layer.u.clone()
    layer.eval()
    first = layer(torch.ones(1, 8))
    assert layer.u.equal(before)
    assert layer(torch.ones(1, 8)).equal(first)
    layer.train()
    layer(torch.ones(1, 8))
    assert not layer.u.equal(before)


def test_two_calls_in_one_loss_can_be_differentiated() -> None:
    layer = initialise(SpectralLinear(8, 6), generator())
    (layer(torch.ones(2, 8)).sum() + layer(torch.zeros(2, 8)).sum()).backward()
    assert layer.weight.grad is not None


def test_fresh_directions_depend_on_the_generator_alone() -> None:
    def drawn(seed: int) -> torch.Tensor:
        module = nn.Sequential(SpectralConv2d(3, 4), SpectralLinear(4, 2))
        with torch.no_grad():
            for value in module.state_dict().values():
                value.fill_(9.0)
        initialise(module, generator(seed))
        return torch.cat([layer.u for layer in module if isinstance(layer, Spectral)])

    before = torch.get_rng_state()
    module = initialise(SpectralConv2d(3, 4), generator())
    torch.set_rng_state(before)
    torch.nn.Conv2d(3, 4, 3)  # what making one takes from the global generator anyway
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    assert float(initialise(SpectralConv2d(3, 4), generator()).u.norm()) == pytest.approx(1)
    assert torch.get_rng_state().equal(after)
    assert module.u.equal(initialise(SpectralConv2d(3, 4), generator()).u)
    assert drawn(0).equal(drawn(0))
    assert not drawn(0).equal(drawn(1))
