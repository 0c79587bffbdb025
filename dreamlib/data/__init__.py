"""Data sets as uint8 tensors, their normalisations, and the view by class that samplers draw from."""

from .classes import ClassData
from .dataset import Dataset
from .loading import at_hand, check_name, class_count, data_folder, load, names, spelt
from .normalisation import SPACES, Normalisation, statistics
from .splits import derive, origin

__all__ = [
    "SPACES",
    "ClassData",
    "Dataset",
    "Normalisation",
    "at_hand",
    "check_name",
    "class_count",
    "data_folder",
    "derive",
    "load",
    "names",
    "origin",
    "spelt",
    "statistics",
]
