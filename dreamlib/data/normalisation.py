"""Per-channel normalisation, with the constants of the papers' code and the true ones.

Whitening is a normalisation too: see :mod:`dreamlib.data.whitening`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.errors import BadValue, unknown

# Where pixels live: as networks see them, in [0, 1], or in [-1, 1] as generators give them.
SPACES = ("normalised", "unit", "signed")


@dataclass(frozen=True)
class Normalisation:
    """``(unit - mean) / std`` per channel.

    Parameters
    ----------
    name : str
        Where the constants come from: ``"papers"``, ``"pixel"`` or a name of your own.
    mean, std : tuple of float
        One value per channel, in units of [0, 1] images. ``std`` is positive.

    Raises
    ------
    BadValue
        If ``mean`` and ``std`` differ in length, are empty, or a ``std`` is not positive.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise BadValue(f"mean {self.mean} and std {self.std} need one value per channel each")
        if not all(value > 0 for value in self.std):
            raise BadValue(f"std {self.std} must be positive in every channel")

    @property
    def channels(self) -> int:
        """Number of channels these constants are for."""
        return len(self.mean)

    def about(self) -> dict[str, Any]:
        """What a record and the metadata of a set say of it."""
        return {"name": self.name, "mean": list(self.mean), "std": list(self.std)}

    def tensors(self) -> dict[str, Tensor]:
        """Tensors that a file of a set has to hold, besides :meth:`about`: none."""
        return {}

    def apply(self, unit: Tensor) -> Tensor:
        """Unit images (..., c, h, w), floats in [0, 1], as normalised images of the same shape and dtype."""
        mean, std = self.columns(unit)
        return (unit - mean) / std

    def undo(self, normalised: Tensor) -> Tensor:
        """Normalised images (..., c, h, w) back as unit images; nothing is clamped."""
        mean, std = self.columns(normalised)
        return normalised * std + mean

    def enter(self, images: Tensor, space: str) -> Tensor:
        """Images (..., c, h, w) in ``space``, one of :data:`SPACES`, as networks see them."""
        # A generator's tanh gives [-1, 1]; the constants are those of images in [0, 1].
        if space == "signed":
            return self.apply((images + 1) / 2)
        return images if space == "normalised" else self.apply(images)

    def leave(self, normalised: Tensor, space: str) -> Tensor:
        """Normalised images brought to ``space``."""
        if space == "signed":
            return self.undo(normalised).mul_(2).sub_(1)
        return normalised if space == "normalised" else self.undo(normalised)

    def columns(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """``mean`` and ``std`` as (c, 1, 1) tensors with the dtype and on the device of the images ``like``.

        Raises
        ------
        BadValue
            If ``like`` is not floating point or has another number of channels.
        """
        if not like.is_floating_point():
            raise BadValue(
                f"images to normalise are {like.dtype}, not floats in [0, 1]", "images.float() / 255"
            )
        if like.dim() < 3 or like.shape[-3] != self.channels:
            raise BadValue(
                f"images of shape {tuple(like.shape)} do not fit normalisation {self.name!r}, "
                f"which expects (..., {self.channels}, h, w)"
            )
        # Filled on the images' device: a copy from the host would stop a GPU at every step, and CUDA graphs forbid it.
        mean, std = (
            torch.stack([like.new_full((1, 1), v) for v in values]) for values in (self.mean, self.std)
        )
        return mean, std


# What the released code of the DC, IDC, DREAM and DiM families divides by. Its CIFAR-10 std is the mean of
# the stds of single images (measured: it is, with Bessel's correction); the others are pixel statistics.
PAPERS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashionmnist": ((0.2861,), (0.3530,)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
}

# Mean and standard deviation over all pixels of the training set. No paper of the study uses digits, so its
# entry (for the training part of our own split) serves both. SVHN and CIFAR-100 are as in the papers' code.
PIXEL: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = PAPERS | {
    "digits": ((0.3052,), (0.3756,)),
    "fashionmnist": ((0.2860,), (0.3530,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}

KINDS = {"papers": PAPERS | {"digits": PIXEL["digits"]}, "pixel": PIXEL}


def statistics(dataset: str, which: str = "papers") -> Normalisation:
    """The normalisation constants of a built-in data set.

    Parameters
    ----------
    dataset : str
        One of :func:`dreamlib.data.names`.
    which : {"papers", "pixel"}
        ``"papers"``: the constants in the papers' released code. ``"pixel"``: mean and standard deviation
        over all training pixels. They differ for CIFAR-10, and in a last digit for FashionMNIST.

    Raises
    ------
    UnknownName
        For an unknown ``dataset`` or ``which``.
    """
    if which not in KINDS:
        raise unknown("normalisation", which, KINDS)
    table = KINDS[which]
    if dataset not in table:
        raise unknown("dataset with published statistics", dataset, table)
    return Normalisation(which, *table[dataset])


def measured(images: Tensor) -> Normalisation:
    """Pixel mean and std of uint8 images (N, c, h, w), from histograms; a constant channel has std 1."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in images.unbind(1):
        # 256 levels: mean and variance follow from their frequencies, in float64, without a float copy of the images.
        share = torch.bincount(channel.reshape(-1), minlength=256).double() / channel.numel()
        centre = (share * levels).sum()
        spread = (share * (levels - centre).square()).sum().sqrt()
        mean.append(float(centre))
        std.append(float(spread) or 1.0)
    return Normalisation("pixel", tuple(mean), tuple(std))
