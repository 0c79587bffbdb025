"""The usual sampler: real images at random."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .base import View, register


@register("random")
@dataclass(frozen=True)
class Random:
    """Uniform draws without replacement within each class: what every method used before DREAM."""

    every: int = 1

    def choose(self, view: View) -> Tensor:
        return view.data.draw(view.batch, view.generator)
