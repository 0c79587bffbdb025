"""The small parts that the architectures share."""

from __future__ import annotations

from torch import nn

from ..core.errors import BadValue
from .spec import NetworkSpec

Shape = tuple[int, int, int]


def norm(spec: NetworkSpec, channels: int) -> nn.Module:
    """The spec's normalisation of (N, channels, h, w), with a learned scale and shift per channel.

    Instance, layer and group norm are ``GroupNorm`` with ``channels``, 1 and 4 groups; batch norm keeps
    running statistics. The DC family's released code has the same, but for layer norm: there it learns a
    scale per pixel.
    """
    if spec.norm == "none":
        return nn.Identity()
    if spec.norm == "batch":
        return nn.BatchNorm2d(channels)
    # GroupNorm with one channel per group is instance norm, with all in one group layer norm; one class covers three.
    groups = {"instance": channels, "layer": 1, "group": 4}[spec.norm]
    if channels % groups:
        raise BadValue(
            f"group norm cannot divide {channels} channels of {spec.name} at width {spec.width} by {groups}",
            "a width that is a multiple of 8",
        )
    return nn.GroupNorm(groups, channels)


def activation(spec: NetworkSpec) -> nn.Module:
    """The spec's activation, never in place: second derivatives and stacked networks need its input."""
    kinds = {"relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "sigmoid": nn.Sigmoid, "swish": nn.SiLU}
    return kinds[spec.activation]()


def pool(spec: NetworkSpec, factor: int = 2) -> nn.Module:
    """The spec's pooling: height and width divided by ``factor``, rounded down."""
    if spec.pooling == "none":
        return nn.Identity()
    return nn.AvgPool2d(factor) if spec.pooling == "avg" else nn.MaxPool2d(factor)


def scaled(spec: NetworkSpec, channels: int) -> int:
    """Published ``channels`` at the spec's width (128 stands for the published one)."""
    # Width 128 is ConvNet's published width, so it stands for 100 % in all architectures.
    count, rest = divmod(channels * spec.width, 128)
    if rest:
        raise BadValue(
            f"width {spec.width} gives {spec.name} {channels * spec.width / 128:g} channels, not {channels}",
            "a width that is a multiple of 4",
        )
    return count


def widened(shape: Shape) -> tuple[int, tuple[int, int]]:
    """Extra padding of a first convolution, and the (height, width) it leaves.

    One-channel images of 28x28 (MNIST, FashionMNIST) become 32x32, as in the DC family's released code.
    """
    extra = 2 if shape == (1, 28, 28) else 0
    return extra, (shape[1] + 2 * extra, shape[2] + 2 * extra)


def halved(spec: NetworkSpec, size: tuple[int, int], times: int) -> tuple[int, int]:
    """The (height, width) that ``times`` halvings leave.

    Raises
    ------
    BadValue
        If nothing is left.
    """
    height, width = size[0] >> times, size[1] >> times
    if not height or not width:
        raise BadValue(
            f"{spec.name} halves its images {times} times, and {size[0]}x{size[1]} is too small for that; "
            f"expected {2**times} pixels a side or more",
            'NetworkSpec("convnet"), with a depth that fits',
        )
    return height, width
