"""What a container is: where the distilled information lives, and how it becomes images."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from ..core.errors import BadValue
from ..core.registry import Registry

SPACES = ("normalised", "unit")


class Container(Protocol):
    """Holds a synthetic set as named tensors and decodes it. Implementations are frozen dataclasses.

    ``space`` is the space of the stored images: ``"normalised"`` (DC, DSA, DM: normalised pixels, never clamped) or
    ``"unit"`` (IDC, DREAM: [0, 1], clamped at the start of each outer iteration).
    """

    @property
    def space(self) -> str: ...

    def slots(self, ipc: int) -> int:
        """Real images of each class that :meth:`pack` takes to start from, for ``ipc`` stored images."""
        ...

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise :class:`BadValue` when images of ``shape`` (c, h, w) cannot be held."""
        ...

    def pack(self, images: Tensor, ipc: int) -> dict[str, Tensor]:
        """Start values from images (C, slots, c, h, w) in ``space``: tensors of shape (C, ipc, ...)."""
        ...

    def decode(self, stored: dict[str, Tensor]) -> Tensor:
        """Images (C, M, c, h, w) in ``space``, differentiable; M >= ipc is what one training epoch sees of a class."""
        ...


class GenerativeContainer(Protocol):
    """Holds a whole data set as the weights of a network that draws images. Implementations are frozen dataclasses.

    ``space`` is ``"unit"``: networks of it give images in [-1, 1], which stand for [0, 1].
    """

    @property
    def space(self) -> str: ...

    @property
    def noise(self) -> int:
        """K, standard normal numbers an image is drawn from."""
        ...

    @property
    def width(self) -> int:
        """Channels of the network, and of what is trained beside it."""
        ...

    def check(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Raise :class:`BadValue` when images of ``shape`` (c, h, w) of so many classes cannot be drawn."""
        ...

    def module(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """The network, untrained: (noise (N, K), labels (N,)) to images (N, c, h, w) in [-1, 1]."""
        ...


CONTAINERS: Registry[Container | GenerativeContainer] = Registry("container")
register = CONTAINERS.register


def check_space(space: str) -> None:
    """Raise :class:`BadValue` unless ``space`` is one of :data:`SPACES`."""
    if space not in SPACES:
        raise BadValue(f"container space {space!r}; expected one of {', '.join(SPACES)}", "")
