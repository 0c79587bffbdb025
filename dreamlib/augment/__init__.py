"""Differentiable augmentation: Siamese transforms shared by real and synthetic images, and CutMix."""

from .mixing import cutmix
from .siamese import Siamese, Transform, names, strategy_for

__all__ = ["Siamese", "Transform", "cutmix", "names", "strategy_for"]
