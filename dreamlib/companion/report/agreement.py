"""Does a table order its methods as the paper does? Kendall's rank correlation of measured and reported accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .accuracies import Accuracies, Column
from .words import MEASURED

DRAWS = 2000
FEWEST = 4  # methods: of three, one exchanged pair is already a third of the correlation
COLUMNS = ("place", "methods", "tau", "low", "high", "sets")


def rank_agreement(
    measured: Sequence[Sequence[float]], reported: Sequence[tuple[float, float]]
) -> tuple[float, float, float]:
    """Kendall's tau-b between measured and reported accuracies, and its 95 % interval.

    The interval says what other synthetic sets, and other runs of the paper's, could have given: sets are drawn again
    from the measured ones (bootstrap), reported numbers from a normal distribution with the printed deviation. Of a
    method with a single set the spread between sets is not known: it is given the deviation that the paper prints for
    it, else the spread of the methods with several (pooled), else the median of the printed ones. The methods stay as
    they are.

    Parameters
    ----------
    measured : sequence of sequence of float
        The mean accuracy of every synthetic set, by method.
    reported : sequence of (float, float)
        The paper's mean and standard deviation (0 or NaN where none is printed), by method.

    Returns
    -------
    (float, float, float)
        tau, low, high, each in [-1, 1]. tau is NaN below :data:`FEWEST` methods, the interval also where nothing says
        the spread of a method with a single set.
    """
    nothing = float("nan")
    if len(measured) < FEWEST:
        return nothing, nothing, nothing
    from scipy.stats import kendalltau  # a second to import, and few pages have enough methods

    centre = np.array([value for value, _ in reported])
    tau = float(kendalltau([np.mean(sets) for sets in measured], centre).statistic)
    spread = np.nan_to_num(np.array([deviation for _, deviation in reported]))
    between = _between(measured, spread)
    assumed = [printed or between for printed in spread]
    if any(len(sets) < 2 and not deviation for sets, deviation in zip(measured, assumed, strict=True)):
        return tau, nothing, nothing
    source = np.random.default_rng(0)
    ours = np.stack(
        [
            source.choice(np.asarray(sets), (DRAWS, len(sets))).mean(1)
            if len(sets) > 1
            else sets[0] + deviation * source.standard_normal(DRAWS)
            for sets, deviation in zip(measured, assumed, strict=True)
        ],
        axis=1,
    )
    theirs = centre + spread * source.standard_normal((DRAWS, len(centre)))
    drawn = [kendalltau(a, b).statistic for a, b in zip(ours, theirs, strict=True)]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return tau, float(low), float(high)


def _between(measured: Sequence[Sequence[float]], printed: np.ndarray) -> float:
    """A standard deviation between sets: pooled over the methods with several, else the median printed one, else 0."""
    known = [np.var(sets, ddof=1) for sets in measured if len(sets) > 1]
    if known:
        return float(np.sqrt(np.mean(known)))
    return float(np.median(printed[printed > 0])) if printed.any() else 0.0


def agreement(table: Accuracies) -> pd.DataFrame:
    """How far each measured column of a table orders its methods as the paper does.

    Rows without a reported number under the same column, upper bounds, and rows that are judged in a way of their own
    do not take part.

    Returns
    -------
    DataFrame
        One line per column with :data:`FEWEST` methods or more: `place`, `methods`, `tau`, `low` and `high`
        (:func:`rank_agreement`), and `sets`, the fewest of a method.
    """
    lines = []
    for column in table.measured:
        found = _pairs(table, column)
        if len(found) < FEWEST:
            continue
        ours, theirs = zip(*found.values(), strict=True)
        tau, low, high = rank_agreement(ours, theirs)
        lines.append((table.place(column), len(found), tau, low, high, min(map(len, ours))))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _pairs(table: Accuracies, column: Column) -> Mapping[str, tuple[list[float], tuple[float, float]]]:
    found = {}
    for index, row in enumerate(table.rows):
        entry = table.entries[index, column]
        if entry.status != MEASURED or entry.number is None or row.bound or row.apart:
            continue
        sets = [float(np.mean(accuracies)) for accuracies in entry.by_seed.values()]
        found[row.label] = sets, (entry.number.value, entry.number.std or 0.0)
    return found
