"""Objectives: what makes generated images resemble the data, by itself or beside a matcher."""

from .adversarial import Adversarial
from .base import OBJECTIVES, Batch, Objective, register
from .biggan import Hinge
from .moments import MomentMatching
from .variational import Variational

__all__ = [
    "OBJECTIVES",
    "Adversarial",
    "Batch",
    "Hinge",
    "MomentMatching",
    "Objective",
    "Variational",
    "register",
]
