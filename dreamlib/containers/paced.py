"""Images, and the rate at which networks learn from them (MTT)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Generator, Tensor

from ..core.errors import BadValue
from .base import OfImages, Shape, Tensors, register
from .updates import SGD, Update


@register("paced")
@dataclass(frozen=True)
class Paced(OfImages):
    """``images`` (C, ipc, c, h, w), and ``rate``, a scalar: the rate itself, not its logarithm.

    Parameters
    ----------
    space : str
        As of :class:`~dreamlib.containers.Pixels`.
    rate : float
        What the rate begins with, above 0.
    rate_by : Update
        How it moves. MTT's learning rates for it are those of the rate itself.
    least : float
        The rate stays at this or above (HaBa, released code: 0.001). 0: it is free, and below 0 a run ends (MTT).
    """

    space: str = "normalised"
    rate: float = 0.01
    rate_by: Update = field(default_factory=lambda: SGD(1e-5, 0.5))
    least: float = 0.0

    def check(self, shape: Shape, num_classes: int, ipc: int) -> None:
        super().check(shape, num_classes, ipc)
        if not self.rate > 0 or not 0 <= self.least <= self.rate:
            raise BadValue(
                f"a rate that begins with {self.rate} and stays at {self.least} or above; expected more than 0, and no "
                "bound above it",
                "Paced(rate=0.01, least=0.0)",
            )

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: Generator
    ) -> Tensors:
        assert images is not None
        return {"images": images.clone(), "rate": images.new_tensor(self.rate)}

    def updates(self, images: Update) -> Mapping[str, Update]:
        return {"images": images, "rate": self.rate_by}

    def shared(self, name: str) -> bool:
        return name == "rate"

    def rates(self, stored: Mapping[str, Tensor]) -> Tensor:
        return stored["rate"].clamp(min=self.least) if self.least else stored["rate"]

    def project(self, stored: Tensors) -> None:
        if self.space == "unit":
            stored["images"].clamp_(0, 1)
        stored["rate"].copy_(self.rates(stored))
