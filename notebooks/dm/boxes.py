"""Distributions as boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.pyplot import subplots

from dreamlib.companion.report.style import GREY, PALETTE
from dreamlib.core.errors import BadValue


def boxes(
    values: Mapping[str, Sequence[float] | np.ndarray],
    *,
    xlabel: str,
    reference: float | None = None,
    reference_label: str = "",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Distributions below each other: median, quartiles, and whiskers from the 5th to the 95th percentile.

    Parameters
    ----------
    values : mapping of str to sequence of float
        Label to values; NaN and infinity are an error.
    xlabel : str
        What is plotted, with its unit.
    reference : float, optional
        A value to mark with a line, and ``reference_label`` what it is.

    Raises
    ------
    BadValue
        Nothing to plot, or values that are not finite.
    """
    arrays = {label: np.asarray(one, dtype=float).ravel() for label, one in values.items()}
    for label, one in arrays.items():
        if not len(one) or not np.isfinite(one).all():
            raise BadValue(f"{label}: {len(one)} values, expected at least one and all finite", "")
    if not arrays:
        raise BadValue("no distribution to plot; expected at least one", "")
    if ax is None:
        _, ax = subplots(figsize=(6.4, 0.42 * len(arrays) + 1.2))
    for position, one in enumerate(arrays.values()):
        tone = PALETTE[position % len(PALETTE)]
        low, first, median, third, high = np.percentile(one, [5, 25, 50, 75, 95])
        ax.hlines(position, low, high, color=tone, linewidth=1.4)
        ax.hlines(position, first, third, color=tone, linewidth=9, alpha=0.55)
        ax.plot([median], [position], marker="|", markersize=11, markeredgewidth=2, color="#111827")
    if reference is not None:
        ax.axvline(reference, color=GREY, linewidth=1.2, linestyle=(0, (1, 2)), label=reference_label)
        if reference_label:
            ax.legend(loc="best")
    ax.set_yticks(range(len(arrays)), list(arrays))
    ax.set_ylim(len(arrays) - 0.4, -0.6)
    ax.grid(True, axis="x")
    ax.grid(False, axis="y")
    ax.set_xlabel(xlabel)
    if title:
        ax.set_title(title)
    return ax
