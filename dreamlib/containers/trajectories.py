"""The result of experts: the weights of networks after each epoch of their training on real images (MTT)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from ..core.errors import BadValue
from ..data import Normalisation
from ..networks import NetworkSpec
from ..networks.training import Stack
from .base import Images, Shape, Tensors, register
from .updates import Update


@register("trajectories")
@dataclass(frozen=True)
class Trajectories:
    """Every weight of E experts before the first of P epochs and after each, (E, P + 1, ...) by its name.

    Not a synthetic set: other sets are distilled by it. Epochs that are not trained yet are 0.

    Parameters
    ----------
    network : NetworkSpec
        Their architecture, without running statistics: students start from weights alone.
    count, epochs : int
        E and P, at least 1.
    """

    network: NetworkSpec = field(default_factory=NetworkSpec)
    count: int = 100
    epochs: int = 50
    space = "normalised"

    def check(self, shape: Shape, num_classes: int, ipc: int) -> None:
        if self.count < 1 or self.epochs < 1:
            raise BadValue(
                f"{self.count} experts of {self.epochs} epochs; expected at least one of each",
                "Experts(count=100)",
            )

    def slots(self, ipc: int) -> int:
        return 0

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: Generator
    ) -> Tensors:
        stack = Stack(self.network, shape, num_classes, self.count, stream)
        if len(stack.tensors) > len(stack.parameter_names):
            raise BadValue(
                f"experts of {self.network.name} with {self.network.norm} norm keep running statistics; students "
                "follow weights",
                'norm="instance"',
            )
        return {
            # Epoch 0 is the draw; the rest is filled as training goes on, so that a snapshot has one shape from the
            # start.
            name: torch.cat(
                [first[:, None], first.new_zeros(self.count, self.epochs, *first.shape[1:])], dim=1
            )
            for name, first in stack.tensors.items()
        }

    def updates(self, images: Update) -> Mapping[str, Update]:
        return {}

    def shared(self, name: str) -> bool:
        return True

    def project(self, stored: Tensors) -> None:
        return

    def training_set(
        self,
        stored: Mapping[str, Tensor],
        shape: Shape,
        num_classes: int,
        normalisation: Normalisation,
        device: torch.device | str = "cpu",
        fast: bool = False,
    ) -> Images:
        raise BadValue("experts are weights, and no images to train on", "a set that is distilled by them")
