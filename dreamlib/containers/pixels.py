"""The simplest container: one stored image is one training image."""

from __future__ import annotations

from dataclasses import dataclass

from .base import OfImages, register


@register("pixels")
@dataclass(frozen=True)
class Pixels(OfImages):
    """Images as they are (DC, DSA, DM and the coresets).

    Parameters
    ----------
    space : str
        ``"normalised"`` or ``"unit"``.
    """

    space: str = "normalised"
