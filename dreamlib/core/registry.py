"""Names for parts. A new sampler, matcher, container or coreset is one class and one ``register`` line."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Generic, TypeVar

from .errors import BadValue, PluginError, unknown

T = TypeVar("T")

# Metadata of a field that is left out of a description while it has its default. Keys are made of descriptions, so a
# setting that came later changes none of those before it.
UNSAID = {"unsaid": True}
PLUGIN = "dreamlib_plugin_"  # what the module name of a user's file starts with


class Registry(Generic[T]):
    """A mapping from name to part class, with errors that list what there is.

    Parameters
    ----------
    kind : str
        What is registered, in the words of an error message ("sampler").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: make a frozen dataclass known under ``name``.

        Raises
        ------
        PluginError
            If the class is not a frozen dataclass (its fields are what a cell's key is made of), or if the name
            is already taken by another class.
        """

        def add(part: type[T]) -> type[T]:
            if not getattr(getattr(part, "__dataclass_params__", None), "frozen", False):
                raise PluginError(
                    f"{self.kind} {name!r} ({part.__name__}) is not a frozen dataclass",
                    "put @dataclass(frozen=True) directly under the register line",
                )
            known = self._parts.get(name)
            # The same class again is allowed: a reloaded module registers it a second time.
            if known is not None and known.__qualname__ != part.__qualname__:
                raise PluginError(f"{self.kind} {name!r} is already {known.__name__}", "choose another name")
            self._parts[name] = part
            return part

        return add

    def __getitem__(self, name: str) -> type[T]:
        if name not in self._parts:
            raise unknown(self.kind, name, self._parts)
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def name_of(self, part: object) -> str:
        """The name under which the class of ``part`` is registered."""
        for name, known in self._parts.items():
            if type(part) is known:
                return name
        raise BadValue(
            f"{type(part).__name__} is no registered {self.kind}; registered: {', '.join(self._parts)}",
            f"decorate it with @register({type(part).__name__.lower()!r})",
        )


def as_data(value: Any) -> Any:
    """``value`` as JSON-ready data: dataclasses become dicts that start with their class name.

    A part that does not come from dreamlib itself also carries a hash of its source, so that a cell computed with
    an older version of a user's sampler is never shown as the new one's.
    """
    # Most values are plain, and a table of cells asks for millions of them.
    if value is None or isinstance(value, (str, int, float)):
        return value
    if (said := _said(type(value))) is not None:  # type: ignore[arg-type]  # a class is hashable, whatever its instances
        out: dict[str, Any] = {"part": type(value).__name__}
        # A part of the library itself has no hash, so that its keys survive a refactoring.
        if not type(value).__module__.startswith("dreamlib."):
            out["source"] = hashlib.sha256(_source(type(value)).encode()).hexdigest()[:16]
        for name, unsaid in said:
            found = getattr(value, name)
            if not unsaid or found != unsaid[0]:
                out[name] = as_data(found)
        return out
    if isinstance(value, (list, tuple)):
        return [as_data(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, range):
        return str(value)
    raise BadValue(f"{value!r} ({type(value).__name__}) cannot stand in a recipe; use plain values", "")


@cache
def _said(part: type) -> tuple[tuple[str, tuple[Any, ...]], ...] | None:
    """The fields of a dataclass, each with the value it has while nothing is said of it; None of another class."""
    if not dataclasses.is_dataclass(part):
        return None
    return tuple(
        (field.name, (field.default,) if "unsaid" in field.metadata else ())
        for field in dataclasses.fields(part)
    )


def _source(part: type) -> str:
    """The text that decides what a user's part does: its whole plug-in file, helpers included, else its class."""
    module = sys.modules.get(part.__module__)
    try:
        if module is not None and part.__module__.startswith(PLUGIN):
            return inspect.getsource(module)
        return inspect.getsource(part)
    except (OSError, TypeError):
        return part.__qualname__
