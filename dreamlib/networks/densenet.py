"""DenseNet-BC for small images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import Shape, activation, halved, norm, pool, scaled
from .spec import NetworkSpec

BLOCKS = (6, 12, 24, 16)
# Layers of the four dense blocks, and channels that each layer adds (Huang et al. 2017, Table 1: DenseNet-121).
GROWTH = 32


class Dense(nn.Module):
    """The maps, and behind them what ``grow`` makes of them."""

    def __init__(self, grow: nn.Module) -> None:
        super().__init__()
        self.grow = grow

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, c, h, w) to maps (N, c + growth, h, w)."""
        return torch.cat((maps, self.grow(maps)), dim=1)


def densenet121(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, int]:
    """A stem, four dense blocks with halvings between and global average pooling; with their feature size.

    Huang et al., "Densely connected convolutional networks" (CVPR 2017): bottlenecks of 4 x growth,
    compression .5. The stem is a single 3x3 convolution, as in IDC's released code (which grows by 12 on
    CIFAR: width 48).

    Raises
    ------
    BadValue
        For images below 8 pixels a side.
    """
    halved(spec, (shape[1], shape[2]), len(BLOCKS) - 1)
    growth = scaled(spec, GROWTH)
    # The stem has twice the growth, as in DenseNet-BC.
    channels = 2 * growth
    body: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)]
    for level, count in enumerate(BLOCKS):
        if level:
            # Compression 0.5: a transition halves channels and pixels.
            body.append(_transition(spec, channels, channels // 2))
            channels //= 2
        body.append(nn.Sequential(*(_dense(spec, channels + step * growth, growth) for step in range(count))))
        channels += count * growth
    return nn.Sequential(*body, norm(spec, channels), activation(spec), nn.AdaptiveAvgPool2d(1)), channels


def _dense(spec: NetworkSpec, inputs: int, growth: int) -> Dense:
    # Norm and activation before each convolution; a 1x1 convolution first bounds the channels of the 3x3 one.
    squeeze = (norm(spec, inputs), activation(spec), nn.Conv2d(inputs, 4 * growth, 1, bias=False))
    grow = (norm(spec, 4 * growth), activation(spec), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False))
    return Dense(nn.Sequential(*squeeze, *grow))


def _transition(spec: NetworkSpec, inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        norm(spec, inputs), activation(spec), nn.Conv2d(inputs, outputs, 1, bias=False), pool(spec)
    )
