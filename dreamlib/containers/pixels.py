"""The plain container: one stored image is one training image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .base import check_space, register


@register("pixels")
@dataclass(frozen=True)
class Pixels:
    """Images as they are (DC, DSA, DM and the coresets).

    Parameters
    ----------
    space : str
        ``"normalised"`` or ``"unit"``.
    """

    space: str = "normalised"

    def slots(self, ipc: int) -> int:
        return ipc

    def check(self, shape: tuple[int, int, int]) -> None:
        check_space(self.space)

    def pack(self, images: Tensor, ipc: int) -> dict[str, Tensor]:
        return {"images": images.clone()}

    def decode(self, stored: dict[str, Tensor]) -> Tensor:
        return stored["images"]
