"""Profiles: the same study at three sizes, each complete in a file of its own. A table never mixes them."""

from .base import Item, Modes, Profile, Profiles, Tried
from .cpu import cpu
from .paper import paper
from .quick import quick

__all__ = ["Item", "Modes", "Profile", "Profiles", "Tried", "profiles"]

profiles = Profiles(quick, cpu, paper)
