"""Data sets as uint8 tensors, their normalisations, and the view by class that samplers draw from."""

from .classes import ClassData
from .dataset import Dataset
from .loading import load, names
from .normalisation import Normalisation, statistics

__all__ = ["ClassData", "Dataset", "Normalisation", "load", "names", "statistics"]
