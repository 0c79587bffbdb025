"""BigGAN reduced to small images: residual blocks, class-conditional batch norm, a projection, spectral norm.

After Brock et al. 2019 and its authors' PyTorch code in the version for CIFAR-10, which has neither attention nor
shared embeddings; sizes follow the image as in :mod:`dreamlib.networks.generative`.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import BadValue
from .generative import SMALLEST, doublings
from .layers import Shape
from .spectral import SpectralConv2d, SpectralLinear


class ConditionalBatchNorm(nn.Module):
    """Batch norm of maps (N, channels, h, w) with a scale and a shift for each class."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Linear(num_classes, channels, bias=False)
        self.shift = nn.Linear(num_classes, channels, bias=False)

    def forward(self, maps: Tensor, hot: Tensor) -> Tensor:
        """Maps (N, channels, h, w), normalised, scaled and shifted as the one-hot labels (N, C) say."""
        scale, shift = (layer(hot)[:, :, None, None] for layer in (self.scale, self.shift))
        # 1 + scale: with small weights a class starts with an unscaled norm.
        out: Tensor = self.norm(maps) * (1 + scale) + shift
        return out


class UpBlock(nn.Module):
    """A residual block that doubles the size of its maps."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.first, self.second = (ConditionalBatchNorm(width, num_classes) for _ in range(2))
        self.widen, self.refine = SpectralConv2d(width, width), SpectralConv2d(width, width)
        # The residual path: a 1x1 convolution, as in the released code.
        self.around = SpectralConv2d(width, width, 1)

    def forward(self, maps: Tensor, hot: Tensor) -> Tensor:
        """Maps (N, width, 2h, 2w) of maps (N, width, h, w) and one-hot labels (N, C)."""
        inner = self.widen(_doubled(F.relu(self.first(maps, hot))))
        inner = self.refine(F.relu(self.second(inner, hot)))
        out: Tensor = inner + self.around(_doubled(maps))
        return out


def _doubled(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2)


class BigGANGenerator(nn.Module):
    """From noise and labels to images in [-1, 1].

    A linear layer of the noise to 4x4 maps (7x7 for images of 28 pixels), a block for every doubling, and a
    convolution. The class enters through the batch norms alone. At width 256, K = 128 and 3x32x32 it has 4.3 million
    parameters.

    Parameters
    ----------
    shape, num_classes, noise, width
        As of :class:`~dreamlib.networks.GeneratorNetwork`.
    label : str
        ``"beside"``: all of the noise is noise.

    Raises
    ------
    BadValue
        For another place of the label, sizes below 1 and images of another size.
    """

    def __init__(
        self, shape: Shape, num_classes: int, noise: int = 128, width: int = 256, label: str = "beside"
    ) -> None:
        super().__init__()
        if label != "beside":
            raise BadValue(
                f"BigGAN's labels go to its batch norms, not {label} the noise",
                'Generator(architecture="biggan", label="beside")',
            )
        for name, value in (("noise", noise), ("width", width), ("number of classes", num_classes)):
            if value < 1:
                raise BadValue(f"generator: {name} is {value}; expected at least 1")
        odd = shape[1] == 28
        self.num_classes, self.noise, self.width = num_classes, noise, width
        self.side = 7 if odd else SMALLEST
        self.start = SpectralLinear(noise, width * self.side**2)
        self.blocks = nn.ModuleList(UpBlock(width, num_classes) for _ in range(doublings(shape) - odd))
        self.norm, self.image = nn.BatchNorm2d(width), SpectralConv2d(width, shape[0])

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Images (N, c, h, w) in [-1, 1] of standard normal noise (N, K) and labels (N,)."""
        # One-hot and a linear layer, which is an embedding that all number formats know.
        hot = F.one_hot(labels, self.num_classes).to(noise.dtype)
        maps: Tensor = self.start(noise).view(-1, self.width, self.side, self.side)
        for block in self.blocks:
            maps = block(maps, hot)
        out: Tensor = self.image(F.relu(self.norm(maps)))
        return out.tanh()


class DownBlock(nn.Module):
    """A residual block of two convolutions that halves its maps or keeps their size."""

    def __init__(self, inputs: int, width: int, *, first: bool, halve: bool) -> None:
        super().__init__()
        self.first, self.halve = first, halve
        self.enter, self.refine = SpectralConv2d(inputs, width), SpectralConv2d(width, width)
        self.around = SpectralConv2d(inputs, width, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, width, h, w), or of half the sides, of maps (N, inputs, h, w)."""
        # The first block sees an image, which has no negative side to cut off.
        inner = self.refine(F.relu(self.enter(maps if self.first else F.relu(maps))))
        out: Tensor = inner + self.around(maps)
        return F.avg_pool2d(out, 2) if self.halve else out


class BigGANDiscriminator(nn.Module):
    """From images and labels to how real they look: the projection discriminator (Miyato and Koyama 2018).

    Blocks that halve the maps down to 8x8 (4x4 for 8 pixels, 7x7 for 28), two that do not, the sum over all places,
    and of that a linear function plus its product with a vector of the class. At width 256 and 3x32x32 it has
    4.3 million parameters.

    Parameters
    ----------
    shape : tuple of int
        (c, h, w) of the images.
    num_classes : int
        C.
    width : int
        Channels of all maps.
    """

    def __init__(self, shape: Shape, num_classes: int, width: int = 256) -> None:
        super().__init__()
        if width < 1:
            raise BadValue(f"discriminator: width is {width}; expected at least 1")
        # One halving less than the generator has doublings, so that the last maps are 8x8 (released code).
        halvings = max(1, doublings(shape) - 1)
        self.num_classes = num_classes
        self.blocks = nn.Sequential(
            *(
                DownBlock(width if number else shape[0], width, first=not number, halve=number < halvings)
                for number in range(halvings + 2)
            )
        )
        self.real = SpectralLinear(width, 1)
        self.of_class = SpectralLinear(num_classes, width, bias=False)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """How real (N,), unbounded, images (N, c, h, w) in [-1, 1] look as images of the classes ``labels`` (N,)."""
        # Sum over all places, as in the released code, not their mean.
        found = F.relu(self.blocks(images)).sum((2, 3))
        hot = F.one_hot(labels, self.num_classes).to(found.dtype)
        # The projection: a linear function of the features plus their product with the class vector.
        out: Tensor = self.real(found).squeeze(1) + (self.of_class(hot) * found).sum(1)
        return out
