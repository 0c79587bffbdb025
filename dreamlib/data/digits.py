"""The 1,797 handwritten digits that ship with scikit-learn: real images without a download."""

from __future__ import annotations

import hashlib

import numpy as np

from .arrays import Arrays

SEED = 0
TEST_SHARE = 0.25


def read() -> Arrays:
    """8x8 digits with values 0 to 16 stretched to 0 to 255; a fixed quarter of every class is the test set.

    Within a class, images are ranked by the sha256 of seed and position, and the first quarter (rounded) is
    held out. No random number generator takes part, so no new version of one can change the split.
    """
    from sklearn.datasets import load_digits  # slow to import, and needed by this data set alone

    values, labels = load_digits(return_X_y=True)
    # Levels 0 to 16 become 0 to 255, as all other data sets have them.
    images = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        # Class by class, so that every digit has its quarter in the test set.
        members = sorted(np.flatnonzero(labels == label).tolist(), key=_rank)
        held_out[members[: round(TEST_SHARE * len(members))]] = True
    classes = tuple(str(digit) for digit in range(10))
    return Arrays(images[~held_out], labels[~held_out], images[held_out], labels[held_out], classes)


def _rank(position: int) -> bytes:
    return hashlib.sha256(f"dreamlib digits {SEED} {position}".encode()).digest()
