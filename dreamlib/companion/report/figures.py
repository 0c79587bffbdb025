"""Drawings any notebook can use. No figure of a particular paper lives here; notebooks compose these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from ...core.atomic import write_atomically
from ...core.errors import BadValue
from .statistics import pooled
from .style import GREY, MARKERS, PALETTE, colour, line
from .words import percent

NOTE: dict[str, Any] = {"fontsize": 8.5, "color": GREY}  # small print below a picture


def image_grid(
    images: np.ndarray,
    columns: int,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    *,
    padding: int = 1,
    enlarge: float = 1.0,
) -> tuple[Axes, float]:
    """Draw images in rows of `columns`.

    Parameters
    ----------
    images : ndarray, (N, h, w, 1 or 3) or (N, h, w)
        Floats with 0 black and 1 white.
    columns : int
        Images in a row.
    title : str, optional
        Above the grid.
    row_labels : sequence of str, optional
        Left of the rows.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    padding : int
        Pixels of white between images.
    enlarge : float
        Size of a new figure, relative to 0.55 inch per image.

    Returns
    -------
    Axes
        Where it was drawn.
    float
        Fraction of all values outside [0, 1]. They are drawn as 0 or 1, and a line below the grid says so.

    Raises
    ------
    BadValue
        Another shape, NaN or infinity, integers, or another number of labels than rows.
    """
    pixels = np.asarray(images)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3) or not pixels.size:
        raise BadValue(
            f"images of shape {np.shape(images)}; expected (N, h, w), (N, h, w, 1) or (N, h, w, 3)",
            "tensors are (N, c, h, w): use .permute(0, 2, 3, 1).numpy()",
        )
    if not np.issubdtype(pixels.dtype, np.floating):
        raise BadValue(f"images of dtype {pixels.dtype}; expected floats from 0 to 1", "images / 255.0")
    if not np.isfinite(pixels).all():
        raise BadValue("images hold NaN or infinity", "look for a diverged run")
    if columns < 1:
        raise BadValue(f"columns is {columns}; expected at least 1", "")
    count, height, width, channels = pixels.shape
    lines = math.ceil(count / columns)
    if row_labels is not None and len(row_labels) != lines:
        raise BadValue(f"{len(row_labels)} row labels for {lines} rows", "one label per row")
    clipped = float(np.mean((pixels < 0) | (pixels > 1)))

    sheet = np.ones((lines * (height + padding) - padding, columns * (width + padding) - padding, channels))
    for position, picture in enumerate(np.clip(pixels, 0, 1)):
        top, left = position // columns * (height + padding), position % columns * (width + padding)
        sheet[top : top + height, left : left + width] = picture
    if ax is None:
        _, ax = subplots(figsize=(max(2.0, 0.55 * columns * enlarge), max(1.0, 0.55 * lines * enlarge) + 0.3))
    ax.imshow(
        sheet.squeeze(-1) if channels == 1 else sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    if row_labels is not None:
        ax.set_yticks([row * (height + padding) + (height - 1) / 2 for row in range(lines)], list(row_labels))
        ax.tick_params(axis="y", length=0)
    if title:
        ax.set_title(title)
    if clipped:
        ax.set_xlabel(f"{_share(clipped)} of the values lie outside [0, 1] and are clipped", **NOTE)
    return ax, clipped


def _share(part: float) -> str:
    return "less than 0.1 %" if part < 0.001 else f"{100 * part:.1f} %"


def image_panels(
    panels: Mapping[str, np.ndarray],
    *,
    row_labels: Sequence[str] | None = None,
    across: int = 4,
    title: str | None = None,
) -> Figure:
    """Several grids of images side by side, each under its own title.

    Values outside [0, 1] are drawn as 0 or 1, and a line below all of them says how many a panel has at most.

    Parameters
    ----------
    panels : mapping of str to ndarray, (R, K, h, w, 1 or 3)
        R rows of K images, floats with 0 black and 1 white.
    row_labels : sequence of str, optional
        Left of the rows of the first panel of every line.
    across : int
        Panels in a line.
    title : str, optional
        Above all of them.

    Raises
    ------
    BadValue
        No panel, one of another number of dimensions, or whatever :func:`image_grid` refuses.
    """
    for name, images in panels.items():
        if np.ndim(images) != 5:
            raise BadValue(f"{name}: images of shape {np.shape(images)}; expected (R, K, h, w, 1 or 3)", "")
    if not panels or across < 1:
        raise BadValue(f"{len(panels)} panels, {across} in a line; expected at least one of each", "")
    across = min(across, len(panels))
    down = math.ceil(len(panels) / across)
    rows = max(len(images) for images in panels.values())
    columns = max(images.shape[1] for images in panels.values())
    each = (max(1.6, 0.34 * columns + 0.3), 0.34 * rows + 0.4)
    figure, axes = subplots(down, across, figsize=(each[0] * across, each[1] * down + 0.3), squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    most = 0.0
    for position, (name, images) in enumerate(panels.items()):
        ax = axes.flat[position]
        labels = row_labels if position % across == 0 else None
        _, clipped = image_grid(
            np.concatenate(list(images)), images.shape[1], title=name, row_labels=labels, ax=ax
        )
        ax.set_xlabel("")  # a panel is narrower than this line
        most = max(most, clipped)
    if most:
        figure.supxlabel(
            f"up to {_share(most)} of a panel's values lie outside [0, 1] and are clipped", **NOTE
        )
    if title:
        figure.suptitle(title)
    return figure


def crossing(
    curve_iterations: Sequence[float] | np.ndarray, curve_means: Sequence[float] | np.ndarray, target: float
) -> float | None:
    """The first iteration, linearly interpolated, at which a curve reaches `target`; None if it never does.

    Parameters
    ----------
    curve_iterations, curve_means : sequence of float
        The curve, in any order of iterations; points with NaN are left out.
    target : float
        In the unit of the means.

    Raises
    ------
    BadValue
        The two have different lengths.
    """
    iterations, means = np.asarray(curve_iterations, dtype=float), np.asarray(curve_means, dtype=float)
    if iterations.shape != means.shape or iterations.ndim != 1:
        raise BadValue(
            f"a curve of {iterations.shape} iterations and {means.shape} means", "one mean per iteration"
        )
    known = np.isfinite(iterations) & np.isfinite(means)
    order = np.argsort(iterations[known], kind="stable")
    iterations, means = iterations[known][order], means[known][order]
    reached = np.flatnonzero(means >= target)
    if not len(reached):
        return None
    at = int(reached[0])
    if at == 0:
        return float(iterations[0])
    share = (target - means[at - 1]) / (means[at] - means[at - 1])
    return float(iterations[at - 1] + share * (iterations[at] - iterations[at - 1]))


def curve_frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Accuracy along distillation, from records that were evaluated at several iterations.

    Returns
    -------
    DataFrame
        `method`, `label`, `iteration`, `mean`, `std` (ddof 1, NaN for a single network), `n` (networks, all
        seeds pooled) and `sets`, sorted by method as given and by iteration.

    Raises
    ------
    BadValue
        Records of more than one data set, budget or profile: they are different curves.
    """
    kinds = {(record["profile"], record["dataset"], record["ipc"]) for record in records}
    if len(kinds) > 1:
        raise BadValue(
            f"{len(kinds)} different (profile, data set, images per class) in one frame: {sorted(kinds)}",
            "filter the records to one of them",
        )
    lines = []
    for method in dict.fromkeys(record["method"] for record in records):
        own = [record for record in records if record["method"] == method]
        for iteration in sorted({int(record["iteration"]) for record in own}):
            found = [record for record in own if int(record["iteration"]) == iteration]
            line = {"method": method, "label": found[0]["label"], "iteration": iteration, **pooled(found)}
            lines.append({**line, "sets": len({record["seed"] for record in found})})
    return pd.DataFrame(lines, columns=["method", "label", "iteration", "mean", "std", "n", "sets"])


def _band(ax: Axes, x: np.ndarray, means: np.ndarray, spread: np.ndarray, tone: str) -> None:
    """One standard deviation on either side of a curve, where there is one."""
    if np.isfinite(spread).any():
        ax.fill_between(x, means - spread, means + spread, color=tone, alpha=0.14, linewidth=0)


def _write(ax: Axes, text: str, at: tuple[float, float], up: float, **look: Any) -> None:
    """A small text above a place, ``up`` points higher."""
    words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8.5, **look}
    ax.annotate(text, at, **{"xytext": (0, up), "textcoords": "offset points", **words})


def accuracy_curves(
    frame: pd.DataFrame,
    *,
    target: float | None = None,
    target_label: str = "",
    title: str | None = None,
    xlabel: str = "distillation iterations",
    legend: Literal["lower right", "lower left", "upper right"] = "lower right",
    ax: Axes | None = None,
) -> tuple[Axes, dict[str, float | None]]:
    """Accuracy against distillation iterations, or whatever `iteration` counts, with a band of one standard deviation.

    Parameters
    ----------
    frame : DataFrame
        Columns `method`, `label`, `iteration`, `mean`, `std`, `n`, as :func:`curve_frame` makes them.
    target : float, optional
        An accuracy; a line is drawn there, and where each curve first reaches it is marked.
    target_label : str
        Written at that line.
    title : str, optional
    xlabel : str
        What `iteration` counts.
    legend : {"lower right", "lower left", "upper right"}
        Where matplotlib places the legend.
    ax : Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    Axes
        Where it was drawn.
    dict
        Method to the iteration at which it reaches the target, None if it does not; empty without a target.

    Raises
    ------
    BadValue
        A column is missing.
    """
    wanted = ["method", "label", "iteration", "mean", "std", "n"]
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        raise BadValue(
            f"curves need the columns {', '.join(wanted)}; missing: {', '.join(absent)}",
            "curve_frame(records)",
        )
    if ax is None:
        _, ax = subplots(figsize=(6.4, 4.0))
    reached: dict[str, float | None] = {}
    for method in dict.fromkeys(frame["method"]):
        curve = frame[frame["method"] == method].sort_values("iteration")
        steps, means = curve["iteration"].to_numpy(float), curve["mean"].to_numpy(float)
        spread = curve["std"].to_numpy(float)
        counts = sorted(set(curve["n"]))
        n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]}–{counts[-1]}"
        ax.plot(steps, means, label=f"{curve['label'].iloc[0]} ({n})", **line(method))
        _band(ax, steps, means, spread, colour(method))
        if target is not None:
            reached[method] = crossing(steps, means, target)
    if target is not None:
        ax.axhline(target, color=GREY, linewidth=1, linestyle=(0, (1, 2)))
        if target_label:
            # Curves start low, so the left end of the line is free.
            left = {"xycoords": ("axes fraction", "data"), "xytext": (4, 3), "ha": "left", "color": GREY}
            _write(ax, target_label, (0, target), 3, **left)
        for method, at in reached.items():
            if at is not None:
                tone, ground = (
                    colour(method),
                    {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
                )
                ax.plot([at], [target], marker="|", markersize=13, markeredgewidth=2, color=tone, zorder=5)
                look = {"fontsize": 9, "fontweight": "bold", "color": tone, "bbox": ground}
                _write(ax, f"{at:.0f}", (at, target), 8, **look)
    ax.set_xlabel(xlabel)
    ax.set_ylabel("test accuracy (%)")
    if title:
        ax.set_title(title)
    ax.legend(loc=legend)
    return ax, reached


def bars(
    labels: Sequence[str],
    means: Sequence[float | None],
    stds: Sequence[float | None] | None = None,
    reported: Sequence[float | None] | None = None,
    *,
    methods: Sequence[str] | None = None,
    ylabel: str = "test accuracy (%)",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Bars of measured values with error bars; what the paper reports is an open diamond, never a bar.

    A value that was not measured has no bar and says "missing" in its place.

    Parameters
    ----------
    labels : sequence of str
        Below the bars.
    means, stds, reported : sequence of float or None
        One per bar; None or NaN where there is none.
    methods : sequence of str, optional
        Names that decide the colours; without them all bars are alike.

    Raises
    ------
    BadValue
        Sequences of different lengths.
    """
    count = len(labels)
    for name, given in (("means", means), ("stds", stds), ("reported", reported), ("methods", methods)):
        if given is not None and len(given) != count:
            raise BadValue(f"{count} labels and {len(given)} {name}", "one per bar")
    # What is None becomes NaN.
    heights, spread, numbers = (
        np.array(given or [None] * count, dtype=float) for given in (list(means), stds, reported)
    )
    if ax is None:
        _, ax = subplots(figsize=(max(6.0, 0.75 * count + 1.2), 3.6))
    places = np.arange(count)
    known = np.isfinite(heights)
    tones = [colour(method) for method in methods] if methods is not None else [PALETTE[0]] * count
    shown = [tone for tone, there in zip(tones, known, strict=True) if there]
    ax.bar(places[known], heights[known], width=0.62, color=shown, alpha=0.85, label="measured")
    sure = known & np.isfinite(spread)
    ax.errorbar(
        places[sure], heights[sure], spread[sure], fmt="none", ecolor="#111827", elinewidth=1.2, capsize=3
    )
    tops = np.fmax(heights + np.nan_to_num(spread), numbers)
    for place, height, top in zip(places[known], heights[known], tops[known], strict=True):
        _write(ax, percent(height), (place, top), 6)
    for place in places[~known]:
        look = {"xycoords": ("data", "axes fraction"), "fontstyle": "italic", "color": GREY, "rotation": 90}
        _write(ax, "missing", (place, 0), 4, **look)
    if reported is not None:
        there = np.isfinite(numbers)
        diamond: dict[str, Any] = {"marker": "D", "markersize": 7, "linestyle": "none", "zorder": 4}
        diamond |= {"markerfacecolor": "white", "markeredgecolor": "#111827", "markeredgewidth": 1.3}
        ax.plot(places[there] + 0.2, numbers[there], label="reported by the paper", **diamond)
        ax.legend(loc="upper left", ncols=2)
        ax.set_ylim(top=1.25 * np.nanmax(tops, initial=1.0))
    elif known.any():
        ax.set_ylim(top=1.1 * np.nanmax(tops))  # room for the numbers below the title
    ax.set_xticks(places, list(labels))
    ax.set_xlim(-0.6, count - 0.4)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(title)
    return ax


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float] | None]],
    *,
    xlabel: str,
    ylabel: str,
    logarithmic: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Any quantities as lines, each with a band of one standard deviation.

    Parameters
    ----------
    curves : mapping
        Label to (x, means, standard deviations or None).
    xlabel, ylabel : str
        What is drawn, with units.
    logarithmic : bool
        A logarithmic x axis that still shows 0.

    Raises
    ------
    BadValue
        No curve, or sequences of different lengths.
    """
    if not curves:
        raise BadValue("no curve to draw; expected at least one", "")
    if ax is None:
        _, ax = subplots(figsize=(6.4, 3.6))
    for position, (label, (x, means, stds)) in enumerate(curves.items()):
        places, values = np.asarray(x, dtype=float), np.asarray(means, dtype=float)
        spread = np.asarray(stds if stds is not None else np.full(len(values), np.nan), dtype=float)
        if not len(places) == len(values) == len(spread):
            raise BadValue(
                f"{label}: {len(places)} places, {len(values)} means and {len(spread)} deviations", "one each"
            )
        tone = PALETTE[position % len(PALETTE)]
        marker = MARKERS[position % len(MARKERS)]
        ax.plot(places, values, label=label, color=tone, marker=marker, markersize=5)
        _band(ax, places, values, spread, tone)
    if logarithmic:
        ax.set_xscale("symlog", linthresh=1, linscale=0.4)
        shown = sorted({float(place) for x, _, _ in curves.values() for place in x})
        ax.set_xticks(shown, [f"{place:g}" for place in shown])
        ax.minorticks_off()
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(title)
    ax.legend(loc="best")
    return ax


def save(fig: Figure, folder: str | Path, stem: str, kinds: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write ``stem.png`` and ``stem.svg``, the same bytes for the same figure: no dates, no random ids.

    ``kinds`` can leave out the SVG of a figure that holds nothing but pixels.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    undated: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    return [_save_as(fig, Path(folder) / f"{stem}.{kind}", undated[kind]) for kind in kinds]


def _save_as(fig: Figure, path: Path, metadata: dict[str, None]) -> Path:
    def fill(temporary: Path) -> None:
        with rc_context({"svg.hashsalt": "dreamlib", "svg.fonttype": "path"}):
            fig.savefig(temporary, format=path.suffix[1:], metadata=metadata)

    return write_atomically(path, fill)
