"""Containers: where the distilled information lives."""

from .answers import Answers
from .base import CONTAINERS, Container, ImageContainer, Images, OfImages, Source, register
from .formation import MultiFormation
from .generator import Drawing, Generator, drawing
from .paced import Paced
from .pixels import Pixels
from .trajectories import Trajectories
from .updates import SGD, Adam, ClassByClass, Moves, Update

__all__ = [
    "CONTAINERS",
    "SGD",
    "Adam",
    "Answers",
    "ClassByClass",
    "Container",
    "Drawing",
    "Generator",
    "ImageContainer",
    "Images",
    "Moves",
    "MultiFormation",
    "OfImages",
    "Paced",
    "Pixels",
    "Source",
    "Trajectories",
    "Update",
    "drawing",
    "register",
]
