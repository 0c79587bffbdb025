"""What a container is: where the distilled information is stored, how it becomes images, and how it is updated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..core.errors import BadValue, unknown
from ..core.registry import Registry
from ..data import SPACES, Normalisation
from .updates import Update

Tensors = dict[str, Tensor]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Images:
    """A set of images to train on.

    Attributes
    ----------
    images : Tensor
        (N, c, h, w), normalised as networks see them; class after class where nothing else is said.
    targets : Tensor
        (N,) int64 classes, or (N, C) floats: the training target of each image.
    rates : Tensor, optional
        Learning rates that belong to the images: (), or (E, S) of every step in every epoch, whose batches are the
        images in order, N / S at a time.
    steps : int, optional
        Of training that belong to the images (LD): networks learn for so many, and no longer.
    normalisation : Normalisation, optional
        What they are normalised with, and test images have to be; None: not known.
    """

    images: Tensor
    targets: Tensor
    rates: Tensor | None = None
    steps: int | None = None
    normalisation: Normalisation | None = None


class Source(Protocol):
    """Draws images on demand: a generator trained on a data set."""

    @property
    def device(self) -> torch.device: ...

    def draw(self, labels: Tensor, stream: torch.Generator) -> Tensor:
        """Normalised images (..., c, h, w) of ``labels`` (...), from the next numbers of ``stream``."""
        ...


class Container(Protocol):
    """Holds a synthetic set as named tensors. Implementations are frozen dataclasses.

    ``space`` is the space of the stored images, one of :data:`~dreamlib.data.SPACES`: ``"normalised"`` (DC, DSA, DM:
    normalised pixels, never clamped) or ``"unit"`` (IDC, DREAM: [0, 1]).
    """

    @property
    def space(self) -> str: ...

    def check(self, shape: Shape, num_classes: int, ipc: int) -> None:
        """Raise :class:`BadValue` when ``ipc`` images (c, h, w) of each of so many classes cannot be held."""
        ...

    def slots(self, ipc: int) -> int:
        """Images of each class that :meth:`start` takes to begin with; 0 for none."""
        ...

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: torch.Generator
    ) -> Tensors:
        """The initial tensors, from images (C, slots, c, h, w) in ``space``, if any, and random numbers."""
        ...

    def updates(self, images: Update) -> Mapping[str, Update]:
        """The update of each stored tensor, by the beginning of its name; ``images`` is the recipe's, for images."""
        ...

    def shared(self, name: str) -> bool:
        """Whether a stored tensor has no class axis in front. Its gradient is then summed over classes."""
        ...

    def project(self, stored: Tensors) -> None:
        """Project stored tensors onto their range, in place; called whenever the teacher's weights are new."""
        ...

    def training_set(
        self,
        stored: Mapping[str, Tensor],
        shape: Shape,
        num_classes: int,
        normalisation: Normalisation,
        device: torch.device | str = "cpu",
        fast: bool = False,
    ) -> Images | Source:
        """What networks are trained on when the set is used. ``fast`` may round where images are drawn."""
        ...


class ImageContainer(Container, Protocol):
    """A container whose tensors hold images, class by class, each with the label of its class."""

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        """Images (C, M, c, h, w) in ``space``, differentiable; M >= ipc is what one training epoch sees of a class."""
        ...


class OfImages:
    """What containers of images share: a frozen dataclass with a ``space``, and a ``decode`` where it differs."""

    space: str

    def slots(self, ipc: int) -> int:
        return ipc

    def check(self, shape: Shape, num_classes: int, ipc: int) -> None:
        if self.space not in SPACES:
            raise unknown("space of a container", self.space, SPACES)
        if ipc < 1:
            raise BadValue(f"IPC is {ipc}; expected at least 1 image per class", "--ipc 1")

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: torch.Generator
    ) -> Tensors:
        # A copy: the start must not change while the stored images are updated.
        assert images is not None
        return {"images": images.clone()}

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        return stored["images"]

    def targets(self, stored: Mapping[str, Tensor], each: int) -> Tensor:
        """Training targets of ``each`` decoded images of every class: (N,) classes, or (N, C) floats."""
        images = stored["images"]
        # The label is fixed: decoded image number i belongs to class i // each.
        return torch.arange(len(images), device=images.device).repeat_interleave(each)

    def rates(self, stored: Mapping[str, Tensor]) -> Tensor | None:
        """Learning rates that belong to the images; see :class:`Images`."""
        return None

    def steps(self, stored: Mapping[str, Tensor]) -> int | None:
        """Steps of training that belong to the images; see :class:`Images`."""
        return None

    def updates(self, images: Update) -> Mapping[str, Update]:
        # The empty prefix matches every name, so all stored tensors move like images.
        return {"": images}

    def shared(self, name: str) -> bool:
        return False

    def project(self, stored: Tensors) -> None:
        # IDC and DREAM clamp at the start of each outer iteration, that is with each new network, and not after every
        # step. DC, DSA and DM store normalised pixels and never clamp (released code).
        if self.space == "unit":
            for value in stored.values():
                value.clamp_(0, 1)

    def training_set(
        self,
        stored: Mapping[str, Tensor],
        shape: Shape,
        num_classes: int,
        normalisation: Normalisation,
        device: torch.device | str = "cpu",
        fast: bool = False,
    ) -> Images:
        with torch.no_grad():
            # Not clamped: images are evaluated as the last step left them (IDC, released code).
            images = normalisation.enter(self.decode(stored), self.space).to(device)
            targets, rates = self.targets(stored, images.shape[1]).to(device), self.rates(stored)
        rates = None if rates is None else rates.to(device)
        how = rates, self.steps(stored), normalisation
        # (C, M, c, h, w) to (C*M, c, h, w), class after class, as ``targets`` counts them.
        return Images(images.flatten(0, 1), targets, *how)


CONTAINERS: Registry[Container] = Registry("container")
register = CONTAINERS.register
