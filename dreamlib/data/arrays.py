"""What every reader returns: four arrays and the class names, not yet checked against each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Arrays(NamedTuple):
    """Images uint8 (N, c, h, w), labels int64 (N,), and the names of the classes in label order."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
