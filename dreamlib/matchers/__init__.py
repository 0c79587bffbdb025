"""Matchers: what is compared between real and synthetic images. Each paper's matching loss stands in one file."""

from .base import MATCHERS, METRICS, Matcher, distance, exact, measure_under, register, weighs
from .classwise import GroupwiseWeights
from .feature import Feature
from .gradient import Gradient, matched_weights
from .kernel import Kernel
from .logits import Logits

__all__ = [
    "MATCHERS",
    "METRICS",
    "Feature",
    "Gradient",
    "GroupwiseWeights",
    "Kernel",
    "Logits",
    "Matcher",
    "distance",
    "exact",
    "matched_weights",
    "measure_under",
    "register",
    "weighs",
]
