"""Samplers: which real images a matching step looks at. DREAM's thesis is that this part is a plug."""

from .base import SAMPLERS, Sampler, View, Weighted, register
from .clustering import Clusters, kmeans, nearest_images
from .gradnorm import GradientNormBand, gradient_norms
from .representative import Representative, WeightedRepresentative
from .uniform import Random

__all__ = [
    "SAMPLERS",
    "Clusters",
    "GradientNormBand",
    "Random",
    "Representative",
    "Sampler",
    "View",
    "Weighted",
    "WeightedRepresentative",
    "gradient_norms",
    "kmeans",
    "nearest_images",
    "register",
]
