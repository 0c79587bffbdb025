"""The usual sampler: real images at random."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..core.errors import BadValue, unknown
from .base import View, register

# "anew" stands in the keys of all cells, so the value keeps its name: every batch is drawn from the whole class again.
ORDERS = ("anew", "permutation")


@register("random")
@dataclass(frozen=True)
class Random:
    """Real images of each class at random: what every method used before DREAM.

    Parameters
    ----------
    order : str
        ``"anew"``: every batch is a draw without replacement from the whole class (DC, DSA, DM). ``"permutation"``:
        batches run through a permutation of the class, then through the next one, as those of a data loader (IDC,
        released code). Images at its end that do not fill a batch are left out.
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
                "order='permutation' needs the random streams of the permutations, and this view has none",
                "order='anew'",
            )
        # A batch is computed from its number alone, so a checkpoint holds no permutation.
        return view.data.turn(view.batch, view.turn, view.fresh)
