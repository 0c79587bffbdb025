"""The networks under which images are compared and distilled sets are judged.

A :class:`NetworkSpec` is plain data; :func:`build` turns it into a module, and :func:`initialise` draws its
weights anew. Every network has ``forward(x) -> logits``, ``features(x)``, ``feature_size`` and
``classifier``.
"""

from .network import Network, batch_norms, build, embed, parameter_count
from .spec import NetworkSpec, names
from .weights import initialise

__all__ = [
    "Network",
    "NetworkSpec",
    "batch_norms",
    "build",
    "embed",
    "initialise",
    "names",
    "parameter_count",
]
