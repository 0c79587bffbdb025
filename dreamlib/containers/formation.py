"""IDC's multi-formation: one stored image is a mosaic of smaller ones, enlarged when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import BadValue, unknown
from .base import OfImages, Shape, Tensors, register

# IDC, section 4: all tiles of one size, or the tilings of several sizes together.
DECODINGS = ("uniform", "multi-scale")


@register("multi-formation")
@dataclass(frozen=True)
class MultiFormation(OfImages):
    """A stored image is cut into factor x factor tiles. Each tile, enlarged, is a training image (IDC, section 4).

    Parameters
    ----------
    factor : int
        Tiles along each side; 1 stores images as they are. 2 for small images, 3 for ImageNet (IDC). It must divide
        both sides of the image: the released code pads silently.
    decoding : str
        ``"uniform"``: tiles of one size, factor**2 images from one. ``"multi-scale"``: the tilings 1..factor together,
        1 + 4 + ... + factor**2 images from one.
    space : str
        ``"unit"`` (IDC, DREAM) or ``"normalised"``.
    """

    factor: int = 2
    decoding: str = "uniform"
    space: str = "unit"

    @property
    def factors(self) -> tuple[int, ...]:
        return (self.factor,) if self.decoding == "uniform" else tuple(range(1, self.factor + 1))

    def slots(self, ipc: int) -> int:
        return ipc * self.factor**2

    def check(self, shape: Shape, num_classes: int, ipc: int) -> None:
        super().check(shape, num_classes, ipc)
        if self.decoding not in DECODINGS:
            raise unknown("decoding", self.decoding, DECODINGS)
        _, height, width = shape
        for factor in self.factors:
            if factor < 1 or height % factor or width % factor:
                fits = [f for f in range(1, 9) if height % f == 0 and width % f == 0]
                raise BadValue(
                    f"factor {factor} does not divide an image of {height} x {width}; factors that do: "
                    f"{', '.join(map(str, fits))}",
                    f"factor={max(f for f in fits if f <= 3)}",
                )

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: torch.Generator
    ) -> Tensors:
        """A mosaic of shrunken images: tile k, counted row by row, takes images k * ipc to (k + 1) * ipc of a class.

        Shrinking takes the nearest pixel and averages nothing, as in the released code.
        """
        assert images is not None
        classes, _, channels, height, width = images.shape
        # "nearest" without averaging is what torch's interpolate does without a mode, as the released code calls it.
        f, h, w = self.factor, height // self.factor, width // self.factor
        small = F.interpolate(images.flatten(0, 1), size=(h, w), mode="nearest")
        # Which image goes where: (row, column, stored image), so that one stored image mixes images that stand ipc
        # apart.
        tiles = small.view(classes, f, f, ipc, channels, h, w)
        # (C, f, f, ipc, c, h, w) -> (C, ipc, c, f, h, f, w) -> (C, ipc, c, f*h, f*w).
        mosaic = tiles.permute(0, 3, 4, 1, 5, 2, 6).reshape(classes, ipc, channels, height, width)
        return {"images": mosaic.contiguous()}

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        # In multi-scale: whole images first (factor 1), then ever smaller tiles. Those of a class stay in its row.
        return torch.cat([self._tiles(stored["images"], factor) for factor in self.factors], dim=1)

    @staticmethod
    def _tiles(images: Tensor, f: int) -> Tensor:
        if f == 1:
            return images
        classes, ipc, channels, height, width = images.shape
        h, w = height // f, width // f
        # Cut: (C, ipc, c, f*h, f*w) -> (C, ipc, f, f, c, h, w). The tiles of one stored image stay adjacent.
        tiles = images.view(classes, ipc, channels, f, h, f, w).permute(0, 1, 3, 5, 2, 4, 6)
        # Enlarge each tile to the full size; differentiable, so the gradient reaches the stored pixels.
        large = F.interpolate(
            tiles.reshape(-1, channels, h, w), size=(height, width), mode="bilinear", align_corners=False
        )
        return large.view(classes, ipc * f * f, channels, height, width)
