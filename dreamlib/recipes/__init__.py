"""Recipes: methods, evaluation protocols and profiles by name. Data with sources; no algorithm lives here."""

from .method import Method
from .profiles import Profile, profiles
from .protocols import protocol
from .published import methods
from .rules import Rule, apply, rule
from .search import Search, SearchSpace, architecture

__all__ = [
    "Method",
    "Profile",
    "Rule",
    "Search",
    "SearchSpace",
    "apply",
    "architecture",
    "methods",
    "profiles",
    "protocol",
    "rule",
]
