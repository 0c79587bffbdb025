"""dreamlib: dataset distillation that can be reproduced.

>>> from dreamlib import methods, samplers
>>> methods["dc"].using(sampler=samplers.Representative()).label
'DC+DREAM'
"""

from . import containers, coresets, matchers, samplers
from .distill import distill
from .distilled import DistilledGenerator, DistilledSet, export, load_generator, load_set
from .evaluate import evaluate
from .recipes import methods, profiles

__all__ = [
    "DistilledGenerator",
    "DistilledSet",
    "containers",
    "coresets",
    "distill",
    "evaluate",
    "export",
    "load_generator",
    "load_set",
    "matchers",
    "methods",
    "profiles",
    "samplers",
]
