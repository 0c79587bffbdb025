"""Residual networks for small images, and their average-pooling ("AP") variants."""

from __future__ import annotations

from torch import Tensor, nn

from ..core.errors import BadValue
from .layers import Shape, activation, halved, norm, pool, scaled
from .spec import NetworkSpec

# Blocks in each of the four stages (He et al. 2016, Table 1; depth 10 has one block in each).
BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class Residual(nn.Module):
    """``activation(main(x) + shortcut(x))``."""

    def __init__(self, main: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, c, h, w) to maps (N, c', h', w')."""
        result: Tensor = self.activation(self.main(maps) + self.shortcut(maps))
        return result


def resnet(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, int]:
    """A stem, four stages of residual blocks and global average pooling; with them, their feature size.

    He et al., "Deep residual learning for image recognition" (CVPR 2016). Up to 64 pixels a side the stem is
    one 3x3 convolution (the CIFAR form, in DC's and IDC's released code); up to 128 pixels a pooling by 2
    follows it; beyond, it is the 7x7 stem of the ImageNet form, which divides by 4 (both as in IDC's released
    code).

    In the AP variants every convolution of stride 2 becomes one of stride 1 with average pooling behind it
    (DM, supplement 1.1; in the main path behind the activation, as in DC's and IDC's released code). DC's
    code drops their global pooling and classifies 4x4 maps; IDC's keeps it, as here.

    With ``form="idc"`` a stage has (depth - 2) // 6 basic blocks: at depth 10 and 18 as many as in He et al., but 5
    at depth 34 and 8 at depth 50, so that these two are networks of their own that share a name with He's.

    Raises
    ------
    BadValue
        For an AP variant, images that cannot be halved three times. For instance norm, images that shrink to
        one pixel, which it would turn to zero.
    """
    stem, size = _stem(spec, shape)
    # Strides round up, poolings round down.
    size = (-(-size[0] // 8), -(-size[1] // 8)) if spec.pooling == "none" else halved(spec, size, 3)
    if spec.norm == "instance" and size == (1, 1):
        raise BadValue(
            f"{spec.name} shrinks {shape[1]}x{shape[2]} images to one pixel, and instance norm that to zero",
            'norm="batch"',
        )
    stages = []
    inputs = scaled(spec, 64)
    even = spec.form == "idc"
    for level, count in enumerate(4 * [(spec.depth - 2) // 6] if even else BLOCKS[spec.depth]):
        channels = scaled(spec, 64 << level)
        # Bottlenecks of He's ResNet-50 give four times their channels; the IDC form has basic blocks everywhere.
        outputs = 4 * channels if spec.depth == 50 and not even else channels
        first = _block(spec, inputs, channels, outputs, halve=level > 0)
        rest = [_block(spec, outputs, channels, outputs) for _ in range(count - 1)]
        stages.append(nn.Sequential(first, *rest))
        inputs = outputs
    return nn.Sequential(stem, *stages, nn.AdaptiveAvgPool2d(1)), inputs


def _stem(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, tuple[int, int]]:
    """The first convolution, and the (height, width) it leaves of an image."""
    inputs, height, width = shape
    channels, side = scaled(spec, 64), min(height, width)
    kernel, factor = (3, 1) if side <= 64 else (3, 2) if side <= 128 else (7, 4)
    # He's stem divides by 4 in two steps, by its stride and by a pooling; the AP variants pool by 4 at once.
    stride = 2 if factor == 4 and spec.pooling == "none" else 1
    layers = [_conv(spec, inputs, channels, kernel, stride), norm(spec, channels), activation(spec)]
    if factor > 1:
        layers.append(nn.MaxPool2d(3, 2, padding=1) if spec.pooling == "none" else pool(spec, factor))
    return nn.Sequential(*layers), (height // factor, width // factor)


def _conv(spec: NetworkSpec, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    # A norm has its own shift, so that a bias before it would do nothing.
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=spec.norm == "none")


def _block(spec: NetworkSpec, inputs: int, channels: int, outputs: int, halve: bool = False) -> Residual:
    """A basic block, or a bottleneck where ``outputs`` are more than ``channels``."""
    stride = 2 if halve and spec.pooling == "none" else 1
    shrink = [pool(spec)] if halve else []
    # Two 3x3 convolutions, or 1x1, 3x3, 1x1 (He et al., Figure 5).
    if outputs == channels:
        main = [
            *(_conv(spec, inputs, channels, 3, stride), norm(spec, channels), activation(spec), *shrink),
            *(_conv(spec, channels, channels, 3), norm(spec, channels)),
        ]
    else:
        main = [
            *(_conv(spec, inputs, channels, 1), norm(spec, channels), activation(spec)),
            *(_conv(spec, channels, channels, 3, stride), norm(spec, channels), activation(spec), *shrink),
            *(_conv(spec, channels, outputs, 1), norm(spec, outputs)),
        ]
    # A projection only where the shape changes (He et al., option B).
    shortcut: nn.Module = nn.Identity()
    if halve or inputs != outputs:
        shortcut = nn.Sequential(_conv(spec, inputs, outputs, 1, stride), *shrink, norm(spec, outputs))
    return Residual(nn.Sequential(*main), shortcut, activation(spec))
