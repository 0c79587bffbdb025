"""Accuracy against what it costs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.pyplot import subplots

from dreamlib.companion.report.style import GREY, line
from dreamlib.core.errors import BadValue


def accuracy_seconds(
    frame: pd.DataFrame,
    *,
    reported: Mapping[str, float] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Accuracy against the seconds of distillation: a curve where a method has several points, else a mark.

    Parameters
    ----------
    frame : DataFrame
        Columns `method`, `label`, `seconds`, `mean`, `std` and `n`.
    reported : mapping of str to float, optional
        Accuracies a paper prints, by what they are: plotted as lines, since no seconds belong to them here.
    title : str, optional
    ax : Axes, optional
        Where to plot; a new figure otherwise.

    Raises
    ------
    BadValue
        A column is missing, or there is no line.
    """
    wanted = ["method", "label", "seconds", "mean", "std", "n"]
    absent = [name for name in wanted if name not in frame.columns]
    if absent or frame.empty:
        raise BadValue(f"accuracy against seconds: missing {', '.join(absent) or 'every point'}", "")
    if ax is None:
        _, ax = subplots(figsize=(6.4, 4.0))
    for method in dict.fromkeys(frame["method"]):
        curve = frame[frame["method"] == method].sort_values("seconds")
        ax.errorbar(
            curve["seconds"],
            curve["mean"],
            curve["std"],
            label=f"{curve['label'].iloc[0]} (n = {int(curve['n'].min())})",
            elinewidth=1,
            capsize=2,
            **line(method),
        )
    for position, (label, value) in enumerate((reported or {}).items()):
        ax.axhline(value, color=GREY, linewidth=1, linestyle=(0, (1, 2 + 2 * position)), label=label)
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    longest = max(1.0, float(frame["seconds"].max()))
    ticks = [first * 10**power for power in range(7) for first in (1, 2, 5)]
    ax.set_xticks([0, *ticks], [f"{tick:g}" for tick in (0, *ticks)])
    ax.minorticks_off()
    ax.set_xlim(0, 1.3 * longest)
    ax.set_xlabel("seconds of distillation")
    ax.set_ylabel("test accuracy (%)")
    if title:
        ax.set_title(title)
    # Curves rise to the right and reported lines cross all of the axes, so the legend stands outside.
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return ax
