"""Networks that are one chain of convolutions: VGG-11 and AlexNet, both in their CIFAR form."""

from __future__ import annotations

from torch import nn

from .layers import Shape, activation, halved, norm, pool, scaled, widened
from .spec import NetworkSpec


def vgg11(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, int]:
    """VGG-11 with a norm after each convolution and no hidden linear layers; with its feature size.

    Simonyan and Zisserman, "Very deep convolutional networks" (ICLR 2015), configuration A, as in DC's
    released code.

    Raises
    ------
    BadValue
        For images below 32 pixels a side (other than 1x28x28): it has five poolings.
    """
    stages = (((64, 3),), ((128, 3),), ((256, 3), (256, 3)), ((512, 3), (512, 3)), ((512, 3), (512, 3)))
    return _chain(spec, shape, stages)


def alexnet(spec: NetworkSpec, shape: Shape) -> tuple[nn.Sequential, int]:
    """AlexNet with five small convolutions, no norm and no hidden linear layers; with its feature size.

    Krizhevsky et al., "ImageNet classification with deep convolutional neural networks" (NIPS 2012), reduced
    as in DC's released code.

    Raises
    ------
    BadValue
        For images below 8 pixels a side: it has three poolings.
    """
    stages = (((128, 5),), ((192, 5),), ((256, 3), (192, 3), (192, 3)))
    return _chain(spec, shape, stages)


def _chain(
    spec: NetworkSpec, shape: Shape, stages: tuple[tuple[tuple[int, int], ...], ...]
) -> tuple[nn.Sequential, int]:
    """Stages of (channels, kernel) convolutions, each stage ending in a pooling."""
    extra, size = widened(shape)
    height, width = halved(spec, size, len(stages))
    body = []
    inputs = shape[0]
    for stage in stages:
        layers: list[nn.Module] = []
        for published, kernel in stage:
            channels = scaled(spec, published)
            conv = nn.Conv2d(inputs, channels, kernel, padding=kernel // 2 + extra)
            layers += [conv, norm(spec, channels), activation(spec)]
            # Only the first convolution has the extra padding of MNIST.
            inputs, extra = channels, 0
        body.append(nn.Sequential(*layers, pool(spec)))
    return nn.Sequential(*body), inputs * height * width
