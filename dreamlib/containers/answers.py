"""Images with answers of their own: what a network is to say to each is learned (KIP, LD, FRePo)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import unknown
from .base import OfImages, Shape, Tensors, register
from .updates import Update

BEGINNINGS = ("one-hot", "centred", "uniform")


def project(labels: Tensor) -> Tensor:
    """Labels (..., C) as probabilities: cut to [0, 1], then every row divided by its sum (LD, released code).

    This is not the nearest point of the simplex. A row of which nothing is left, by which the released code divides by
    zero, begins again as LD's labels begin: uniform.
    """
    # In this order: negative numbers must be gone before the sum is taken (LD, released code).
    kept = labels.clamp(0, 1)
    total = kept.sum(-1, keepdim=True)
    return torch.where(total > 0, kept / total, 1 / labels.shape[-1])


@register("answers")
@dataclass(frozen=True)
class Answers(OfImages):
    """Images, and a number for every class for each of them: ``labels`` (C, ipc, C).

    Parameters
    ----------
    space : str
        As of :class:`~dreamlib.containers.Pixels`.
    images_by, labels_by : Update, optional
        How images and labels move; None: they stay as they begin.
    begin : str
        What labels begin with: ``"one-hot"``; ``"centred"``, one-hot less 1 / C (KIP, FRePo); ``"uniform"`` (LD).
    scale : float
        Labels begin so many times as large (FRePo, released code: the root of 10 / C).
    simplex : bool
        Labels stay probabilities; see :func:`project` (LD).
    timed : bool
        How long networks are to be trained on the set is part of it: ``steps``, which the criterion sets (LD).
    """

    space: str = "normalised"
    images_by: Update | None = None
    labels_by: Update | None = None
    begin: str = "one-hot"
    scale: float = 1.0
    simplex: bool = False
    timed: bool = False

    def check(self, shape: Shape, num_classes: int, ipc: int) -> None:
        super().check(shape, num_classes, ipc)
        if self.begin not in BEGINNINGS:
            raise unknown("beginning of labels", self.begin, BEGINNINGS)

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: torch.Generator
    ) -> Tensors:
        assert images is not None
        hot = torch.eye(num_classes, device=images.device)
        rows = {
            "one-hot": hot,
            "centred": hot - 1 / num_classes,
            "uniform": torch.full_like(hot, 1 / num_classes),
        }
        labels = self.scale * rows[self.begin].unsqueeze(1).repeat(1, ipc, 1)
        stored = {"images": images.clone(), "labels": labels}
        return stored | ({"steps": torch.tensor(0, device=images.device)} if self.timed else {})

    def targets(self, stored: Mapping[str, Tensor], each: int) -> Tensor:
        return stored["labels"].flatten(0, 1)

    def steps(self, stored: Mapping[str, Tensor]) -> int | None:
        return int(stored["steps"]) if self.timed else None

    def shared(self, name: str) -> bool:
        return name == "steps"

    def updates(self, images: Update) -> Mapping[str, Update]:
        moves = {"images": self.images_by, "labels": self.labels_by}
        return {name: update for name, update in moves.items() if update is not None}

    def project(self, stored: Tensors) -> None:
        if self.space == "unit":
            stored["images"].clamp_(0, 1)
        if self.simplex:
            stored["labels"].copy_(project(stored["labels"]))
