"""Measurements of a synthetic set that no cell holds and pages of several papers show: variety and texture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.streams import Streams
from ..data import ClassData
from ..distillation.sets import DistilledSet
from ..networks import NetworkSpec, build, initialise


def variety(distilled: DistilledSet, real: ClassData, sample: int = 100) -> float:
    """Mean distance between images of a class, relative to that of real images of the class.

    Distances are Euclidean between the features of an untrained ConvNet of width 32 (seed 0), where a shift by a
    pixel weighs less than between raw pixels. 1 means as varied as the data; 0, all images of a class alike.

    Parameters
    ----------
    distilled : DistilledSet
        Its decoded training images are compared.
    real : ClassData
        The data set it was distilled from.
    sample : int
        Real images of each class.
    """
    depth = 2 if real.shape[1] < 16 else 3
    streams = Streams(0, real.device)
    network = build(NetworkSpec(depth=depth, width=32), real.shape, real.num_classes, device=real.device)
    initialise(network, streams["network"]).eval()

    def spread(images: Tensor) -> Tensor:
        with torch.no_grad():
            points = network.features(images.to(real.device))
        count = len(points)
        return torch.cdist(points, points).sum() / max(1, count * (count - 1))

    index = real.draw(min(sample, real.smallest), streams["real"])
    ratios = []
    for label in range(real.num_classes):
        mine = distilled.normalised[distilled.labels == label]
        theirs = real.take(index[label : label + 1], index.new_tensor([label]))[0]
        ratios.append(spread(mine) / spread(theirs))
    return float(torch.stack(ratios).mean())


@dataclass(frozen=True)
class Texture:
    """What a set of images looks like, in numbers; see :func:`texture`.

    Attributes
    ----------
    contrast : float
        Standard deviation of an image's pixels, mean over the images.
    fine : float
        Share of the spectral power above a quarter cycle per pixel: small where images are blurred. White noise in
        large images has 3/4.
    checkerboard : float
        Share above three eighths of a cycle per pixel, the patterns that change from pixel to pixel. White noise in
        large images has 7/16.
    colour : float
        Standard deviation between the channels of a pixel, mean over the pixels; NaN for images of one channel.
    """

    contrast: float
    fine: float
    checkerboard: float
    colour: float


def texture(images: Tensor) -> Texture:
    """Contrast, fineness and colour of images (N, c, h, w) in unit space; values outside [0, 1] count as they are.

    Frequencies are those of the larger of the two directions; the mean of an image has no part in the shares.
    """
    images = images.double()
    power = torch.fft.fft2(images).abs().square()
    power[..., 0, 0] = 0
    rows, columns = (torch.fft.fftfreq(size, device=images.device).abs() for size in images.shape[2:])
    frequency = torch.maximum(rows.unsqueeze(1), columns.unsqueeze(0))

    def share(above: float) -> float:
        return float((power * (frequency > above)).sum() / power.sum())

    grey = images.shape[1] == 1
    return Texture(
        contrast=float(images.flatten(1).std(1).mean()),
        fine=share(1 / 4),
        checkerboard=share(3 / 8),
        colour=float("nan") if grey else float(images.std(1).mean()),
    )
