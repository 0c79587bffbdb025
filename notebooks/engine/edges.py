"""Whether a rate that was taken lies at the edge of the rates that were tried: then a better one may lie beyond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dreamlib.core.errors import BadValue


@dataclass(frozen=True)
class Edge:
    """Where a rate lies among those that were tried. Made by :func:`edge`.

    Attributes
    ----------
    beyond : str
        What was not tried on its open side: ``"higher"``, ``"lower"``, or empty where others lie on both sides.
    rising : bool
        Whether accuracy rises from the rate next to it to the edge.
    """

    beyond: str = ""
    rising: bool = False

    @property
    def words(self) -> str:
        """For the evidence; empty inside."""
        if not self.beyond:
            return ""
        if self.rising:
            return f"at the edge of what was tried: a {self.beyond} rate may be better still"
        return "at the edge of what was tried, but accuracy does not rise towards it"


def edge(accuracies: Mapping[float, float], taken: float) -> Edge:
    """Where the rate that was taken lies.

    Parameters
    ----------
    accuracies : mapping of float to float
        Accuracy on held-out images (%) by rate, of every rate that was tried.
    taken : float
        One of them.

    Raises
    ------
    BadValue
        The rate is not among those tried, or they are fewer than two: one alone has no side.
    """
    rates = sorted(accuracies)
    if taken not in accuracies or len(rates) < 2:
        told = ", ".join(f"{rate:g}" for rate in rates)
        raise BadValue(f"rate {taken:g} among {told or 'none'}; expected one of two rates or more", "")
    place = rates.index(taken)
    if 0 < place < len(rates) - 1:
        return Edge()
    beyond, inside = ("higher", rates[-2]) if place else ("lower", rates[1])
    return Edge(beyond, accuracies[taken] > accuracies[inside])
