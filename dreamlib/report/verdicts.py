"""Whether a claim holds, where numbers can also leave it open: True, False, or None for "not decided"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

Verdict = bool | None
CLEAR = 2.0  # standard errors


class Measured(Protocol):
    """A line of :meth:`~dreamlib.report.tables.AccuracyTable.frame`."""

    measured: float
    std: float
    n: int


def beats(one: Measured, other: Measured) -> Verdict:
    """Whether a mean is higher than another: None unless they differ by :data:`CLEAR` standard errors.

    The standard error is that of the difference of two independent means, over all trained networks. Networks trained
    on one synthetic set share its luck, which this does not see: with one set a row it is a low bar. A row of a single
    network, whose standard deviation is not known, is told apart from nothing.
    """
    gap = one.measured - other.measured
    error = (one.std**2 / one.n + other.std**2 / other.n) ** 0.5
    return bool(gap > 0) if abs(gap) > CLEAR * error else None


def negation(verdict: Verdict) -> Verdict:
    """Not; open stays open."""
    return None if verdict is None else not verdict


def every(verdicts: Iterable[Verdict]) -> Verdict:
    """And: False as soon as one is, and True only if there are some and all are."""
    found = list(verdicts)
    if False in found:
        return False
    return True if found and None not in found else None
