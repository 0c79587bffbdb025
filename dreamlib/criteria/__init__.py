"""Criteria: what is lowered, step by step. And objectives, which say how well a generator does."""

from .adversarial import Adversarial
from .base import (
    CRITERIA,
    SNAPSHOTS,
    Bare,
    Criterion,
    Descent,
    OfSteps,
    Pull,
    register,
    snapshot_steps,
)
from .biggan import Hinge
from .experts import Learning
from .generative import Generative
from .matching import Matching
from .moments import MomentMatching
from .objective import OBJECTIVES, Batch, Objective
from .trajectory import Trajectory
from .variational import Variational

__all__ = [
    "CRITERIA",
    "OBJECTIVES",
    "SNAPSHOTS",
    "Adversarial",
    "Bare",
    "Batch",
    "Criterion",
    "Descent",
    "Generative",
    "Hinge",
    "Learning",
    "Matching",
    "MomentMatching",
    "Objective",
    "OfSteps",
    "Pull",
    "Trajectory",
    "Variational",
    "register",
    "snapshot_steps",
]
