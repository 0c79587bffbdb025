"""The usual sampler: real images at random."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..core.errors import BadValue, unknown
from .base import View, register

ORDERS = ("anew", "permutation")


@register("random")
@dataclass(frozen=True)
class Random:
    """Real images of each class at random: what every method used before DREAM.

    Parameters
    ----------
    order : str
        ``"anew"``: every batch is a draw without replacement from the whole class (DC, DSA, DM). ``"permutation"``:
        batches run through a permutation of the class, then through another one, as a data loader's do (IDC, released
        code); what does not fill a batch at its end is left out.
    """

    order: str = "anew"
    every: int = 1

    def choose(self, view: View) -> Tensor:
        if self.order not in ORDERS:
            raise unknown("order of real images", self.order, ORDERS)
        if self.order == "anew":
            return view.data.draw(view.batch, view.generator)
        if view.fresh is None:
            raise BadValue(
                "a sampler that runs through permutations, and a view without their random streams",
                "order='anew'",
            )
        return view.data.turn(view.batch, view.turn, view.fresh)
