"""Rules: how one recipe differs by data set, budget or profile, with the source of each difference."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any, TypeVar

from ..distillation.recipe import change

D = TypeVar("D")


@dataclass(frozen=True)
class Rule:
    """ "Where these hold, set these fields", as data.

    Attributes
    ----------
    where : tuple of (name, allowed values)
        Facts of the cell: ``dataset``, ``ipc``, ``method`` ... All must hold. Empty always holds. A fact may have
        several values (a method and those it is a variant of); one of them is enough. Allowed values are a tuple, or a
        ``range`` of budgets.
    change : tuple of (dotted path, value)
        Fields of the dataclass the rule is applied to.
    source : str
        Where the values come from.
    """

    where: tuple[tuple[str, Container[Any]], ...]
    change: tuple[tuple[str, Any], ...]
    source: str

    def holds(self, facts: dict[str, Any]) -> bool:
        """Whether every condition is met."""

        def values(name: str) -> tuple[Any, ...]:
            fact = facts.get(name)
            return fact if isinstance(fact, tuple) else (fact,)

        return all(any(value in allowed for value in values(name)) for name, allowed in self.where)


def rule(source: str, change: dict[str, Any], **where: Any) -> Rule:
    """Shorthand: ``rule("released code", {"iterations": 1000}, dataset="mnist", ipc=(1, 10))``."""
    conditions = tuple(
        (name, value if isinstance(value, tuple | range) else (value,)) for name, value in where.items()
    )
    return Rule(conditions, tuple(change.items()), source)


def apply(data: D, rules: tuple[Rule, ...], facts: dict[str, Any]) -> tuple[D, dict[str, str]]:
    """``data`` after all rules that hold, in order, and the source of each field they set."""
    sources = {}
    for entry in rules:
        if entry.holds(facts):
            for path, value in entry.change:
                # Later rules win: a profile's come after a method's, and the caller's own come last.
                data = change(data, path, value)
                sources[path] = entry.source
    return data, sources
