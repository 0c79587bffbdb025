"""The result of training a coreset's network on the real images: its weights."""

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


@register("embedding")
@dataclass(frozen=True)
class EmbeddingNetwork:
    """Every weight and running statistic of one network by its name, (1, ...).

    Not a synthetic set: coresets are chosen by it. Before the end of the training it is the network that was drawn.

    Parameters
    ----------
    network : NetworkSpec
        Its architecture.
    """

    network: NetworkSpec = field(default_factory=NetworkSpec)
    space = "normalised"

    def check(self, shape: Shape, num_classes: int, ipc: int) -> None:
        return

    def slots(self, ipc: int) -> int:
        return 0

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: Generator
    ) -> Tensors:
        return Stack(self.network, shape, num_classes, 1, stream).tensors

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
        raise BadValue(
            "a coreset's network is weights, and no images to train on", "a set that is chosen by it"
        )
