"""Augmentation: Siamese transforms shared by real and synthetic images, DC's older one, crops, and CutMix."""

from .cropping import crops
from .mixing import cutmix, cutmix_draws, mix
from .per_image import PerImage
from .siamese import Siamese, Transform, names

Augmentation = Siamese | PerImage  # what networks can be trained with

__all__ = [
    "Augmentation",
    "PerImage",
    "Siamese",
    "Transform",
    "crops",
    "cutmix",
    "cutmix_draws",
    "mix",
    "names",
]
