"""What every reader returns: four arrays and the class names, not yet checked against each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# What the parts of a data set are called, in folders and in files alike; of several the first one is taken.
TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation", "dev")


class Arrays(NamedTuple):
    """Images uint8 (N, c, h, w), labels int64 (N,), and the names of the classes in label order."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
