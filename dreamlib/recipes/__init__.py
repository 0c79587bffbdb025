"""Recipes: methods and evaluation protocols by name. Data with sources; no algorithm lives here."""

from .generators import POOLS, models
from .method import Method, changes
from .protocols import protocol
from .published import methods
from .ridge import KERNEL_METHODS
from .rules import Rule, apply, rule
from .search import Search, SearchSpace, architecture

__all__ = [
    "KERNEL_METHODS",
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
