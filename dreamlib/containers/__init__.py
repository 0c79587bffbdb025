"""Containers: where the distilled information lives."""

from .base import CONTAINERS, Container, register
from .formation import MultiFormation
from .pixels import Pixels

__all__ = ["CONTAINERS", "Container", "MultiFormation", "Pixels", "register"]
