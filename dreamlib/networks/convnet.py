"""ConvNet-D, the network that the field distils with."""

from __future__ import annotations

from torch import nn

from ..core.errors import BadValue
from .layers import Shape, activation, halved, norm, pool, widened
from .spec import NetworkSpec


def convnet(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, int]:
    """``depth`` blocks of 3x3 convolution, norm, activation and pooling; with them, their feature size.

    Zhao et al., "Dataset condensation with gradient matching" (ICLR 2021), section 4.1. With a classifier of
    10 classes it has 320,010 parameters on 3x32x32 images.

    Raises
    ------
    BadValue
        For a depth that pools the images away.
    """
    extra, (height, width) = widened(shape)
    if spec.pooling != "none":
        # Every pooling halves the maps: floor(log2(side)) of them leave one pixel.
        deepest = min(height, width).bit_length() - 1
        if spec.depth > deepest:
            raise BadValue(
                f"a ConvNet of depth {spec.depth} pools images of {shape[1]}x{shape[2]} away; "
                f"the largest depth possible is {deepest}",
                f"depth={deepest}" if deepest else 'pooling="none"',
            )
        height, width = height >> spec.depth, width >> spec.depth
    blocks = []
    # MNIST's 28 pixels become 32 by the padding of the first convolution (released code of DC).
    channels, padding = shape[0], 1 + extra
    for _ in range(spec.depth):
        conv = nn.Conv2d(channels, spec.width, 3, padding=padding)
        blocks.append(nn.Sequential(conv, norm(spec, spec.width), activation(spec), pool(spec)))
        channels, padding = spec.width, 1
    return nn.Sequential(*blocks), spec.width * height * width


def frepo(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, int]:
    """FRePo's ConvNet: twice the channels from block to block, 128, 256, 512; with its feature size.

    Norms stand before the convolutions, and the first block has none. A batch norm takes nine tenths of every batch
    into its running statistics. Zhou et al., "Dataset distillation using neural feature regression" (NeurIPS 2022),
    released code.

    Raises
    ------
    BadValue
        For a depth that pools the images away.
    """
    extra, size = widened(shape)
    height, width = halved(spec, size, spec.depth if spec.pooling != "none" else 0)
    blocks = []
    channels, padding = shape[0], 1 + extra
    for number in range(spec.depth):
        outputs = spec.width << number
        before = norm(spec, channels) if number else nn.Identity()
        if isinstance(before, nn.BatchNorm2d):
            # PyTorch counts the share of the new batch: 0.9 is flax's 0.1 of the old one (released code).
            before.momentum = 0.9
        conv = nn.Conv2d(channels, outputs, 3, padding=padding)
        blocks.append(nn.Sequential(before, conv, activation(spec), pool(spec)))
        channels, padding = outputs, 1
    return nn.Sequential(*blocks), channels * height * width
