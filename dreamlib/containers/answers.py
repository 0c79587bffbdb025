"""Images with learned labels (KIP, LD, FRePo)."""

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

    This is not the nearest point of the simplex. Where nothing is left of a row, the released code divides by zero;
    here the row becomes uniform, as LD's labels start.
    """
    # In this order: negative numbers must be gone before the sum is taken (LD, released code).
    kept = labels.clamp(0, 1)
    total = kept.sum(-1, keepdim=True)
    return torch.where(total > 0, kept / total, 1 / labels.shape[-1])


@register("answers")
@dataclass(frozen=True)
class Answers(OfImages):
    """Images, each with a number for every class as its label: ``labels`` (C, ipc, C).

    Parameters
    ----------
    space : str
        As of :class:`~dreamlib.containers.Pixels`.
    images_by, labels_by : Update, optional
        Updates of images and labels; None: they keep their start.
    begin : str
        The labels' start: ``"one-hot"``; ``"centred"``, one-hot minus 1 / C (KIP, FRePo); ``"uniform"`` (LD).
    scale : float
        Factor of the labels' start (FRePo, released code: the root of 10 / C).
    simplex : bool
        Labels stay probabilities; see :func:`project` (LD).
    timed : bool
        The set holds how long networks are trained on it: ``steps``, which the criterion sets (LD).
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
        # An integer, so that no update moves it: the criterion sets it.
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
