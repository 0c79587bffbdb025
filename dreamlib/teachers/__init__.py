"""Teachers: under which weights a step is taken."""

from .base import TEACHERS, Idle, Scene, Teacher, Teaching, Untaught, register
from .experts import Experts, StoredExperts
from .models import ModelsPool
from .networks import Networks
from .pool import Pool

__all__ = [
    "TEACHERS",
    "Experts",
    "Idle",
    "ModelsPool",
    "Networks",
    "Pool",
    "Scene",
    "StoredExperts",
    "Teacher",
    "Teaching",
    "Untaught",
    "register",
]
