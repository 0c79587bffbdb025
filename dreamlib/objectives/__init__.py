"""Objectives: what makes generated images resemble the data, by itself or beside a matcher."""

from .adversarial import Adversarial
from .base import OBJECTIVES, Batch, Objective, register

__all__ = ["OBJECTIVES", "Adversarial", "Batch", "Objective", "register"]
