"""Containers: where the distilled information lives."""

from .answers import Answers
from .base import CONTAINERS, Container, ImageContainer, Images, OfImages, Source, register
from .embeddings import EmbeddingNetwork
from .formation import MultiFormation
from .generator import Drawing, Generator, drawing
from .paced import Paced
from .pixels import Pixels
from .rates import Falling, Steps
from .trajectories import Trajectories
from .updates import LAMB, SGD, Adam, ClassByClass, Optimiser, Update

__all__ = [
    "CONTAINERS",
    "LAMB",
    "SGD",
    "Adam",
    "Answers",
    "ClassByClass",
    "Container",
    "Drawing",
    "EmbeddingNetwork",
    "Falling",
    "Generator",
    "ImageContainer",
    "Images",
    "MultiFormation",
    "OfImages",
    "Optimiser",
    "Paced",
    "Pixels",
    "Source",
    "Steps",
    "Trajectories",
    "Update",
    "drawing",
    "register",
]
