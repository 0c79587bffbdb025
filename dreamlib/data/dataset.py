"""A data set: four tensors, the names of its classes and its normalisation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from ..core.errors import DataError
from .normalisation import Normalisation, measured
from .whitening import Whitening, fitted


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test images with labels, held on the CPU as they were read.

    Parameters
    ----------
    name : str
        What it was loaded as.
    train_images, test_images : Tensor
        uint8 (N, c, h, w), values 0 to 255.
    train_labels, test_labels : Tensor
        int64 (N,), values 0 to C - 1.
    classes : tuple of str
        The C class names, in label order.
    normalisation : Normalisation
        Constants for c channels.

    Raises
    ------
    DataError
        If shapes, dtypes, channels or labels do not fit each other, or a class has no training image.
    BadValue
        If the normalisation is a whitening that was fitted on other training images.
    """

    name: str
    train_images: Tensor = field(repr=False)
    train_labels: Tensor = field(repr=False)
    test_images: Tensor = field(repr=False)
    test_labels: Tensor = field(repr=False)
    classes: tuple[str, ...]
    normalisation: Normalisation

    def __post_init__(self) -> None:
        _check_split(self.name, "train", self.train_images, self.train_labels, self.classes)
        _check_split(self.name, "test", self.test_images, self.test_labels, self.classes)
        train, test = tuple(self.train_images.shape[1:]), tuple(self.test_images.shape[1:])
        if train != test:
            raise DataError(
                f"{self.name}: training images are {train}, test images {test} (channels, height, width)"
            )
        if train[0] != self.normalisation.channels:
            channels = self.normalisation.channels
            raise DataError(f"{self.name}: images have {train[0]} channels, its normalisation {channels}")
        if isinstance(self.normalisation, Whitening):
            self.normalisation.check(self.name, self.train_images)
        empty = (
            (torch.bincount(self.train_labels, minlength=len(self.classes)) == 0).nonzero().flatten().tolist()
        )
        if empty:
            shown = ", ".join(f"{i} ({self.classes[i]!r})" for i in empty[:5]) + (
                " ..." if len(empty) > 5 else ""
            )
            raise DataError(
                f"{self.name}: no training image of {len(empty)} of {len(self.classes)} classes: {shown}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.classes)

    def normalised_as(self, normalisation: Normalisation) -> Dataset:
        """The same images with other constants; nothing is copied."""
        return self if normalisation == self.normalisation else replace(self, normalisation=normalisation)

    def whitened(self, kind: str) -> Dataset:
        """The same images, whitened as their training images say: one of :data:`~dreamlib.data.whitening.KINDS`."""
        return self.normalised_as(self.whitening(kind))

    def whitening(self, kind: str) -> Whitening:
        """What :meth:`whitened` normalises with; fitted once, and then read from the cache.

        Raises
        ------
        UnknownName
            For another kind.
        """
        if kind not in self._whitenings:
            self._whitenings[kind] = fitted(self.train_images, kind)
        return self._whitenings[kind]

    @cached_property
    def pixel_normalisation(self) -> Normalisation:
        """Mean and standard deviation of all pixels of the training images, measured."""
        return measured(self.train_images)

    @cached_property
    def _whitenings(self) -> dict[str, Whitening]:
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the shapes, labels and images of both parts, in their order; names do not count."""
        digest = hashlib.sha256()
        # Names do not count: the same images under another path are the same data.
        for part in (self.train_labels, self.train_images, self.test_labels, self.test_images):
            # The shape too: 32x32 grey and 1024 pixels in a row have the same bytes.
            digest.update(repr(tuple(part.shape)).encode())
            digest.update(part.contiguous().numpy().data)
        return digest.hexdigest()


def _check_split(name: str, part: str, images: Tensor, labels: Tensor, classes: tuple[str, ...]) -> None:
    if images.dtype != torch.uint8 or images.dim() != 4:
        found = f"{images.dtype} {tuple(images.shape)}"
        raise DataError(f"{name}: {part} images are {found}, expected uint8 (N, channels, height, width)")
    if labels.dtype != torch.int64 or labels.dim() != 1:
        raise DataError(
            f"{name}: {part} labels are {labels.dtype} {tuple(labels.shape)}, expected int64 (N,)"
        )
    if len(images) != len(labels):
        raise DataError(f"{name}: {len(images)} {part} images, but {len(labels)} labels")
    if not images.numel():
        raise DataError(f"{name}: the {part} part is empty, its shape is {tuple(images.shape)}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(classes):
        wrong = low if low < 0 else high
        raise DataError(
            f"{name}: {part} label {wrong} is outside 0 to {len(classes) - 1} ({len(classes)} classes)",
            # -1 says that a class is not known: test parts of competitions have no other label.
            f"{name}@holdout, tested on training images" if wrong == -1 and part == "test" else "",
        )
