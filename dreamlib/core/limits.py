"""Sizes that are checked before anything takes memory: small input can ask for a lot."""

from __future__ import annotations

import os
import sys

from .errors import BadValue, DreamlibError

# Images of a class, stored or drawn: more than any real data set of these studies has.
MOST_PER_CLASS = 100_000
MOST_CELLS = 100_000  # of one study
MOST_PIXELS = 4096 * 4096  # of one real image: networks here see some ten thousand
MOST_FILE = 2**28  # bytes of one image file or list of labels


def memory() -> int:
    """Bytes of memory that this machine has; without bound where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return sys.maxsize


def check_fits(size: int, what: str, hint: str, error: type[DreamlibError] = BadValue) -> None:
    """Raise ``error`` if ``size`` bytes are more than this machine has.

    Raises
    ------
    BadValue
        Or ``error``, naming what would be too large.
    """
    if size > (most := memory()):
        raise error(f"{what}: {size / 2**30:,.0f} GiB; this machine has {most / 2**30:,.0f} GiB", hint)


def check_per_class(count: object, what: str, hint: str) -> None:
    """Raise BadValue unless ``count`` is a whole number of images of a class, from 1 to :data:`MOST_PER_CLASS`."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_PER_CLASS:
        raise BadValue(
            f"{what} is {count!r}; expected at least 1 image per class: a whole number up to {MOST_PER_CLASS}",
            hint,
        )
