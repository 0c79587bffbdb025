"""What a coreset is: a choice of real images, made once, by a network that may be trained on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..core.registry import Registry
from ..samplers import View


@dataclass(frozen=True)
class History:
    """Statistics of each image from training the embedding network on the whole set.

    Attributes
    ----------
    forgotten : Tensor
        (C, N) int64: how often the image went from classified correctly to wrongly between two of its visits (Toneva
        et al. 2019, section 3); -1 where it was never classified correctly.
    """

    forgotten: Tensor


class Coreset(Protocol):
    """Chooses the images a synthetic set starts from, or consists of. Implementations are frozen dataclasses.

    ``epochs`` is the number of passes over the real data for which the network of ``view`` is trained first; 0 leaves
    it as initialised.
    """

    @property
    def epochs(self) -> int: ...

    def choose(self, view: View, history: History) -> Tensor | None:
        """Positions within each class, (C, ``view.batch``) int64; None starts from Gaussian noise instead."""
        ...


CORESETS: Registry[Coreset] = Registry("coreset")
register = CORESETS.register
