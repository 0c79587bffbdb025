"""Matchers against the loop over classes: measurements, distances, and what they teach the images."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import generator
from torch import Tensor, nn

from dreamlib.core.errors import UnknownName
from dreamlib.matchers import MATCHERS, Feature, Gradient, classwise, distance, matched_weights
from dreamlib.matchers.base import Weighing
from dreamlib.networks import Network, NetworkSpec, build, initialise

SPECS = {
    **{norm: NetworkSpec(width=8, depth=2, norm=norm) for norm in ("instance", "layer", "group", "none")},
    "resnet10": NetworkSpec("resnet10", width=8),
    "resnet10ap": NetworkSpec("resnet10ap", width=8),
    "swish, max": NetworkSpec(width=8, depth=1, activation="swish", pooling="max"),
    "grey 28": NetworkSpec(width=4, depth=3),
}


def network(spec: NetworkSpec, shape: tuple[int, int, int], classes: int = 3, seed: int = 0) -> Network:
    net = build(spec, shape, classes)
    initialise(net, generator(seed))
    for layer in net.modules():  # norms start as identities: give their scales and shifts something to do
        if isinstance(layer, nn.GroupNorm):
            nn.init.normal_(layer.weight, 1, 0.3, generator=generator(seed))
            nn.init.normal_(layer.bias, 0, 0.3, generator=generator(seed + 1))
    return net.requires_grad_(False)


def batches(
    shape: tuple[int, int, int], classes: int = 3, real: int = 5, synthetic: int = 2
) -> tuple[Tensor, Tensor]:
    source = generator(7)
    return tuple(torch.randn(classes, count, *shape, generator=source) for count in (real, synthetic))


def close(found: Tensor, expected: Tensor, relative: float) -> None:
    """Relative to the largest entry: small entries are differences of large ones."""
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= relative * float(expected.abs().max())


def shape_of(name: str) -> tuple[int, int, int]:
    return (1, 28, 28) if name == "grey 28" else (3, 16, 16)


@pytest.fixture(params=["convolutions", "patches"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to the weight gradients of a class: a CPU's, and a GPU's where the images are few."""
    monkeypatch.setattr(classwise, "UNFOLDED_ON", ("cpu",) if request.param == "patches" else ())


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize("layers", ["weights", "convolutions", "classifier"])
@pytest.mark.parametrize("name", SPECS)
def test_gradients_are_those_of_each_class_alone(name: str, layers: str, differentiable: bool) -> None:
    net, (images, _) = network(SPECS[name], shape_of(name)), batches(shape_of(name))
    labels = torch.tensor([2, 0, 1])
    found = Gradient(layers=layers).measure(net, images, labels, differentiable)
    assert all(part.requires_grad == differentiable for part in found)
    expected = [
        reference.class_gradient(net, part, int(label), layers)
        for part, label in zip(images, labels, strict=True)
    ]
    assert len(found) == len(expected[0])
    for layer, gradients in enumerate(zip(*expected, strict=True)):
        close(found[layer].detach(), torch.stack(gradients), 1e-5)


def loop(
    matcher: Gradient | Feature, net: Network, real: Tensor, synthetic: Tensor, labels: Tensor
) -> tuple[float, Tensor]:
    """Distance and its gradient with respect to the synthetic images, one class at a time."""
    synthetic = synthetic.clone().requires_grad_()
    total = torch.zeros(())
    for row, label in enumerate(labels.tolist()):
        if isinstance(matcher, Gradient):
            target = reference.class_gradient(net, real[row], label, matcher.layers)
            measured = reference.class_gradient(net, synthetic[row], label, matcher.layers, create_graph=True)
        else:
            target = [net.features(real[row]).mean(0).detach()]
            measured = [net.features(synthetic[row]).mean(0)]
        total = total + reference.distance(matcher.metric, target, measured)
    (gradient,) = torch.autograd.grad(total, synthetic)
    return float(total.detach()), gradient


def library(
    matcher: Gradient | Feature, net: Network, real: Tensor, synthetic: Tensor, labels: Tensor
) -> tuple[float, Tensor]:
    synthetic = synthetic.clone().requires_grad_()
    target = [part.detach() for part in matcher.measure(net, real, labels, differentiable=False)]
    total = matcher.distance(target, matcher.measure(net, synthetic, labels, differentiable=True))
    (gradient,) = torch.autograd.grad(total, synthetic)
    return float(total.detach()), gradient


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("metric", ["cosine", "mse", "l1"])
@pytest.mark.parametrize("layers", ["weights", "convolutions", "classifier"])
@pytest.mark.parametrize("name", ["instance", "layer", "resnet10"])
def test_gradient_matching_is_the_loop_over_classes(name: str, layers: str, metric: str) -> None:
    shape, labels = shape_of(name), torch.tensor([0, 2, 1])
    net, matcher = network(SPECS[name], shape), Gradient(metric, layers)
    found, expected = (run(matcher, net, *batches(shape), labels) for run in (library, loop))
    assert found[0] == pytest.approx(expected[0], rel=1e-4)
    close(found[1], expected[1], 1e-4)
    assert float(expected[1].abs().max()) > 0


@pytest.mark.parametrize(
    ("conv", "images", "expected"),
    [
        (nn.Conv2d(3, 4, 3, padding=1), 5, True),
        (nn.Conv2d(3, 4, (1, 5), padding=(0, 2)), 5, True),
        (nn.Conv2d(3, 4, 3, stride=2), 5, False),
        (nn.Conv2d(3, 4, 3, dilation=2), 5, False),
        (nn.Conv2d(3, 4, 3, padding=1), 2**25 // (9 * 3 * 64) + 1, False),
    ],
)
def test_patches_are_for_few_images_and_kernels_that_move_by_one(
    conv: nn.Conv2d, images: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.empty(1, 1, 1, 1).expand(images, 3, 8, 8)
    how = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation}
    assert not classwise._can_unfold(x, conv.weight, how)  # never on a CPU
    monkeypatch.setattr(classwise, "UNFOLDED_ON", ("cpu",))
    assert classwise._can_unfold(x, conv.weight, how) == expected


@settings(max_examples=16, deadline=None, derandomize=True)
@given(
    metric=st.sampled_from(["cosine", "mse", "l1"]),
    layers=st.sampled_from(["weights", "convolutions", "classifier"]),
    classes=st.integers(1, 4),
    real=st.integers(1, 4),
    synthetic=st.integers(1, 3),
    shape=st.sampled_from([(1, 8, 8), (3, 8, 12), (2, 9, 7)]),
    norm=st.sampled_from(["instance", "layer", "none"]),
    seed=st.integers(0, 100),
    patched=st.sampled_from([(), ("cpu",)]),
)
def test_gradient_matching_of_any_shape(
    metric: str,
    layers: str,
    classes: int,
    real: int,
    synthetic: int,
    shape: tuple[int, int, int],
    norm: str,
    seed: int,
    patched: tuple[str, ...],
) -> None:
    # Smooth units: at the corner of a ReLU two exact computations may fall on different sides. (l1 has corners of its
    # own, at equal gradients, which random images do not have.)
    spec = NetworkSpec(width=4, depth=2, norm=norm, activation="swish")
    net = network(spec, shape, max(classes, 2), seed).double()
    images = [batch.double() for batch in batches(shape, classes, real, synthetic)]
    labels, matcher = torch.arange(classes), Gradient(metric, layers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classwise, "UNFOLDED_ON", patched)
        found, expected = (run(matcher, net, *images, labels) for run in (library, loop))
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    close(found[1], expected[1], 1e-4)


@pytest.mark.parametrize("metric", ["mse", "l1"])
@pytest.mark.parametrize("name", ["instance", "resnet10"])
def test_feature_matching_is_dm_equation_5(name: str, metric: str) -> None:
    shape, labels = shape_of(name), torch.arange(3)
    net, matcher = network(SPECS[name], shape), Feature(metric)
    found, expected = (run(matcher, net, *batches(shape), labels) for run in (library, loop))
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    close(found[1], expected[1], 1e-5)


def test_feature_distance_sums_squares_of_mean_differences() -> None:
    net, (real, synthetic) = network(SPECS["instance"], (3, 16, 16)), batches((3, 16, 16))
    mean = [[net.features(part).mean(0) for part in images] for images in (real, synthetic)]
    expected = sum(((a - b) ** 2).sum() for a, b in zip(*mean, strict=True))
    assert library(Feature(), net, real, synthetic, torch.arange(3))[0] == pytest.approx(
        float(expected), rel=1e-5
    )


@pytest.mark.parametrize("metric", ["cosine", "mse", "l1"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 3, 3), (1, 5, 7)], ids=["convolution", "linear"])
def test_distances_are_sums_over_classes_and_rows(metric: str, shape: tuple[int, ...]) -> None:
    source = generator(3)
    real, synthetic = (torch.randn(shape, generator=source) for _ in range(2))
    expected = sum(reference.distance(metric, [a], [b]) for a, b in zip(real, synthetic, strict=True))
    assert float(distance(metric, real, synthetic)) == pytest.approx(float(expected), rel=1e-5)
    assert float(distance(metric, real, real)) == pytest.approx(0, abs=1e-4)


def test_the_cosine_distance_ignores_scale_and_stands_rows_of_zeros() -> None:
    real = torch.randn(2, 3, 5, generator=generator())
    assert float(distance("cosine", real, 7 * real)) == pytest.approx(0, abs=1e-4)
    assert float(distance("cosine", real, -real)) == pytest.approx(12, abs=1e-4)
    zeros = torch.zeros_like(real).requires_grad_()
    loss = distance("cosine", real, zeros)
    loss.backward()
    assert float(loss.detach()) == 6
    assert bool(torch.isfinite(zeros.grad).all())


@pytest.mark.parametrize(("layers", "count"), [("weights", 3), ("convolutions", 2), ("classifier", 1)])
def test_the_matched_layers(layers: str, count: int) -> None:
    net = network(SPECS["instance"], (3, 16, 16))
    found = matched_weights(net, layers)
    assert [weight.dim() for weight in found] == ([2] if layers == "classifier" else [4, 4, 2][:count])
    assert all(any(weight is own for own in net.parameters()) for weight in found)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: matched_weights(network(SPECS["none"], (3, 16, 16)), "conv"),
            "choice of layers 'conv'.*convolutions",
        ),
        (
            lambda: distance("l2", torch.ones(1, 2, 3), torch.ones(1, 2, 3)),
            "unknown metric 'l2'.*cosine, mse, l1",
        ),
        (lambda: MATCHERS["gradients"], "unknown matcher 'gradients'"),
    ],
    ids=["layers", "metric", "matcher"],
)
def test_unknown_names_list_the_known(act: Callable[[], object], message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        act()


@pytest.mark.parametrize("matcher", [Gradient(), Feature()], ids=str)
def test_measuring_leaves_the_network_as_it_was(matcher: Gradient | Feature) -> None:
    net, (images, _) = network(SPECS["instance"], (3, 16, 16)), batches((3, 16, 16))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    plain = net(images[0])
    matcher.measure(net, images, torch.arange(3), differentiable=True)
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())
    assert all(weight.grad is None and not weight.requires_grad for weight in net.parameters())
    assert net(images[0]).equal(plain)


@pytest.mark.parametrize("matcher", [Gradient("cosine"), Gradient("mse", "convolutions"), Feature()], ids=str)
def test_classes_in_chunks_give_the_same_sum(matcher: Gradient | Feature) -> None:
    net, (real, synthetic) = network(SPECS["instance"], (3, 16, 16)), batches((3, 16, 16))
    whole, gradient = library(matcher, net, real, synthetic, torch.arange(3))
    parts = [library(matcher, net, real[c], synthetic[c], c) for c in torch.arange(3).split(2)]
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-5)
    close(torch.cat([part for _, part in parts]), gradient, 1e-5)


@pytest.mark.parametrize("matcher", [Feature(), Gradient(), Gradient("mse", "convolutions")], ids=str)
def test_an_image_with_twice_the_share_counts_like_two_of_it(matcher: Weighing) -> None:
    net, labels = network(SPECS["instance"], (3, 16, 16)), torch.arange(3)
    real, _ = batches((3, 16, 16), real=3)
    twice = torch.cat([real, real[:, :1]], dim=1)
    shares = torch.tensor([0.5, 0.25, 0.25]).expand(3, 3)
    pairs = zip(
        matcher.measure(net, real, labels, False, shares),
        matcher.measure(net, twice, labels, False),
        strict=True,
    )
    for found, expected in pairs:
        close(found, expected, 1e-5)


def test_mean_features_have_no_rows_to_take_cosines_of() -> None:
    with pytest.raises(UnknownName, match="unknown metric of mean features 'cosine'; valid: mse, l1"):
        Feature("cosine")
