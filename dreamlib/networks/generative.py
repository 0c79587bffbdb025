"""The conditional generator of DiM, the discriminator it is trained against, and an encoder of the latter's shape.

The first two follow DiM's released code (its paper draws the generator in Figure 4). Sizes follow the image: all work
between maps of 4x4 and the image, with as many doublings as it takes.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import BadValue, unknown
from .layers import Shape

LABELS = ("inside", "beside")
SMALLEST = 4  # pixels a side of the first maps of a generator and of the last of a discriminator
DEPTH = 8  # convolutions of a discriminator
# Which of them halve, by the halvings in all: 2, 4 and 8 for 32 pixels.
HALVING = {1: (8,), 2: (4, 8), 3: (2, 4, 8), 4: (2, 4, 6, 8)}
SLOPE = 0.01  # of the discriminator's leaky ReLUs
ENCODER_SLOPE = 0.2


def doublings(shape: Shape) -> int:
    """How often maps of 4x4 are doubled to give images of ``shape`` (c, h, w); 28 pixels are 4, 7, 14, 28.

    Raises
    ------
    BadValue
        For images that are not square with 8, 16, 28, 32, 64 ... pixels a side.
    """
    _, height, width = shape
    # 28 = 4, 7, 14, 28: the first doubling has a kernel of 3 there.
    times = 3 if height == 28 else (height // SMALLEST).bit_length() - 1
    if height != width or times < 1 or (height != 28 and height != SMALLEST << times):
        raise BadValue(
            f"a generator of images of {height}x{width}; expected square ones of 8, 16, 28, 32, 64 ... pixels a side",
            "resize them first",
        )
    return times


class GeneratorNetwork(nn.Module):
    """From noise and labels to images in [-1, 1].

    A linear layer to 4x4 maps; then doublings by transposed convolutions, with three convolutions after the first and
    one after each of the others but the last; a convolution to the image; tanh (DiM Figure 4 and released code). At
    width 196 and 3x32x32 it has 3.56 million parameters.

    Parameters
    ----------
    shape : tuple of int
        (c, h, w) of the images.
    num_classes : int
        C.
    noise : int
        K, numbers drawn for an image.
    width : int
        Channels of all maps.
    label : str
        Where the one-hot label goes: ``"inside"`` the noise, in place of its first C numbers (released code, and the
        100 inputs of Figure 4), or ``"beside"`` it (Eq. 4), which makes K + C inputs.

    Raises
    ------
    UnknownName
        For another place of the label.
    BadValue
        For sizes below 1, images of another size, and a K that leaves no room for noise where the label goes inside.
    """

    def __init__(
        self, shape: Shape, num_classes: int, noise: int = 100, width: int = 196, label: str = "inside"
    ) -> None:
        super().__init__()
        if label not in LABELS:
            raise unknown("place of the label", label, LABELS)
        for name, value in (("noise", noise), ("width", width), ("number of classes", num_classes)):
            if value < 1:
                raise BadValue(f"generator: {name} is {value}; expected at least 1")
        if label == "inside" and noise <= num_classes:
            raise BadValue(
                f"a noise of K = {noise} numbers has no room for the labels of {num_classes} classes, and for noise",
                f'noise={num_classes + 1} or more, or label="beside"',
            )
        times = doublings(shape)
        self.num_classes, self.noise, self.width, self.label = num_classes, noise, width, label
        inputs = noise if label == "inside" else noise + num_classes
        # (N, inputs) -> (N, width * 4 * 4), then viewed as maps.
        size = width * SMALLEST * SMALLEST
        self.start = nn.Sequential(nn.Linear(inputs, size), nn.BatchNorm1d(size), nn.ReLU())
        layers: list[nn.Module] = []
        for level in range(times):
            # Kernel 4, stride 2, padding 1 doubles exactly; kernel 3 takes 4 pixels to 7 (released code).
            odd = level == 0 and shape[1] == 28  # 4 pixels become 7
            layers += _normed(nn.ConvTranspose2d(width, width, 3 if odd else 4, 2, padding=1), width)
            for _ in range(3 if level == 0 else 1 if level < times - 1 else 0):
                layers += _normed(nn.Conv2d(width, width, 3, padding=1), width)
        self.body = nn.Sequential(*layers, nn.Conv2d(width, shape[0], 3, padding=1), nn.Tanh())

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Images (N, c, h, w) in [-1, 1] of standard normal noise (N, K) and labels (N,)."""
        hot = F.one_hot(labels, self.num_classes).to(noise.dtype)
        # "inside": the one-hot label replaces the first C numbers of the noise, so the number of inputs stays K.
        rest = noise[:, self.num_classes :] if self.label == "inside" else noise
        maps = self.start(torch.cat([hot, rest], 1)).view(-1, self.width, SMALLEST, SMALLEST)
        return cast(Tensor, self.body(maps))


def _normed(layer: nn.Module, channels: int) -> list[nn.Module]:
    return [layer, nn.BatchNorm2d(channels), nn.ReLU()]


class DiscriminatorNetwork(nn.Module):
    """From images in [-1, 1] to how real they look, and to which class they belong.

    Eight convolutions with layer norm and leaky ReLU, of stride 2 where the maps must shrink to 4x4, the strongest
    response of every channel, and two linear layers (DiM's released code: 3.14 million parameters at width 196 and
    3x32x32). Layer norm has a scale and a shift for every number of a map.

    Parameters
    ----------
    shape : tuple of int
        (c, h, w) of the images.
    num_classes : int
        C.
    width : int
        Channels of all maps.
    slope : float
        Of the leaky ReLUs below 0.
    """

    def __init__(self, shape: Shape, num_classes: int, width: int = 196, slope: float = SLOPE) -> None:
        super().__init__()
        self.body = _shrinking(shape, width, slope, "a discriminator")
        # Two heads on the same features: an auxiliary-classifier GAN.
        self.real = nn.Linear(width, 1)
        self.classify = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """How real (N,), unbounded, and logits (N, C), of images (N, c, h, w) in [-1, 1]."""
        # Max pooling over the last 4x4 maps (released code).
        found = self.body(images).amax((2, 3))
        return self.real(found).squeeze(1), self.classify(found)


def _shrinking(shape: Shape, width: int, slope: float, what: str) -> nn.Sequential:
    """From images (N, c, h, w) to maps (N, width, 4, 4): eight convolutions with layer norm and leaky ReLU."""
    times = doublings(shape)
    if times not in HALVING:
        raise BadValue(f"{what} of images of {shape[1]}x{shape[2]}; expected at most 64x64")
    if width < 1:
        raise BadValue(f"{what.split()[1]}: width is {width}; expected at least 1")
    layers: list[nn.Module] = []
    channels, side = shape[0], shape[1]
    for number in range(1, DEPTH + 1):
        stride = 2 if number in HALVING[times] else 1
        # LayerNorm needs the size of its maps, which strides round up.
        side = -(-side // stride)
        layers += [
            nn.Conv2d(channels, width, 3, stride, padding=1),
            nn.LayerNorm((width, side, side)),
            nn.LeakyReLU(slope),
        ]
        channels = width
    return nn.Sequential(*layers)


class EncoderNetwork(nn.Module):
    """From images in [-1, 1] and labels to a normal distribution of K numbers: the posterior of a VAE's noise.

    The convolutions of :class:`DiscriminatorNetwork`, then a linear layer of all the 4x4 maps and the one-hot label.

    Parameters
    ----------
    shape : tuple of int
        (c, h, w) of the images.
    num_classes : int
        C.
    noise : int
        K.
    width : int
        Channels of all maps.
    """

    def __init__(self, shape: Shape, num_classes: int, noise: int = 100, width: int = 196) -> None:
        super().__init__()
        if noise < 1:
            raise BadValue(f"encoder: noise is {noise}; expected at least 1")
        self.num_classes = num_classes
        self.body = _shrinking(shape, width, ENCODER_SLOPE, "an encoder")
        self.moments = nn.Linear(width * SMALLEST * SMALLEST + num_classes, 2 * noise)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances (N, K), of images (N, c, h, w) and labels (N,)."""
        found = self.body(images).flatten(1)
        hot = F.one_hot(labels, self.num_classes).to(found.dtype)
        # The logarithm of the variance is any number; the variance has to be above 0.
        mean, log_variance = self.moments(torch.cat([found, hot], 1)).chunk(2, 1)
        return mean, log_variance
