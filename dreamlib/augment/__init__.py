"""Differentiable augmentation: Siamese transforms shared by real and synthetic images, and CutMix."""

from .mixing import cutmix, cutmix_draws, mix
from .siamese import Siamese, Transform, names, strategy_for

__all__ = ["Siamese", "Transform", "cutmix", "cutmix_draws", "mix", "names", "strategy_for"]
