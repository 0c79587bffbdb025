"""Coresets: real images chosen once. They are baselines by themselves and starting points for distillation."""

from .base import CORESETS, Coreset, History, register
from .selection import (
    FirstImages,
    Forgetting,
    Herding,
    KCenter,
    Nearest,
    Noise,
    RealImages,
    RepresentativeImages,
    Whole,
)

__all__ = [
    "CORESETS",
    "Coreset",
    "FirstImages",
    "Forgetting",
    "Herding",
    "History",
    "KCenter",
    "Nearest",
    "Noise",
    "RealImages",
    "RepresentativeImages",
    "Whole",
    "register",
]
