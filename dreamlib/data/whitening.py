"""ZCA whitening: four kinds that papers all call "ZCA with 0.1", and that are far from the same.

Each is fitted on training images, and applied to them and to test images. Synthetic images then live in whitened space,
where nothing is clamped, and are brought back only to be looked at. With images as rows x of D numbers::

    kornia  MTT, HaBa, TESLA, DATM, FTD   x in [0, 1]                         (x - m) (C + 0.1)^(-1/2)
    kip     KIP, and RFAD on SVHN         x = (s - mean(s)) / |s - mean(s)|   x (C + 0.1 tr(C) / D)^(-1/2)
    frepo   FRePo                         x = s                               (x - m) (C + 0.1 tr(C) / D)^(-1/2)
    rfad    RFAD                          x = s                               x (C + 0.1 tr(C) / D)^(-1/2)

s has channels of mean 0 and standard deviation 1 over all pixels; mean(s) is an image's own. m is the mean image. C is
the covariance where m is subtracted, else the mean of x' x; kornia's divides by N - 1. The mean variance tr(C) / D of
CIFAR-10 in [0, 1] is 0.06, so 0.1 of it is far less than 0.1: kornia's kind is the mildest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..core.errors import BadValue, unknown

CHUNK = 1000  # images that are float64 at a time


@dataclass(frozen=True)
class _Kind:
    standardised: bool  # channels have mean 0 and standard deviation 1
    per_image: bool  # images have mean 0 and norm 1
    centred: bool  # the mean image is subtracted
    relative: bool  # the regularisation is in units of the mean variance
    limited: bool  # of N images in more dimensions, only the first N axes are scaled


KINDS = {
    "kornia": _Kind(standardised=False, per_image=False, centred=True, relative=False, limited=False),
    "kip": _Kind(standardised=True, per_image=True, centred=False, relative=True, limited=True),
    "frepo": _Kind(standardised=True, per_image=False, centred=True, relative=True, limited=True),
    "rfad": _Kind(standardised=True, per_image=False, centred=False, relative=True, limited=False),
}


@dataclass(frozen=True, eq=False)
class Whitening:
    """A map of images, as :func:`fit` finds it, and made anew from its tensors by ``Whitening(kind, **tensors)``.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    mean, std : Tensor
        (c,) float64, of the channels of images in [0, 1]; 0 and 1 where they are left as they are.
    contrast : Tensor
        Scalar, float64: the mean norm of training images where each is divided by its own, else 1.
    centre : Tensor
        (c, h, w) float64, the image that is subtracted.
    transform : Tensor
        (D, D), symmetric.
    """

    kind: str
    mean: Tensor
    std: Tensor
    contrast: Tensor
    centre: Tensor
    transform: Tensor

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("whitening", self.kind, KINDS)

    def tensors(self) -> dict[str, Tensor]:
        """What a file has to hold beside the kind."""
        names = ("mean", "std", "contrast", "centre", "transform")
        return {name: getattr(self, name) for name in names}

    def apply(self, unit: Tensor) -> Tensor:
        """Unit images (..., c, h, w), floats in [0, 1], whitened: of the same shape and dtype, and differentiable.

        Raises
        ------
        BadValue
            If they are no floats, or of another shape than the images it was fitted on.
        """
        self._check(unit)
        rows = _prepared(unit, self.mean.to(unit), self.std.to(unit), KINDS[self.kind].per_image)
        rows = (rows - self.centre.to(unit)).flatten(-3)
        return (rows @ self.transform.to(unit)).view(unit.shape)

    def undo(self, whitened: Tensor) -> Tensor:
        """Whitened images (..., c, h, w) back as unit images, to be looked at; nothing is clamped.

        The own mean and norm of an image that ``"kip"`` has taken are lost: it gets those that training images have on
        average.

        Raises
        ------
        BadValue
            As :meth:`apply`.
        """
        self._check(whitened)
        rows = whitened.flatten(-3) @ self._inverse.to(whitened)
        images = (rows.view(whitened.shape) + self.centre.to(whitened)) * self.contrast.to(whitened)
        mean, std = (each.to(whitened).view(-1, 1, 1) for each in (self.mean, self.std))
        return images * std + mean

    @cached_property
    def _inverse(self) -> Tensor:
        return torch.linalg.inv(self.transform.double())

    def _check(self, images: Tensor) -> None:
        if not images.is_floating_point():
            raise BadValue(f"images to whiten are {images.dtype}, not floats", "images.float() / 255")
        if images.shape[-3:] != self.centre.shape:
            raise BadValue(
                f"images of shape {tuple(images.shape)} do not fit a whitening {self.kind!r} that was fitted on images "
                f"(..., {', '.join(map(str, self.centre.shape))})",
                f"fit(images, {self.kind!r}) with the training images of the same data set",
            )


def fit(
    images: Tensor, kind: str, regularisation: float = 0.1, dtype: torch.dtype = torch.float32
) -> Whitening:
    """The whitening of training images.

    Parameters
    ----------
    images : Tensor
        (N, c, h, w), uint8 or floats in [0, 1]; at least two.
    kind : str
        One of :data:`KINDS`.
    regularisation : float
        Added to the eigenvalues of the covariance, above 0; in units of their mean for all kinds but ``"kornia"``.
    dtype : torch.dtype
        What the transform is kept in; 38 MB in float32 for CIFAR-10. It is computed in float64.

    Raises
    ------
    UnknownName
        For another kind.
    BadValue
        If the images are not of that form or hold a NaN, or the regularisation is not above 0.
    """
    if kind not in KINDS:
        raise unknown("whitening", kind, KINDS)
    if (
        images.dim() != 4
        or len(images) < 2
        or not (images.dtype == torch.uint8 or images.is_floating_point())
    ):
        raise BadValue(
            f"images {tuple(images.shape)} {images.dtype} to fit a whitening; expected (N, c, h, w), uint8 or floats, "
            "and at least two",
            "data.train_images",
        )
    if not regularisation > 0:
        raise BadValue(
            f"whitening with regularisation {regularisation}; expected above 0", "regularisation=0.1"
        )
    how = KINDS[kind]
    count, shape = len(images), images.shape[1:]

    def parts() -> Iterator[Tensor]:
        for part in images.split(CHUNK):
            yield part.double() / 255 if part.dtype == torch.uint8 else part.double()

    def prepared() -> Iterator[Tensor]:
        return (_prepared(part, mean, std, how.per_image) for part in parts())

    zero = torch.zeros((), dtype=torch.float64, device=images.device)
    mean, std = zero.expand(shape[0]).clone(), zero.expand(shape[0]) + 1
    contrast, centre = zero + 1, zero.expand(shape).clone()
    if how.standardised:
        pixels = images[:, 0].numel()
        mean = sum((part.sum((0, 2, 3)) for part in parts()), zero) / pixels
        around = ((part - mean.view(-1, 1, 1)).square().sum((0, 2, 3)) for part in parts())
        std = (sum(around, zero) / pixels).sqrt()
        std = torch.where(std > 0, std, 1.0)  # a constant channel stays at 0
    if how.per_image:
        norms = (_norms(_own(part, mean, std)).sum() for part in parts())
        contrast = sum(norms, zero) / count
    if how.centred:
        centre = sum((part.sum(0) for part in prepared()), zero) / count
    rows = ((part - centre).flatten(1) for part in prepared())
    covariance = sum((part.T @ part for part in rows), zero) / (count if how.relative else count - 1)
    if not bool(covariance.isfinite().all()):
        raise BadValue("images to fit a whitening hold NaN or infinite values", "images.isfinite()")
    values, axes = torch.linalg.eigh(covariance)  # ascending
    added = regularisation * (values.mean() if how.relative else 1.0)
    factors = (values.clamp(min=0) + added).rsqrt()
    if how.limited:
        factors[: max(0, len(values) - count)] = 1.0
    return Whitening(kind, mean, std, contrast, centre, ((axes * factors) @ axes.T).to(dtype))


def _prepared(unit: Tensor, mean: Tensor, std: Tensor, per_image: bool) -> Tensor:
    """What is multiplied by a transform, before the mean image is subtracted."""
    if not per_image:
        return (unit - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    own = _own(unit, mean, std)
    # One grey level of one pixel is a norm of 0.007 or more. Below is rounding: an evenly grey image is 0.
    return own / _norms(own).clamp(min=1e-3)


def _own(unit: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    standard = (unit - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    return standard - standard.mean((-3, -2, -1), keepdim=True)


def _norms(images: Tensor) -> Tensor:
    return images.square().sum((-3, -2, -1), keepdim=True).sqrt()
