"""Random crops and mirroring: how networks are usually trained on CIFAR."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def crops(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    """A crop of each image, its borders reflected, and half of the crops mirrored. Pixels are copied.

    Source: DD (Wang et al. 2018), released code, on CIFAR-10.

    Parameters
    ----------
    images : Tensor
        (B, c, h, w), floating point.
    pad : int
        Pixels of the border, in [0, side - 1]: an image moves by up to so many, either way.
    generator : torch.Generator
        Draws three numbers for each image.

    Returns
    -------
    Tensor
        Of the shape and dtype of ``images``.
    """
    drawn = torch.rand(len(images), 3, generator=generator, device=generator.device).to(images.device)
    # From 0 to 2 * pad: where the crop begins in the padded image.
    top, left = (drawn[:, :2] * (2 * pad + 1)).long().unbind(1)
    rows, columns = (
        begin[:, None] + torch.arange(side, device=images.device)
        for begin, side in zip((top, left), images.shape[2:], strict=True)
    )
    columns = torch.where(drawn[:, 2:] < 0.5, columns.flip(1), columns)
    image, channel = (torch.arange(size, device=images.device) for size in images.shape[:2])
    padded = F.pad(images, (pad,) * 4, mode="reflect")
    return padded[
        image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None]
    ]
