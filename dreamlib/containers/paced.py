"""Images, and a learned rate at which networks are trained on them (MTT)."""

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
        The rate's start, above 0.
    rate_by : Update
        The rate's own update. MTT learns the rate itself, so ``rate_by.lr`` is in units of it.
    least : float
        The rate's lower bound (HaBa, released code: 0.001). 0: no bound, and a run ends where it falls below 0 (MTT).
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
        # Two updates: the published rate of images is 1e7 times that of the rate, or more.
        return {"images": images, "rate": self.rate_by}

    def shared(self, name: str) -> bool:
        return name == "rate"

    def rates(self, stored: Mapping[str, Tensor]) -> Tensor:
        # Also between two projections: a student must never be trained at a rate below the bound.
        return stored["rate"].clamp(min=self.least) if self.least else stored["rate"]

    def project(self, stored: Tensors) -> None:
        if self.space == "unit":
            stored["images"].clamp_(0, 1)
        stored["rate"].copy_(self.rates(stored))
