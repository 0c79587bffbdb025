"""Criteria: what a distillation minimises. And objectives: the losses of generative models."""

from .adversarial import Adversarial
from .base import (
    CRITERIA,
    SNAPSHOTS,
    Criterion,
    Descent,
    OfSteps,
    Stateless,
    StepResult,
    register,
    snapshot_steps,
)
from .biggan import Hinge
from .embedding import Embedding
from .experts import Learning
from .generative import Generative
from .labelling import Labelling, RidgeHead
from .matching import Matching
from .moments import MomentMatching
from .objective import OBJECTIVES, Batch, Objective
from .trajectory import Trajectory
from .unrolling import Unrolling
from .variational import Variational

__all__ = [
    "CRITERIA",
    "OBJECTIVES",
    "SNAPSHOTS",
    "Adversarial",
    "Batch",
    "Criterion",
    "Descent",
    "Embedding",
    "Generative",
    "Hinge",
    "Labelling",
    "Learning",
    "Matching",
    "MomentMatching",
    "Objective",
    "OfSteps",
    "RidgeHead",
    "Stateless",
    "StepResult",
    "Trajectory",
    "Unrolling",
    "Variational",
    "register",
    "snapshot_steps",
]
