"""The networks under which images are compared and distilled sets are judged.

A :class:`NetworkSpec` is data; :func:`build` turns it into a module, and :func:`initialise` draws new
weights. Every network has ``forward(x) -> logits``, ``features(x)``, ``feature_size`` and
``classifier``.
"""

from .biggan import BigGANDiscriminator, BigGANGenerator
from .generative import DiscriminatorNetwork, EncoderNetwork, GeneratorNetwork
from .network import Network, batch_norms, build, embed, largest_map, misfit, parameter_count
from .outline import Layer, blocks, forward_operations, layers
from .spec import NetworkSpec, names
from .weights import initialise

__all__ = [
    "BigGANDiscriminator",
    "BigGANGenerator",
    "DiscriminatorNetwork",
    "EncoderNetwork",
    "GeneratorNetwork",
    "Layer",
    "Network",
    "NetworkSpec",
    "batch_norms",
    "blocks",
    "build",
    "embed",
    "forward_operations",
    "initialise",
    "largest_map",
    "layers",
    "misfit",
    "names",
    "parameter_count",
]
