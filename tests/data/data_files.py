"""Random images, and image files of them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def noise(count: int, shape: tuple[int, int, int] = (3, 6, 5), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    """A (c, h, w) array as the bytes of a lossless image file."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    picture.save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()
