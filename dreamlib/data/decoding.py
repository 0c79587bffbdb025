"""Encoded image files to one uint8 array, by several threads."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageOps

from ..core.errors import DataError
from ..core.limits import MOST_PIXELS, check_fits

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF")
CHUNK = 256
# What each 8-bit mode is read as when nobody says; transparent images need to be told.
PLAIN = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
TRANSPARENT = ("LA", "PA", "RGBA")
SIXTEEN = ("I;16", "I;16B", "I;16L")
CONVERT = "@rgb behind the name of the data set, as in folder:PATH@rgb, reads all in colour; @grey reads all in grey"


def decode(
    count: int, fetch: Callable[[int], bytes], label: Callable[[int], str], mode: str | None = None
) -> np.ndarray:
    """Decode ``count`` images of one size and colour mode.

    Parameters
    ----------
    count : int
        Number of images, at least 1.
    fetch : callable
        ``fetch(i)`` gives the encoded bytes of image i; called from several threads.
    label : callable
        ``label(i)`` names image i in error messages.
    mode : {None, "L", "RGB"}
        Convert to this mode; None: all must be grey, or all colour.

    Returns
    -------
    ndarray
        uint8 (count, c, h, w), c = 1 or 3.

    Raises
    ------
    DataError
        Naming the first image that cannot be decoded, or that differs from image 0 in size or mode.
    """
    first = pixels(fetch(0), label(0), mode)
    check_fits(count * first.size, f"{count} images like {label(0)}", "resize the images first", DataError)
    # The first image gives size and mode, so the array is allocated once, and memory is checked before.
    out = np.empty((count, *first.shape), dtype=np.uint8)

    def fill(start: int) -> None:
        for i in range(start, min(start + CHUNK, count)):
            image = pixels(fetch(i), label(i), mode)
            if image.shape != first.shape:
                raise DataError(
                    f"{label(i)} is {_form(image)}, but {label(0)} is {_form(first)}; all must be alike",
                    "resize the images first" if image.shape[0] == first.shape[0] else CONVERT,
                )
            out[i] = image

    # Threads are enough: Pillow lets go of the interpreter's lock while it decodes.
    with ThreadPoolExecutor() as threads:
        for _ in threads.map(fill, range(0, count, CHUNK)):
            pass
    return out


def pixels(encoded: bytes, label: str, mode: str | None) -> np.ndarray:
    """One image file as uint8 (c, h, w), turned as a camera noted; arguments and errors as for :func:`decode`.

    Of 16 bits the upper 8 are read, when ``mode`` says what to convert to.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if math.prod(image.size) > MOST_PIXELS:  # known from the header, before anything is decoded
                width, height = image.size
                raise ValueError(
                    f"it has {width} x {height} pixels; resize it to at most {MOST_PIXELS:,} pixels"
                )
            found, transparent = image.mode, image.has_transparency_data
            # MPO: a phone's photograph with a preview as its second frame.
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            # Nobody says what lies behind a transparent pixel, so that has to be asked for.
            target = mode or (None if transparent else PLAIN.get(found))
            # Before anything is measured: a phone stores photographs lying on their side.
            ImageOps.exif_transpose(image, in_place=True)
            eight: Image.Image = image
            if target and frames == 1 and found in SIXTEEN:
                # The upper 8 of 16 bits. A conversion that clips at 255 leaves most images white.
                eight = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if target and frames == 1 and (found in PLAIN or found in TRANSPARENT or found in SIXTEEN):
                # Pillow warns when it drops transparency from a palette in one step.
                plain = eight.convert("RGBA") if transparent else eight
                array = np.asarray(plain if plain.mode == target else plain.convert(target))
                return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise DataError(f"{label} cannot be decoded: {error}") from error
    if frames > 1:
        raise DataError(f"{label} holds {frames} images; expected one", "save each as a file of its own")
    kind = f"{found} with transparency" if transparent else found
    known = transparent or found in SIXTEEN
    hint = CONVERT if known else "save it as 8-bit PNG, in grey or RGB"
    raise DataError(f"{label} has image mode {kind}, expected 8-bit grey or RGB", hint)


def _form(image: np.ndarray) -> str:
    channels, height, width = image.shape
    return f"{height}x{width} {'grey' if channels == 1 else 'RGB'}"
