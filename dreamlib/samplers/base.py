"""What a sampler is, and what it may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..data import ClassData
from ..errors import BadValue
from ..networks import Network, embed
from ..registry import Registry


@dataclass(frozen=True)
class View:
    """What a sampler sees when it chooses.

    Attributes
    ----------
    data : ClassData
        The real training images, by class.
    network : Network
        The network of the current step; ``network.features(images)`` is its embedding.
    batch : int
        Real images wanted of each class.
    generator : torch.Generator
        The sampler's own random stream.
    """

    data: ClassData
    network: Network
    batch: int
    generator: torch.Generator

    def candidates(self, pool: int | None = None) -> tuple[Tensor, Tensor]:
        """Positions of the images to choose from, (C, P) int64, and their mask, (C, P) bool.

        ``pool=None`` takes every image of every class (padded to the largest class); a number takes that many of
        each, drawn anew at every call.
        """
        if pool is None or pool >= int(self.data.sizes.max()):
            return self.data.padded_index()
        if pool < self.batch:
            raise BadValue(
                f"pool {pool} is smaller than the {self.batch} images wanted of each class", "raise pool"
            )
        index = self.data.draw(min(pool, self.data.smallest), self.generator)
        return index, torch.ones_like(index, dtype=torch.bool)

    def embed(self, index: Tensor, *, space: str = "normalised") -> Tensor:
        """Embedding of the images ``index`` (C, P) by the current network, (C, P, D), without gradients."""
        take = self.data.take if space == "normalised" else self.data.unit
        rows = [
            embed(self.network, take(row.unsqueeze(0), row.new_tensor([c]))[0]) for c, row in enumerate(index)
        ]
        return torch.stack(rows)


class Sampler(Protocol):
    """Chooses the real images of a matching step. Implementations are frozen dataclasses of plain values.

    ``every`` is the number of matching steps for which one choice is kept (DREAM: 10; random: 1).
    """

    @property
    def every(self) -> int: ...

    def choose(self, view: View) -> Tensor:
        """Positions within each class, (C, ``view.batch``) int64."""
        ...


SAMPLERS: Registry[Sampler] = Registry("sampler")
register = SAMPLERS.register
