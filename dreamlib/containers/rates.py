"""Steps of training: for each step an image of every class, and a learned rate for each step of each epoch (DD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import BadValue
from .base import OfImages, Shape, Tensors, register
from .updates import Adam, State, Update


def raw_rate(rate: Tensor) -> Tensor:
    """The number whose ``softplus`` is ``rate``, which is above 0. DD learns it in place of a rate (released code)."""
    # log(exp(r) - 1) = r + log(1 - exp(-r)), which does not overflow.
    return rate + (-torch.expm1(-rate)).log()


@dataclass(frozen=True)
class Falling(Adam):
    """Adam whose rate is multiplied by ``by`` after every ``every`` steps (DD, released code: StepLR).

    Parameters
    ----------
    every : int
        At least 1.
    by : float
        Above 0.
    """

    lr: float = 0.01
    betas: tuple[float, float] = (0.5, 0.999)
    every: int = 1960
    by: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every < 1 or not self.by > 0:
            raise BadValue(
                f"a rate that is multiplied by {self.by} every {self.every} steps; expected above 0, and at least 1",
                "Falling(every=1960, by=0.5)",
            )

    @torch.no_grad()
    def __call__(
        self, tensor: Tensor, gradient: Tensor, state: State, lr_factor: float = 1.0
    ) -> tuple[Tensor, State]:
        # The step count of Adam itself says how often the rate has fallen.
        return super().__call__(
            tensor, gradient, state, lr_factor * self.by ** (int(state["step"]) // self.every)
        )


@register("steps")
@dataclass(frozen=True)
class Steps(OfImages):
    """``images`` (C, S, c, h, w), step s of S is one image of every class; ``raw_rates`` (E, S), see :func:`raw_rate`.

    As many images of each class as there are steps. Training uses them E times.

    Parameters
    ----------
    space : str
        As of :class:`~dreamlib.containers.Pixels`.
    epochs : int
        E.
    rate : float
        That all steps begin with, above 0.
    images_by : Update, optional
        How images move; None: they stay, and the rates alone are learned.
    rates_by : Update
        How raw rates move.
    """

    space: str = "normalised"
    epochs: int = 3
    rate: float = 0.02
    images_by: Update | None = field(default_factory=Falling)
    rates_by: Update = field(default_factory=Falling)

    def check(self, shape: Shape, num_classes: int, ipc: int) -> None:
        super().check(shape, num_classes, ipc)
        if self.epochs < 1 or not self.rate > 0:
            raise BadValue(
                f"{self.epochs} epochs of steps at a rate of {self.rate}; expected at least 1, and a rate above 0",
                "Steps(epochs=3, rate=0.02)",
            )

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: torch.Generator
    ) -> Tensors:
        assert images is not None
        rates = images.new_full((self.epochs, ipc), self.rate)
        return {"images": images.clone(), "raw_rates": raw_rate(rates)}

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        """(S, C, c, h, w): in the order of the steps."""
        # A step is a batch: training goes through the first axis, which holds steps here and classes elsewhere.
        return stored["images"].transpose(0, 1)

    def targets(self, stored: Mapping[str, Tensor], each: int) -> Tensor:
        classes, steps = stored["images"].shape[:2]
        # In every step one image of each class, in order.
        return torch.arange(classes, device=stored["images"].device).repeat(steps)

    def rates(self, stored: Mapping[str, Tensor]) -> Tensor:
        return F.softplus(stored["raw_rates"])

    def shared(self, name: str) -> bool:
        return name == "raw_rates"

    def updates(self, images: Update) -> Mapping[str, Update]:
        return {"raw_rates": self.rates_by} | ({} if self.images_by is None else {"images": self.images_by})

    def project(self, stored: Tensors) -> None:
        if self.space == "unit":
            stored["images"].clamp_(0, 1)
