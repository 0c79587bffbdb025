"""Containers: where the distilled information lives."""

from .base import CONTAINERS, Container, GenerativeContainer, register
from .formation import MultiFormation
from .generator import Drawing, Generator, drawing
from .pixels import Pixels

__all__ = [
    "CONTAINERS",
    "Container",
    "Drawing",
    "GenerativeContainer",
    "Generator",
    "MultiFormation",
    "Pixels",
    "drawing",
    "register",
]
