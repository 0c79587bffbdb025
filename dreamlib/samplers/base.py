"""What a sampler is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..compute.engine import Engine
from ..core.errors import BadValue, unknown
from ..core.registry import Registry
from ..data import ClassData
from ..data.classes import Fresh
from ..networks import Network, embed

# Images embedded at once. A GPU takes more, for fewer and larger launches. Memory grows with pixels, so the bound
# there is in pixels: 2,500 images of 32x32.
AT_ONCE_ON_CPU, PIXELS_ON_GPU = 500, 2500 * 32 * 32
SPACES = ("stored", "normalised", "unit")


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
    engine : Engine, optional
        Runs the network; by default eagerly, in float32.
    turn : int
        Choices made before this one.
    fresh : callable, optional
        ``fresh(p)`` is the random stream of the p-th pass over the images, from its beginning, for a sampler that runs
        through them.
    space : str
        The space the synthetic images are stored in, ``"normalised"`` or ``"unit"``.
    """

    data: ClassData
    network: Network
    batch: int
    generator: torch.Generator
    engine: Engine | None = None
    turn: int = 0
    fresh: Fresh | None = None
    space: str = "normalised"

    @property
    def fast(self) -> bool:
        """Whether speed is preferred where the result is as good, though not the same to the last bit."""
        return self.engine is not None and self.engine.mode == "fast"

    @property
    def short(self) -> torch.dtype:
        """The number format in which points may be compared where speed is preferred."""
        return torch.float32 if self.engine is None else self.engine.formats.dtype

    def candidates(self, most: int | None = None) -> tuple[Tensor, Tensor]:
        """Positions of the images to choose from, (C, P) int64, and their mask, (C, P) bool.

        None takes every image of every class (padded to the largest class); a number takes that many of each, drawn
        again at every call.
        """
        if most is None or most >= int(self.data.sizes.max()):
            return self.data.padded_index()
        if most < self.batch:
            raise BadValue(
                f"{most} candidates of each class, and {self.batch} are to be chosen of them; expected as many or more",
                f"pool={self.batch}",
            )
        # Without replacement and as many of every class, so nothing is padding.
        index = self.data.draw(min(most, self.data.smallest), self.generator)
        return index, torch.ones_like(index, dtype=torch.bool)

    def embed(self, index: Tensor, *, space: str = "normalised") -> Tensor:
        """Embedding of the images ``index`` (C, P) by the current network, (C, P, D), without gradients.

        ``space`` is ``"normalised"``, ``"unit"``, or ``"stored"``: as the synthetic images are.
        """
        if space not in SPACES:
            raise unknown("space of an embedding", space, SPACES)
        take = self.data.unit if "unit" in (space, space == "stored" and self.space) else self.data.take
        # "stored" resolves to the container's space: DREAM's released code embeds un-normalised images, because IDC's
        # container holds them so (see Representative.space).
        if self.engine is not None and not self.engine.plain:
            return self._embed_compiled(self.engine, take, index)
        # Class after class, so that only one class's images are decoded at a time.
        labels = torch.arange(len(index), device=index.device)
        rows = zip(index.split(1), labels.split(1), strict=True)
        return torch.stack([embed(self.network, take(row, label)[0]) for row, label in rows])

    def _embed_compiled(
        self, engine: Engine, take: Callable[[Tensor, Tensor], Tensor], index: Tensor
    ) -> Tensor:
        """Batches of one size, whatever the sizes of the classes: each new size would be compiled again."""
        classes, count = index.shape
        _, height, width = self.data.shape
        limit = AT_ONCE_ON_CPU if index.device.type == "cpu" else max(1, PIXELS_ON_GPU // (height * width))
        size = min(limit, index.numel())
        # (C, P) positions become one list of (class, position) pairs.
        label = torch.arange(classes, device=index.device).repeat_interleave(count)
        flat = index.flatten()
        self.network.eval()
        body = _Features(self.network)
        function, key, tensors = (
            partial(_embedded, engine, body),
            ("features", repr(self.network)),
            body.state_dict(),
        )
        out = torch.empty(len(flat), self.network.feature_size, device=index.device)
        for start in range(0, len(flat), size):
            start = min(start, len(flat) - size)  # the last batch overlaps the one before, to keep its size
            part = slice(start, start + size)
            images = take(flat[part].unsqueeze(1), label[part]).squeeze(1)
            out[part] = engine.run(key, function, tensors, images)
        return out.view(classes, count, -1)


class _Features(nn.Module):
    """``network.features`` as a module of its own, so that ``functional_call`` can put weights under it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.features(images)


def _embedded(engine: Engine, body: _Features, tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """Features (N, D) of images (N, c, h, w) under the weights ``tensors``: a pure function."""
    out: Tensor = functional_call(body, engine.lower(tensors), (engine.lower(images),))
    return out.to(images.dtype)


class Weighted(NamedTuple):
    """Real images that do not all count alike.

    Attributes
    ----------
    choice : Tensor
        (C, B) int64 positions within each class.
    shares : Tensor
        (C, B) float32, each class's sum to one: what takes the place of 1 / B in a mean over the images.
    """

    choice: Tensor
    shares: Tensor


class Sampler(Protocol):
    """Chooses the real images of a matching step. Implementations are frozen dataclasses of numbers and texts.

    ``every`` is the number of matching steps for which one choice is kept (DREAM: 10; random: 1).
    """

    @property
    def every(self) -> int: ...

    def choose(self, view: View) -> Tensor | Weighted:
        """Positions within each class, (C, ``view.batch``) int64; with shares, where they do not all count alike."""
        ...


SAMPLERS: Registry[Sampler] = Registry("sampler")
register = SAMPLERS.register
