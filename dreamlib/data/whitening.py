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

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..core.errors import BadValue, StoreError, unknown
from ..core.files import read_tensors, tensors_digest, write_tensors
from . import cache
from .normalisation import Normalisation

CHUNK = 1000  # images that are float64 at a time
FORMAT = "whitening-1"  # another number when the same images are whitened otherwise
log = logging.getLogger(__name__)


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
class Whitening(Normalisation):
    """A normalisation that also takes away what pixels have in common, as :func:`fit` finds it.

    Two whitenings are equal where they whiten alike.

    Attributes
    ----------
    name : str
        ``"kornia whitening"``.
    mean, std : tuple of float
        By channel, of images in [0, 1]; 0 and 1 where channels are left as they are.
    kind : str
        One of :data:`KINDS`.
    contrast : float
        The mean norm of training images where each is divided by its own, else 1.
    centre : Tensor
        (c, h, w) float64, the image that is subtracted.
    transform : Tensor
        (D, D), symmetric.
    fitted_on : str
        Checksum of the training images; see :func:`checksum`.
    """

    kind: str
    contrast: float
    centre: Tensor
    transform: Tensor
    fitted_on: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            raise unknown("whitening", self.kind, KINDS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Whitening) and self.about() == other.about()

    def __hash__(self) -> int:
        return hash((self.kind, self.fitted_on))

    @cached_property
    def _sha256(self) -> str:
        return tensors_digest(self.tensors())

    def about(self) -> dict[str, Any]:
        own = {"whitening": self.kind, "contrast": self.contrast, "fitted_on": self.fitted_on}
        return {**super().about(), **own, "sha256": self._sha256}

    def tensors(self) -> dict[str, Tensor]:
        return {"centre": self.centre, "transform": self.transform}

    def check(self, name: str, images: Tensor) -> None:
        """Raise :class:`BadValue` unless it was fitted on the training images (N, c, h, w) of the data set ``name``."""
        own, expected = tuple(images.shape[1:]), tuple(self.centre.shape)
        if own == expected and checksum(images) == self.fitted_on:
            return
        found = f"its images are {own}" if own != expected else "those of this data set are others"
        raise BadValue(
            f"{self.name} was fitted on training images {expected} (sha256 {self.fitted_on[:12]}), which are not those "
            f"of {name!r}: {found}",
            f"load({name!r}).whitened({self.kind!r}), and a set distilled from it",
        )

    def apply(self, unit: Tensor) -> Tensor:
        """Unit images (..., c, h, w), floats in [0, 1], whitened: of the same shape and dtype, and differentiable.

        Raises
        ------
        BadValue
            If they are no floats, or of another shape than the images it was fitted on.
        """
        self._check(unit)
        # In the order of the papers' code: channels, then the image by itself (KIP), then the mean image and the axes.
        rows = super().apply(unit)
        if KINDS[self.kind].per_image:
            rows = _per_image(rows)
        rows = (rows - self.centre.to(unit)).flatten(-3)
        return (rows @ self.transform.to(unit)).view(unit.shape)

    def undo(self, normalised: Tensor) -> Tensor:
        """Whitened images (..., c, h, w) back as unit images, to be looked at; nothing is clamped.

        The own mean and norm of an image that ``"kip"`` has taken are lost: it gets those that training images have on
        average.

        Raises
        ------
        BadValue
            As :meth:`apply`.
        """
        self._check(normalised)
        rows = normalised.flatten(-3) @ self._inverse.to(normalised)
        return super().undo((rows.view(normalised.shape) + self.centre.to(normalised)) * self.contrast)

    @cached_property
    def _inverse(self) -> Tensor:
        # All factors are above 0, so this exists; in float64, as the transform was made.
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


def read(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Normalisation:
    """The normalisation whose :meth:`~Normalisation.about` and :meth:`~Normalisation.tensors` a file holds.

    Raises
    ------
    ValueError
        If the tensors are not those that it speaks of.
    """
    constants = str(about["name"]), tuple(about["mean"]), tuple(about["std"])
    if "whitening" not in about:
        if tensors:
            raise ValueError(
                f"it holds a whitening, and says that its images are normalised as {constants[0]!r}"
            )
        return Normalisation(*constants)
    if tensors_digest(dict(tensors)) != about["sha256"]:
        held = "another whitening" if tensors else "no whitening"
        raise ValueError(f"it says that its images have {constants[0]}, and holds {held}")
    maps = tensors["centre"], tensors["transform"]
    return Whitening(*constants, about["whitening"], about["contrast"], *maps, about["fitted_on"])


def checksum(images: Tensor) -> str:
    """sha256 (hex) of training images."""
    return tensors_digest({"images": images})


def fitted(images: Tensor, kind: str) -> Whitening:
    """As :func:`fit`, from the cache if the very same images (N, c, h, w) uint8 were whitened before.

    The eigenvalues of 3,072 pixels take a minute. Whatever goes wrong with the cache, they are computed again.
    """
    if kind not in KINDS:
        raise unknown("whitening", kind, KINDS)
    path = cache.folder() / f"{FORMAT}-{kind}-{checksum(images)[:24]}.safetensors"
    try:
        tensors, about = read_tensors(path)
        found = read(about, tensors)
        assert isinstance(found, Whitening)
        return found
    except FileNotFoundError:
        log.info("fitting the %s whitening into %s", kind, path)
    except (StoreError, KeyError, TypeError, ValueError) as error:
        log.info("fitting the %s whitening again, its cache %s is unusable: %s", kind, path, error)
    found = fit(images, kind)
    try:
        write_tensors(path, found.tensors(), found.about())
    except StoreError as error:
        log.info("the %s whitening is not cached: %s", kind, error)
    return found


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

    def standard() -> Iterator[Tensor]:
        return (constants.apply(part) for part in parts())

    def prepared() -> Iterator[Tensor]:
        return map(_per_image, standard()) if how.per_image else standard()

    zero = torch.zeros((), dtype=torch.float64, device=images.device)
    centre, contrast = zero.expand(shape).clone(), 1.0
    constants = Normalisation("", (0.0,) * shape[0], (1.0,) * shape[0])
    if how.standardised:
        pixels = images[:, 0].numel()
        mean = sum((part.sum((0, 2, 3)) for part in parts()), zero) / pixels
        around = ((part - mean.view(-1, 1, 1)).square().sum((0, 2, 3)) for part in parts())
        # Over all pixels of a channel, without Bessel's correction; at this many it makes no difference.
        std = (sum(around, zero) / pixels).sqrt()
        # A NaN is named below; a constant channel stays at 0.
        std = torch.where(std == 0, 1.0, std).nan_to_num(1.0)
        constants = Normalisation("", tuple(mean.tolist()), tuple(std.tolist()))
    if how.per_image:
        contrast = float(sum((_norms(_around(part)).sum() for part in standard()), zero) / count)
    if how.centred:
        centre = sum((part.sum(0) for part in prepared()), zero) / count
    # In float64 and in chunks: D x D sums over 50,000 images.
    rows = ((part - centre).flatten(1) for part in prepared())
    covariance = sum((part.T @ part for part in rows), zero) / (count if how.relative else count - 1)
    if not bool(covariance.isfinite().all()):
        raise BadValue("images to fit a whitening hold NaN or infinite values", "images.isfinite()")
    # C = U diag(values) U', so (C + r I)^(-1/2) = U diag((values + r)^(-1/2)) U'.
    values, axes = torch.linalg.eigh(covariance)  # ascending
    added = regularisation * (values.mean() if how.relative else 1.0)
    # Rounding can make eigenvalues of a covariance negative.
    factors = (values.clamp(min=0) + added).rsqrt()
    # N images span N axes at most. The others have a variance of 0, and would be blown up most (KIP, FRePo).
    if how.limited:
        factors[: max(0, len(values) - count)] = 1.0
    transform = ((axes * factors) @ axes.T).to(dtype)
    named = f"{kind} whitening", constants.mean, constants.std
    return Whitening(*named, kind, contrast, centre, transform, checksum(images))


def _per_image(standard: Tensor) -> Tensor:
    """Images less their own mean, divided by their own norm."""
    own = _around(standard)
    # One grey level of one pixel is a norm of 0.007 or more. Below is rounding: an evenly grey image is 0.
    return own / _norms(own).clamp(min=1e-3)


def _around(images: Tensor) -> Tensor:
    return images - images.mean((-3, -2, -1), keepdim=True)


def _norms(images: Tensor) -> Tensor:
    return images.square().sum((-3, -2, -1), keepdim=True).sqrt()
