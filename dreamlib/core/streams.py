"""Randomness by purpose: one seeded stream for each purpose, none of them global."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from .errors import BadValue


class Streams:
    """Named, independent random streams derived from one seed.

    ``streams["network"]`` is a :class:`torch.Generator` that only network initialisation uses, so that two
    methods with the same seed see the same networks even when one of them also draws for its sampler.

    Parameters
    ----------
    seed : int
        Seed of the whole cell.
    device : torch.device or str
        Device on which the generators draw.

    Raises
    ------
    BadValue
        If ``seed`` is negative.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        if seed < 0:
            raise BadValue(f"seed is {seed}; expected 0 or more", "seed=0")
        self.seed = int(seed)
        self.device = torch.device(device)
        self._streams: dict[str, torch.Generator] = {}

    def __getitem__(self, purpose: str) -> torch.Generator:
        if purpose not in self._streams:
            self._streams[purpose] = self.once(purpose)
        return self._streams[purpose]

    def once(self, purpose: str) -> torch.Generator:
        """A new stream of a purpose, from its beginning at every call; not part of :meth:`state`.

        For draws that can be repeated at any time, such as the order of one pass over the data.
        """
        # Hashed, so that streams of neighbouring seeds or purposes are independent; a sum of both would collide.
        digest = hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()
        generator = torch.Generator(device=self.device)
        generator.manual_seed(int.from_bytes(digest[:8], "little") % (1 << 63))
        return generator

    def state(self) -> dict[str, Tensor]:
        """The state of every stream used so far (uint8 tensors), for a checkpoint."""
        return {purpose: generator.get_state() for purpose, generator in self._streams.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Set every stream to the state that :meth:`state` returned."""
        self._streams.clear()
        for purpose, value in state.items():
            self[purpose].set_state(value.to(device="cpu", dtype=torch.uint8))
