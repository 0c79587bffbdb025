"""dreamlib: dataset distillation that can be reproduced.

>>> from dreamlib import methods, samplers
>>> methods["dc"].using(sampler=samplers.Representative()).label
'DC+DREAM'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from . import containers, coresets, matchers, samplers
    from .companion.library import export, load_set
    from .companion.profiles import profiles
    from .distillation.evaluate import evaluate
    from .distillation.loop import distill
    from .distillation.sets import DistilledGenerator, DistilledSet, load_generator
    from .recipes import methods

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

# Where a public name lies. It is imported when it is first asked for: PyTorch takes a second or two, and neither
# "--help" nor a page that is made of records needs it.
_HOMES = {
    "distillation.sets": ("DistilledGenerator", "DistilledSet", "load_generator"),
    "distillation.loop": ("distill",),
    "distillation.evaluate": ("evaluate",),
    "recipes": ("methods",),
    "companion.library": ("export", "load_set"),  # sets by name too
    "companion.profiles": ("profiles",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module(".core.version", __name__).version()
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME_OF.get(name)
    value = (
        import_module(f".{name}", __name__)
        if home is None
        else getattr(import_module(f".{home}", __name__), name)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
