"""Each architecture against an independent source: torchvision, a plain chain of functions, or a count."""

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import densenet, resnet, vgg

from dreamlib.core.errors import BadValue
from dreamlib.networks import Network, NetworkSpec, build, parameter_count

torch.set_num_threads(1)

RESNETS: dict[str, tuple[type, list[int]]] = {
    "resnet10": (resnet.BasicBlock, [1, 1, 1, 1]),
    "resnet18": (resnet.BasicBlock, [2, 2, 2, 2]),
    "resnet34": (resnet.BasicBlock, [3, 4, 6, 3]),
    "resnet50": (resnet.Bottleneck, [3, 4, 6, 3]),
    "resnet10ap": (resnet.BasicBlock, [1, 1, 1, 1]),
    "resnet18ap": (resnet.BasicBlock, [2, 2, 2, 2]),
}


def copied(ours: nn.Module, theirs: nn.Module) -> None:
    """Gives our network the other's state; both list it in the order of computation."""
    mine, other = ours.state_dict(), theirs.state_dict()
    assert [value.shape for value in mine.values()] == [value.shape for value in other.values()]
    ours.load_state_dict(OrderedDict(zip(mine, other.values(), strict=True)))


def unlike_fresh(network: nn.Module) -> nn.Module:
    """Optimiser every scale, shift and running statistic away from 0 and 1, so that forgetting one shows."""
    generator = torch.Generator().manual_seed(5)
    for name, value in network.state_dict().items():
        if value.ndim == 1:
            value.add_(0.2 * torch.rand(value.shape, generator=generator))
        assert not name.endswith("var") or (value > 0).all()
    return network


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def instance(channels: int) -> nn.Module:
    return nn.GroupNorm(channels, channels)


def torchvision_resnet(name: str, norm: Callable[[int], nn.Module], side: int) -> nn.Module:
    block, counts = RESNETS[name]
    net = resnet.ResNet(block, counts, num_classes=10, norm_layer=norm)
    averaged = name.endswith("ap")
    if side <= 128:
        net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    if side <= 64:
        net.maxpool = nn.Identity()
    elif averaged:
        net.maxpool = nn.AvgPool2d(2 if side <= 128 else 4)
        net.conv1.stride = (1, 1)
    for layer in (net.layer2, net.layer3, net.layer4) if averaged else ():
        first = layer[0]
        first.conv1.stride = first.downsample[0].stride = (1, 1)
        # A second ReLU changes nothing behind an average of what a first one left.
        first.bn1 = nn.Sequential(first.bn1, nn.ReLU(), nn.AvgPool2d(2))
        first.downsample = nn.Sequential(first.downsample[0], nn.AvgPool2d(2), first.downsample[1])
    return net


@pytest.mark.parametrize(
    ("name", "norm", "side"),
    [
        ("resnet10", "instance", 32),
        ("resnet18", "batch", 32),
        ("resnet34", "batch", 16),
        ("resnet50", "batch", 16),
        ("resnet10ap", "instance", 32),
        ("resnet18ap", "batch", 20),
        ("resnet10", "batch", 72),
        ("resnet10ap", "instance", 72),
        ("resnet18", "batch", 136),
        ("resnet10ap", "instance", 136),
    ],
)
def test_resnets_are_torchvisions(name: str, norm: str, side: int) -> None:
    ours = build(NetworkSpec(name, norm=norm), (3, side, side), 10).eval()
    with torch.random.fork_rng():
        theirs = torchvision_resnet(name, instance if norm == "instance" else nn.BatchNorm2d, side).eval()
    assert parameter_count(ours) == parameter_count(theirs)
    copied(ours, unlike_fresh(theirs))
    x = images(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("name", "count"), [("resnet10", 1), ("resnet18", 2), ("resnet34", 5), ("resnet50", 8)]
)
def test_resnets_of_dims_released_code_have_equal_stages_of_basic_blocks(name: str, count: int) -> None:
    ours = build(NetworkSpec(name, width=64, norm="batch", form="idc"), (3, 32, 32), 10).eval()
    with torch.random.fork_rng():
        theirs = resnet.ResNet(resnet.BasicBlock, [count] * 4, num_classes=10).eval()
        theirs.inplanes = 32
        theirs.conv1, theirs.bn1 = nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        theirs.maxpool = nn.Identity()
        for level in range(4):
            layer = theirs._make_layer(resnet.BasicBlock, 32 << level, count, stride=2 if level else 1)
            setattr(theirs, f"layer{level + 1}", layer)
        theirs.fc = nn.Linear(256, 10)
    copied(ours, unlike_fresh(theirs.eval()))
    with torch.no_grad():
        torch.testing.assert_close(ours(images(2, 3, 32, 32)), theirs(images(2, 3, 32, 32)))


@pytest.mark.parametrize("growth", [32, 12])
def test_densenet_is_torchvisions(growth: int) -> None:
    ours = build(NetworkSpec("densenet121", width=4 * growth), (3, 16, 16), 10).eval()
    with torch.random.fork_rng():
        theirs = densenet.DenseNet(
            growth, (6, 12, 24, 16), num_init_features=2 * growth, num_classes=10
        ).eval()
    theirs.features.conv0 = nn.Conv2d(3, 2 * growth, 3, padding=1, bias=False)
    for layer in ("norm0", "relu0", "pool0"):
        setattr(theirs.features, layer, nn.Identity())
    assert parameter_count(ours) == parameter_count(theirs)
    copied(ours, unlike_fresh(theirs))
    with torch.no_grad():
        torch.testing.assert_close(ours(images(2, 3, 16, 16)), theirs(images(2, 3, 16, 16)))


@pytest.mark.parametrize("side", [32, 64])
def test_vgg_is_torchvisions(side: int) -> None:
    ours = build(NetworkSpec("vgg11", norm="batch"), (3, side, side), 10).eval()
    with torch.random.fork_rng():
        layers = vgg.make_layers(vgg.cfgs["A"], batch_norm=True)
        theirs = nn.Sequential(layers, nn.Flatten(), nn.Linear(512 * (side // 32) ** 2, 10)).eval()
    assert parameter_count(ours) == parameter_count(theirs)
    copied(ours, unlike_fresh(theirs))
    with torch.no_grad():
        torch.testing.assert_close(ours(images(2, 3, side, side)), theirs(images(2, 3, side, side)))


@pytest.mark.parametrize(("shape", "first"), [((3, 32, 32), 2), ((1, 28, 28), 4), ((1, 8, 8), 2)])
def test_alexnet_is_the_plain_chain(shape: tuple[int, int, int], first: int) -> None:
    network = build(NetworkSpec("alexnet"), shape, 10)
    side = {8: 1, 28: 4, 32: 4}[shape[1]]
    chain = ((shape[0], 128, 25), (128, 192, 25), (192, 256, 9), (256, 192, 9), (192, 192, 9))
    count = sum(i * o * area + o for i, o, area in chain) + 192 * side * side * 10 + 10
    assert parameter_count(network) == count
    *layers, last = list(zip(*[iter(network.parameters())] * 2, strict=True))
    x = images(2, *shape)
    expected = x
    for (weight, bias), padding, pooled in zip(layers, (first, 2, 1, 1, 1), (1, 1, 0, 0, 1), strict=True):
        expected = F.relu(F.conv2d(expected, weight, bias, padding=padding))
        expected = F.max_pool2d(expected, 2) if pooled else expected
    torch.testing.assert_close(network(x), F.linear(expected.flatten(1), *last))


NORMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "instance": lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
    "batch": lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    "layer": lambda x, w, b: F.layer_norm(x, x.shape[1:]) * w[:, None, None] + b[:, None, None],
    "group": lambda x, w, b: F.group_norm(x, 4, w, b),
    "none": lambda x, w, b: x,
}
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "avg": lambda x: F.avg_pool2d(x, 2),
    "max": lambda x: F.max_pool2d(x, 2),
    "none": lambda x: x,
}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leakyrelu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "sigmoid": torch.sigmoid,
    "swish": lambda x: x * torch.sigmoid(x),
}


@pytest.mark.parametrize(
    ("norm", "pooling", "activation"),
    [(norm, "avg", "relu") for norm in NORMS]
    + [("instance", pooling, "relu") for pooling in ("max", "none")]
    + [("instance", "avg", activation) for activation in ("leakyrelu", "sigmoid", "swish")],
)
@pytest.mark.parametrize(("shape", "first"), [((3, 16, 16), 1), ((1, 28, 28), 3)])
def test_convnet_is_the_plain_chain(
    shape: tuple[int, int, int], first: int, norm: str, pooling: str, activation: str
) -> None:
    network = build(NetworkSpec("convnet", 2, 8, norm, pooling, activation), shape, 5)
    unlike_fresh(network)
    weights = list(network.parameters())
    x = images(4, *shape)
    expected = x
    for padding in (first, 1):
        expected = F.conv2d(expected, weights.pop(0), weights.pop(0), padding=padding)
        scale, shift = (weights.pop(0), weights.pop(0)) if norm != "none" else (torch.ones(8), torch.zeros(8))
        expected = POOLINGS[pooling](ACTIVATIONS[activation](NORMS[norm](expected, scale, shift)))
    expected = F.linear(expected.flatten(1), *weights)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "shape", "classes", "count"),
    [
        # The counts the field prints for these networks on CIFAR-10.
        (NetworkSpec("convnet"), (3, 32, 32), 10, 320_010),
        (NetworkSpec("convnet"), (1, 28, 28), 10, 317_706),
        (NetworkSpec("convnet", depth=4), (3, 64, 64), 200, 857_160),
        (NetworkSpec("resnet18"), (3, 32, 32), 10, 11_173_962),
        (NetworkSpec("resnet34"), (3, 32, 32), 10, 21_282_122),
        (NetworkSpec("resnet50"), (3, 32, 32), 10, 23_520_842),
        (NetworkSpec("vgg11"), (3, 32, 32), 10, 9_231_114),
        (NetworkSpec("densenet121"), (3, 32, 32), 10, 6_956_298),
        # The networks of DiM's released code on CIFAR-10, counted there. Its ResNet-34 and ResNet-50 have basic blocks:
        # 7.5 and 12.2 million.
        (NetworkSpec("resnet10", width=64, norm="batch", form="idc"), (3, 32, 32), 10, 1_228_970),
        (NetworkSpec("resnet18", width=64, norm="batch", form="idc"), (3, 32, 32), 10, 2_797_610),
        (NetworkSpec("resnet10ap", width=64, norm="batch", form="idc"), (3, 32, 32), 10, 1_228_970),
        (NetworkSpec("resnet34", width=64, norm="batch", form="idc"), (3, 32, 32), 10, 7_503_530),
        (NetworkSpec("resnet50", width=64, norm="batch", form="idc"), (3, 32, 32), 10, 12_209_450),
        (NetworkSpec("densenet121", width=48), (3, 32, 32), 10, 1_000_618),
        # An ImageNet ResNet with ten classes.
        (NetworkSpec("resnet18", norm="batch"), (3, 224, 224), 10, 11_181_642),
    ],
)
def test_published_counts(spec: NetworkSpec, shape: tuple[int, int, int], classes: int, count: int) -> None:
    assert parameter_count(build(spec, shape, classes, device="meta")) == count


@pytest.mark.parametrize(
    ("spec", "shape", "size"),
    [
        (NetworkSpec("convnet"), (3, 32, 32), 2048),
        (NetworkSpec("convnet"), (1, 28, 28), 2048),
        (NetworkSpec("convnet"), (3, 28, 28), 1152),
        (NetworkSpec("convnet"), (1, 8, 8), 128),
        (NetworkSpec("convnet", depth=4), (3, 64, 64), 2048),
        (NetworkSpec("convnet", depth=2), (3, 16, 24), 128 * 4 * 6),
        (NetworkSpec("convnet", pooling="none"), (3, 8, 8), 128 * 64),
        (NetworkSpec("resnet10", width=64), (1, 28, 28), 256),
        (NetworkSpec("resnet10", norm="batch"), (1, 8, 8), 512),
        (NetworkSpec("resnet50", norm="group"), (3, 8, 8), 2048),
        (NetworkSpec("vgg11"), (1, 28, 28), 512),
        (NetworkSpec("densenet121"), (1, 28, 28), 1024),
    ],
)
def test_feature_sizes(spec: NetworkSpec, shape: tuple[int, int, int], size: int) -> None:
    network = build(spec, shape, 10, device="meta")
    assert network.feature_size == network.classifier.in_features == size
    assert network.features(torch.zeros(3, *shape, device="meta")).shape == (3, size)


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        (NetworkSpec(depth=4), (1, 8, 8), "depth 4.*8x8.*largest depth possible is 3"),
        (NetworkSpec(depth=6), (1, 28, 28), "depth 6.*28x28.*largest depth possible is 5"),
        (NetworkSpec(depth=1), (1, 1, 9), "largest depth possible is 0"),
        (NetworkSpec("vgg11"), (1, 8, 8), "vgg11.*5 times.*8x8.*32 pixels"),
        (NetworkSpec("alexnet"), (3, 7, 9), "alexnet.*3 times.*7x9.*8 pixels"),
        (NetworkSpec("densenet121"), (3, 4, 4), "densenet121.*4x4"),
        (NetworkSpec("resnet18ap"), (3, 4, 4), "resnet18ap.*4x4"),
        (NetworkSpec("resnet10"), (1, 8, 8), "resnet10.*8x8.*one pixel.*instance"),
        (NetworkSpec("resnet18", width=63), (3, 32, 32), "width 63.*resnet18"),
        (NetworkSpec(width=30, norm="group"), (3, 32, 32), "30 channels.*by 4"),
    ],
)
def test_what_does_not_fit(spec: NetworkSpec, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(BadValue, match=message) as caught:
        build(spec, shape, 10)
    assert caught.value.hint


def test_the_depth_named_as_possible_is_possible() -> None:
    for side in (2, 3, 8, 28, 31, 32, 64):
        with pytest.raises(BadValue) as caught:
            build(NetworkSpec(depth=40, width=2), (1, side, side), 3)
        depth = int(caught.value.hint.removeprefix("depth="))
        network: Network = build(NetworkSpec(depth=depth, width=2), (1, side, side), 3)
        assert network(images(2, 1, side, side)).isfinite().all()
        with pytest.raises(BadValue):
            build(NetworkSpec(depth=depth + 1, width=2), (1, side, side), 3)


@pytest.mark.parametrize(("norm", "count"), [("none", 0), ("batch", 2 * (8 + 16))])
@pytest.mark.parametrize(("shape", "first"), [((3, 16, 16), 1), ((1, 28, 28), 3)])
def test_frepos_network_doubles_its_channels_and_has_its_norms_before_convolutions(
    shape: tuple[int, int, int], first: int, norm: str, count: int
) -> None:
    """Facts 0.1: blocks of norm (not the first), convolution, ReLU, average pooling; 128, 256, 512 channels."""
    network = build(NetworkSpec("frepo", 3, 8, norm), shape, 5)
    unlike_fresh(network)
    weights, x = list(network.parameters()), images(4, *shape)
    expected = x
    for number, padding in enumerate((first, 1, 1)):
        if number and norm == "batch":
            expected = NORMS["batch"](expected, weights.pop(0), weights.pop(0))
        expected = F.avg_pool2d(
            F.relu(F.conv2d(expected, weights.pop(0), weights.pop(0), padding=padding)), 2
        )
    torch.testing.assert_close(network(x), F.linear(expected.flatten(1), *weights))
    side = 2 if shape[1] == 16 else 4
    chain = sum(i * o * 9 + o for i, o in ((shape[0], 8), (8, 16), (16, 32)))
    assert parameter_count(network) == chain + count + 32 * side**2 * 5 + 5
    assert all(norm.momentum == 0.9 for norm in network.modules() if isinstance(norm, nn.BatchNorm2d))
