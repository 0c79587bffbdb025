"""Teachers: under which weights a step is taken."""

from .aging import Aging
from .base import TEACHERS, Idle, Scene, Teacher, Teaching, Untaught, register
from .experts import Experts, StoredExperts
from .models import ModelsPool
from .networks import Networks
from .pool import Pool
from .restarting import Restarting, Restarts

__all__ = [
    "TEACHERS",
    "Aging",
    "Experts",
    "Idle",
    "ModelsPool",
    "Networks",
    "Pool",
    "Restarting",
    "Restarts",
    "Scene",
    "StoredExperts",
    "Teacher",
    "Teaching",
    "Untaught",
    "register",
]
