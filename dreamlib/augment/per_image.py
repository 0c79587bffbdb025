"""DC's own augmentation, older than the Siamese one: every single image goes through one operation of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import BadValue, unknown

OPERATIONS = ("crop", "scale", "rotate")
NUMBERS = ("operation", "y", "x", "height", "width", "angle")  # the columns of what is drawn


@dataclass(frozen=True)
class PerImage:
    """One of the listed operations for each image, drawn image by image (DC, released code; its evaluation on MNIST).

    Not differentiable in its random choices, and not meant for matching: networks are trained with it.

    Parameters
    ----------
    strategy : str
        Operations joined by "_", out of crop, scale and rotate.
    crop : int
        Pixels that an image moves at most; it moves from ``-crop`` to ``crop - 1``. The mean of the batch comes in.
    scale : float
        Height and width are multiplied by a factor each, in [1 - scale, 1 + scale), by nearest neighbour; zeros come
        in.
    rotate : int
        Whole degrees, from ``-rotate`` to ``rotate - 1``. The mean of the batch comes in. Bicubic here, a cubic spline
        in the released code.

    Raises
    ------
    UnknownName
        For an operation that does not exist.
    BadValue
        For none, or a number outside its range.
    """

    differs: ClassVar[str] = (
        "DC's own augmentation turns images by bicubic interpolation, not by cubic splines"
    )

    strategy: str = "crop_scale_rotate"
    crop: int = 4
    scale: float = 0.2
    rotate: int = 45

    def __post_init__(self) -> None:
        for name in self.listed:
            if name not in OPERATIONS:
                raise unknown("augmentation", name, OPERATIONS, extra=", joined by '_'")
        if self.crop < 0 or not 0 <= self.scale < 1 or not 0 <= self.rotate <= 180:
            raise BadValue(
                f"augmentation crop={self.crop}, scale={self.scale}, rotate={self.rotate}; "
                "expected crop >= 0, 0 <= scale < 1, 0 <= rotate <= 180",
                "PerImage(crop=4, scale=0.2, rotate=45)",
            )

    @property
    def listed(self) -> tuple[str, ...]:
        """The operations, in their order."""
        return tuple(self.strategy.split("_"))

    def draw(self, groups: int, generator: torch.Generator, *, per_image: int | None = None) -> PerImageDraw:
        """Draw all randomness of one call, for ``groups`` groups of ``per_image`` images.

        Raises
        ------
        BadValue
            If either is below 1, or ``per_image`` is not given: no two images share anything.
        """
        if groups < 1 or per_image is None or per_image < 1:
            raise BadValue(
                f"{groups} groups of {per_image} images; expected at least one of each",
                "draw(1, g, per_image=64)",
            )
        shape = groups, per_image, len(NUMBERS)
        return PerImageDraw(self, torch.rand(shape, generator=generator, device=generator.device))

    def apply(self, images: Tensor, numbers: Tensor, choice: Tensor) -> Tensor:
        """Augmented images, from what was drawn alone.

        Parameters
        ----------
        images : Tensor
            (G, B, c, h, w), normalised.
        numbers : Tensor
            float32 (G, B, 6), uniform in [0, 1).
        choice : Tensor
            Nothing, (G, 0): the operation is one of the numbers. It stands here as it does for
            :meth:`~dreamlib.augment.Siamese.apply`.
        """
        # Six uniform numbers for each image (G, B). All are drawn whatever the operation, so the stream advances alike.
        which, y, x, tall, wide, angle = numbers.unbind(2)
        mean = images.mean(dim=(1, 3, 4), keepdim=True)  # of the batch, channel by channel
        made = {
            "crop": lambda: self._cropped(images, y, x, mean),
            "scale": lambda: self._scaled(images, tall, wide),
            "rotate": lambda: self._rotated(images, angle, mean.mean(dim=2, keepdim=True)),
        }
        out = images
        for number, name in enumerate(self.listed):
            # Every operation runs on all images and each image keeps its own: the same work whatever was drawn.
            mine = (which * len(self.listed)).long() == number
            out = torch.where(mine[:, :, None, None, None], made[name](), out)
        return out

    def _cropped(self, images: Tensor, y: Tensor, x: Tensor, fill: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        # Whole pixels from -crop to crop - 1, as numpy's randint in the released code.
        rows, columns = ((u * 2 * self.crop).long() - self.crop for u in (y, x))
        return _picked(
            images,
            _places(height, images) + rows[..., None],
            _places(width, images) + columns[..., None],
            fill,
        )

    def _scaled(self, images: Tensor, tall: Tensor, wide: Tensor) -> Tensor:
        sides = images.shape[-2:]
        scaled_sides = [
            # Whole pixels, rounded down.
            ((1 - self.scale + 2 * self.scale * u) * side).long()[..., None]
            for side, u in zip(sides, (tall, wide), strict=True)
        ]
        # The scaled image and the cut both stand in the middle of one square, as wide as the longest side of the two.
        longest = torch.maximum(*scaled_sides).clamp(min=max(sides))
        picked = []
        for side, scaled in zip(sides, scaled_sides, strict=True):
            place = _places(side, images) + (longest - side) // 2 - (longest - scaled) // 2
            # Nearest neighbour: place * side // scaled is the source pixel; -1 marks the outside.
            inside = (place >= 0) & (place < scaled)
            picked.append(torch.where(inside, place * side // scaled, -1))
        return _picked(images, picked[0], picked[1], images.new_zeros(()))

    def _rotated(self, images: Tensor, angle: Tensor, fill: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        # Whole degrees, in radians.
        turn = ((angle * 2 * self.rotate).floor() - self.rotate) * (math.pi / 180)
        y, x = (
            (torch.arange(side, device=images.device, dtype=images.dtype) - (side - 1) / 2)
            for side in (height, width)
        )
        cos, sin = turn.cos()[..., None, None], turn.sin()[..., None, None]
        # The code enlarges the canvas to what the turned image takes and cuts its middle out, to whole pixels: half a
        # pixel off where the two sizes differ by an odd number.
        grown = [
            (size * cos.abs() + other * sin.abs() + 0.5).floor() - size
            for size, other in ((height, width), (width, height))
        ]
        y, x = (
            place - (extra.remainder(2) / 2)
            for place, extra in zip((y[:, None].expand(-1, width), x.expand(height, -1)), grown, strict=True)
        )
        rows = cos * y + sin * x
        columns = cos * x - sin * y
        grid = torch.stack([columns * 2 / width, rows * 2 / height], dim=-1).flatten(0, 1)
        # Around the mean, so that what comes in from outside is the mean.
        flat = (images - fill).flatten(0, 1)
        turned = F.grid_sample(
            flat, grid.to(images.dtype), mode="bicubic", padding_mode="zeros", align_corners=False
        )
        return turned.view(images.shape) + fill


@dataclass(frozen=True, eq=False)
class PerImageDraw:
    """A drawn augmentation; calling it on images (G, B, c, h, w) is a pure function. Made by :meth:`PerImage.draw`."""

    recipe: PerImage
    numbers: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Augmented images, of the shape and dtype of ``images``."""
        if images.shape[:2] != self.numbers.shape[:2]:
            raise BadValue(
                f"a transform drawn for {tuple(self.numbers.shape[:2])} images got {tuple(images.shape[:2])}",
                f"draw({len(images)}, generator, per_image={images.shape[1]})",
            )
        return self.recipe.apply(images, *self.tensors(images.device))

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Numbers and choice for :meth:`PerImage.apply`, on ``device``."""
        return self.numbers.to(device), torch.empty(len(self.numbers), 0, dtype=torch.int64, device=device)


def _places(side: int, images: Tensor) -> Tensor:
    return torch.arange(side, device=images.device)


def _picked(images: Tensor, rows: Tensor, columns: Tensor, fill: Tensor) -> Tensor:
    """Pixels of each image at rows (G, B, h) and columns (G, B, w); ``fill`` where these lie outside."""
    height, width = images.shape[-2:]
    inside = ((rows >= 0) & (rows < height))[..., :, None] & ((columns >= 0) & (columns < width))[
        ..., None, :
    ]
    source = rows.clamp(0, height - 1)[..., :, None] * width + columns.clamp(0, width - 1)[..., None, :]
    source = source.flatten(-2)[:, :, None].expand(*images.shape[:3], -1)
    picked = images.flatten(-2).gather(-1, source).view(images.shape)
    return torch.where(inside[:, :, None], picked, fill)
