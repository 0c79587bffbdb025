"""LeNet and AlexCifarNet: the small networks with hidden linear layers of DD and LD."""

from __future__ import annotations

from torch import nn

from ..core.errors import BadValue
from .layers import Shape, activation
from .spec import NetworkSpec


def lenet(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, int]:
    """Two convolutions of 5x5 with 2x2 maxima, then 120 and 84 units; with its feature size, 84.

    LeCun et al., "Gradient-based learning applied to document recognition" (1998), as in the released code of DD and
    LD: rectified units, and a first convolution that is padded for images of 28 pixels. It has 61,706 parameters on
    1x28x28 images of ten classes.

    Raises
    ------
    BadValue
        For images below 16 pixels a side.
    """
    channels, *sides = shape
    padding = 2 if sides == [28, 28] else 0
    # A 5x5 convolution takes 4 pixels, a pooling halves: twice each.
    height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in sides)
    if min(height, width) < 1:
        raise BadValue(
            f"lenet leaves nothing of images of {shape[1]}x{shape[2]}; expected 16 pixels a side or more",
            'NetworkSpec("alexcifarnet"), or NetworkSpec("convnet", depth=2)',
        )
    body = nn.Sequential(
        nn.Sequential(nn.Conv2d(channels, 6, 5, padding=padding), activation(spec), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(6, 16, 5), activation(spec), nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Sequential(nn.Linear(16 * height * width, 120), activation(spec)),
        nn.Sequential(nn.Linear(120, 84), activation(spec)),
    )
    return body, 84


def alexcifarnet(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, int]:
    """Two convolutions of 5x5 with local response norms and 3x3 maxima, then 384 and 192 units; feature size 192.

    The AlexNet of cuda-convnet for CIFAR, as in the released code of DD and LD: the first norm follows the maxima, the
    second goes before them.
    """
    channels, *sides = shape
    height, width = ((side - 1) // 4 + 1 for side in sides)  # halved twice, rounded up

    def norm() -> nn.Module:
        # The constants of cuda-convnet's layer definition, which the released code uses.
        return nn.LocalResponseNorm(4, alpha=0.001 / 9.0, beta=0.75, k=1)

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, stride=2, padding=1)

    body = nn.Sequential(
        nn.Sequential(nn.Conv2d(channels, 64, 5, padding=2), activation(spec), pool(), norm()),
        nn.Sequential(nn.Conv2d(64, 64, 5, padding=2), activation(spec), norm(), pool()),
        nn.Flatten(),
        nn.Sequential(nn.Linear(64 * height * width, 384), activation(spec)),
        nn.Sequential(nn.Linear(384, 192), activation(spec)),
    )
    return body, 192
