"""Logits matching, and the other matchers on a batch of many classes (labels (1, B)), as DiM uses them."""

from __future__ import annotations

import pytest
import reference
import torch
from test_matchers import network
from tiny import NETWORK, generator
from torch import Tensor
from torch.nn.functional import cross_entropy

from dreamlib.core.errors import UnknownName
from dreamlib.matchers import MATCHERS, Feature, Gradient, Logits, Matcher, measure_under

SHAPE, B = (3, 16, 16), 5
LABELS = torch.tensor([[2, 0, 1, 1, 0]])


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    source = generator(3)
    return tuple(torch.randn(1, B, *SHAPE, generator=source) for _ in range(2))


@pytest.mark.parametrize("scale", ["raw", "log-softmax"])
def test_pairs_of_images_are_compared_one_by_one(pair: tuple[Tensor, Tensor], scale: str) -> None:
    net, matcher = network(NETWORK, SHAPE), Logits(scale)
    total = torch.zeros(())
    for one, other in zip(pair[0][0], pair[1][0], strict=True):
        a, b = net(one[None])[0], net(other[None])[0]
        if scale == "log-softmax":
            a, b = a - a.exp().sum().log(), b - b.exp().sum().log()
        total = total + ((a - b) ** 2).mean() / B
    measured = [matcher.measure(net, images, LABELS, False) for images in pair]
    found = matcher.distance(*measured)
    assert float(found) == pytest.approx(float(total), rel=1e-5)
    assert float(matcher.distance(measured[0], measured[0])) == 0
    mixed = pair[1][:, torch.tensor([1, 0, 2, 3, 4])]  # other pairs, another distance
    assert float(matcher.distance(measured[0], matcher.measure(net, mixed, LABELS, False))) != pytest.approx(
        float(found), rel=1e-3
    )


def test_groups_add_up(pair: tuple[Tensor, Tensor]) -> None:
    net, matcher = network(NETWORK, SHAPE), Logits()
    both = [matcher.measure(net, images.expand(2, -1, -1, -1, -1), torch.arange(2), False) for images in pair]
    one = [matcher.measure(net, images, torch.arange(1), False) for images in pair]
    assert both[0][0].shape == (2, B, 3)
    assert float(matcher.distance(*both)) == pytest.approx(2 * float(matcher.distance(*one)), rel=1e-5)


def test_normalised_logits_do_not_see_what_is_added_to_all() -> None:
    class Shifted(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :3]

    images = torch.randn(1, B, 1, 1, 3, generator=generator())
    for scale, same in (("raw", False), ("log-softmax", True)):
        matcher = Logits(scale)
        a, b = (matcher.measure(Shifted(), made, LABELS, False) for made in (images, images + 2))  # type: ignore[arg-type]  # no whole network
        assert (float(matcher.distance(a, b)) < 1e-10) == same


def test_an_unknown_scale_is_an_error(pair: tuple[Tensor, Tensor]) -> None:
    assert MATCHERS["logits"] is Logits
    with pytest.raises(UnknownName, match="scale of logits 'row'; valid: raw, log-softmax"):
        Logits("row").measure(network(NETWORK, SHAPE), pair[0], LABELS, False)


@pytest.mark.parametrize("layers", ["weights", "convolutions", "classifier"])
def test_gradients_of_a_batch_of_many_classes(pair: tuple[Tensor, Tensor], layers: str) -> None:
    """One group: the gradient of the mean cross-entropy of all its images, each with its own label."""
    net = network(NETWORK, SHAPE)
    found = Gradient("mse", layers).measure(net, pair[0], LABELS, False)
    kinds = {
        "weights": (torch.nn.Conv2d, torch.nn.Linear),
        "convolutions": (torch.nn.Conv2d,),
        "classifier": (torch.nn.Linear,),
    }[layers]
    weights = [m.weight.requires_grad_() for m in net.modules() if isinstance(m, kinds)]
    expected = torch.autograd.grad(cross_entropy(net(pair[0][0]), LABELS[0]), weights)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == (1, *other.shape)
        torch.testing.assert_close(one[0], other, rtol=1e-4, atol=1e-6)


def test_features_of_a_batch_of_many_classes(pair: tuple[Tensor, Tensor]) -> None:
    net = network(NETWORK, SHAPE)
    real, made = (Feature().measure(net, images, LABELS, False) for images in pair)
    means = [net.features(images[0]).mean(0) for images in pair]
    torch.testing.assert_close(real[0][0], means[0])
    expected = reference.distance("mse", [means[0]], [means[1]])
    torch.testing.assert_close(Feature().distance(real, made), expected)


@pytest.mark.parametrize("matcher", [Logits(), Logits("log-softmax"), Feature(), Gradient("mse")])
def test_the_generated_side_can_be_differentiated_and_the_real_one_costs_no_graph(
    pair: tuple[Tensor, Tensor], matcher: Matcher
) -> None:
    net = network(NETWORK, SHAPE)
    images = pair[1].clone().requires_grad_()
    under = dict(net.state_dict())
    with torch.enable_grad():
        real = measure_under(under, matcher, net, pair[0], LABELS, False)
        made = measure_under(under, matcher, net, images, LABELS, True)
        loss = matcher.distance([value.detach() for value in real], made)
    assert not any(value.requires_grad for value in real)
    (gradient,) = torch.autograd.grad(loss, images)
    assert bool(torch.isfinite(gradient).all())
    # Against a difference quotient along the gradient itself.
    step = 1e-2 * gradient / gradient.norm()
    with torch.enable_grad():
        up, down = (
            float(
                matcher.distance(
                    real, measure_under(under, matcher, net, images.detach() + move, LABELS, True)
                ).detach()
            )
            for move in (step, -step)
        )
    assert (up - down) / 2e-2 == pytest.approx(float(gradient.norm()), rel=0.02)
