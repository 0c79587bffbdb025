"""Recipes: methods and evaluation protocols by name. Data with sources; no algorithm lives here."""

from . import learned as learned  # registers its methods, as the files of the other families do
from . import ridge as ridge
from . import trajectories as trajectories  # registers its methods, as the files of the other families do
from .generators import POOLS, models
from .method import Method, changes, methods
from .protocols import protocol
from .rules import Rule, apply, rule
from .search import Search, SearchSpace, architecture

__all__ = [
    "POOLS",
    "Method",
    "Rule",
    "Search",
    "SearchSpace",
    "apply",
    "architecture",
    "changes",
    "methods",
    "models",
    "protocol",
    "rule",
]
