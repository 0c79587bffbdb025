"""Drawings any notebook can use. No figure of a particular paper lives here; notebooks compose these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.pyplot import subplots
from matplotlib.text import Text
from PIL import Image

from ...core.atomic import write_atomically
from ...core.errors import BadValue
from .statistics import pooled, whole_courses
from .style import BOTH, DARK, GREY, INK, MARKERS, PALETTE, WHITE, colour, line
from .words import number, percent

WIDTH = 5.2  # inches of a figure: its texts can be read on a screen of 400 pixels, and two stand side by side
DPI = 180  # of figures that hold images
SEEN = (1.5, 12.0)  # of 255: mean change of a pixel, and that of one in a thousand, that no eye sees
ACCURACY = "test accuracy (%)"
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
        seeds pooled) and `sets`, sorted by method as given and by iteration. Of the sets judged at most steps alone.

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
    courses = whole_courses(records)
    for method in dict.fromkeys(record["method"] for record in courses):
        own = [record for record in courses if record["method"] == method]
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


def _beside(ax: Axes, text: str, at: tuple[float, float], right: float, **look: Any) -> None:
    """A small text next to a place, ``right`` points away."""
    words: dict[str, Any] = {"ha": "left", "va": "center", "fontsize": 9, **look}
    ax.annotate(text, at, **{"xytext": (right, 0), "textcoords": "offset points", **words})


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
        _, ax = subplots(figsize=(WIDTH, 3.6))
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
                    {"facecolor": WHITE, "edgecolor": "none", "alpha": 0.8, "pad": 1},
                )
                ax.plot([at], [target], marker="|", markersize=13, markeredgewidth=2, color=tone, zorder=5)
                look = {"fontsize": 9, "fontweight": "bold", "color": tone, "bbox": ground}
                _write(ax, f"{at:.0f}", (at, target), 8, **look)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ACCURACY)
    end_at_hundred(ax)
    if title:
        ax.set_title(title)
    ax.legend(loc=legend)
    return ax, reached


def end_at_hundred(ax: Axes) -> None:
    """No accuracy is above 100 %, and no axis of accuracies goes on there."""
    ax.set_ylim(top=min(100.0, ax.get_ylim()[1]))


def bars(
    labels: Sequence[str],
    means: Sequence[float | None],
    stds: Sequence[float | None] | None = None,
    reported: Sequence[float | None] | None = None,
    *,
    methods: Sequence[str] | None = None,
    quantity: str = ACCURACY,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Lying bars of measured values with whiskers; what the paper reports is an open diamond, never a bar.

    The measured number stands on its own bar, and the diamond at the bar's lower edge, so that neither covers the
    other. A value that was not measured has no bar and says "missing" in its place.

    Parameters
    ----------
    labels : sequence of str
        Left of the bars, from top to bottom.
    means, stds, reported : sequence of float or None
        One per bar; None or NaN where there is none.
    methods : sequence of str, optional
        Names that decide the colours; without them all bars are grey.
    quantity : str
        What is measured, with its unit. A percentage has an axis from 0 to 100.

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
    lengths, spread, numbers = (
        np.array(given or [None] * count, dtype=float) for given in (list(means), stds, reported)
    )
    if ax is None:
        _, ax = subplots(figsize=(WIDTH, 0.36 * count + 1.1))
    places = np.arange(count)
    known = np.isfinite(lengths)
    tones = [colour(method) for method in methods] if methods is not None else [GREY] * count
    shown = [tone for tone, there in zip(tones, known, strict=True) if there]
    ax.barh(places[known], lengths[known], height=0.66, color=shown, label="measured")
    sure = known & np.isfinite(spread)
    ax.errorbar(
        lengths[sure], places[sure], xerr=spread[sure], fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5
    )
    ends = np.fmax(lengths + np.nan_to_num(spread), numbers)
    top = 100.0 if quantity.endswith("(%)") else 1.12 * float(np.nanmax(ends, initial=0.0) or 1.0)
    for place, length, wide, tone in zip(
        places[known], lengths[known], np.nan_to_num(spread[known]), shown, strict=True
    ):
        inside = length - wide > 0.12 * top  # else the number would not fit on its bar
        at = (length - wide, place) if inside else (length + wide, place)
        side: dict[str, Any] = {"ha": "right" if inside else "left", "color": _on(tone) if inside else INK}
        _beside(ax, percent(length), at, -4 if inside else 4, **side)
    for place in places[~known]:
        grey: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontstyle": "italic", "color": GREY}
        _beside(ax, "missing", (0, place), 4, **grey)
    if reported is not None:
        there = np.isfinite(numbers)
        diamond: dict[str, Any] = {"marker": "D", "markersize": 5.5, "linestyle": "none", "zorder": 4}
        diamond |= {"markerfacecolor": WHITE, "markeredgecolor": INK, "markeredgewidth": 1.2}
        ax.plot(numbers[there], places[there] + 0.33, label="reported by the paper", **diamond)
        # A bar has the colour of its method; the legend speaks of all of them.
        marks = [Patch(color=GREY, label="measured"), *ax.get_lines()[-1:]]
        ax.legend(handles=marks, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    ax.set_xlim(0, top)
    ax.set_yticks(places, [fill(label, 24) for label in labels])
    ax.set_ylim(count - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(quantity)
    if title:
        ax.set_title(title, pad=22 if reported is not None else None)
    return ax


def _on(tone: str) -> str:
    """Black or white: what is read on a colour."""
    red, green, blue = to_rgb(tone)
    return "#1a1d21" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "#fefefe"


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float] | None]],
    *,
    xlabel: str,
    ylabel: str,
    logarithmic: bool = False,
    title: str | None = None,
    methods: Mapping[str, str] | None = None,
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
    methods : mapping of str to str, optional
        The method of a label, which then has its look.

    Raises
    ------
    BadValue
        No curve, or sequences of different lengths.
    """
    if not curves:
        raise BadValue("no curve to draw; expected at least one", "")
    if ax is None:
        _, ax = subplots(figsize=(WIDTH, 3.4))
    for position, (label, (x, means, stds)) in enumerate(curves.items()):
        places, values = np.asarray(x, dtype=float), np.asarray(means, dtype=float)
        spread = np.asarray(stds if stds is not None else np.full(len(values), np.nan), dtype=float)
        if not len(places) == len(values) == len(spread):
            raise BadValue(
                f"{label}: {len(places)} places, {len(values)} means and {len(spread)} deviations", "one each"
            )
        tone = PALETTE[position % len(PALETTE)]
        marker = MARKERS[position % len(MARKERS)]
        look: dict[str, Any] = {"color": tone, "marker": marker, "markersize": 5}
        if methods is not None and label in methods:
            look = line(methods[label])
        ax.plot(places, values, label=label, **look)
        _band(ax, places, values, spread, look["color"])
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


# ------------------------------------------------------------------------------------------------------- in words


def described(figure: Figure) -> str:
    """What a figure shows, in words for who cannot see it: each panel's title, axes, and the numbers of its marks."""
    above = figure.get_suptitle()
    panels = [told for ax in figure.axes if ax.axison and (told := _panel(ax))]
    words = " ".join(". ".join([*([above] if above else []), *panels]).split())
    return words.rstrip(".") + "." if words else "A figure."


def _panel(ax: Axes) -> str:
    title = " ".join(filter(None, (ax.get_title(loc) for loc in ("left", "center", "right"))))
    rows = [text for tick in ax.get_yticklabels() if (text := tick.get_text().replace("\n", " "))]
    if ax.images:
        told = "images" + (f" of {', '.join(dict.fromkeys(rows))}" if rows else "")
        return ": ".join(filter(None, (title, told)))
    axes = " by ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
    if ax.patches and any(isinstance(part, BarContainer) for part in ax.containers):
        shown = _bars_in_words(ax, rows)
    else:
        shown = [told for curve in ax.get_lines() if (told := _line_in_words(curve))]
        shown += [told for part in ax.containers if (told := _whiskered_in_words(part))]
        labels = [text.get_text() for text in ax.texts if text.get_text()]
        shown = shown or ([f"with the words {', '.join(labels)}"] if labels else [])
    return ": ".join(filter(None, (title, axes, "; ".join(shown))))


def _bars_in_words(ax: Axes, rows: Sequence[str]) -> list[str]:
    """Every bar with its number, and every diamond."""
    told = []
    for part in ax.containers:
        if not isinstance(part, BarContainer):
            continue
        name = str(part.get_label())
        for bar in part.patches:
            middle = round(bar.get_y() + bar.get_height() / 2)
            where = rows[middle] if 0 <= middle < len(rows) else ""
            prefix = f"{name} " if name and not name.startswith("_") and name != "measured" else ""
            told.append(f"{prefix}{where} {number(bar.get_width())}".strip())
    for curve in ax.get_lines():
        if str(curve.get_label()).startswith("reported"):
            said = zip(
                np.asarray(curve.get_ydata(), dtype=float), np.asarray(curve.get_xdata(), float), strict=True
            )
            told.append(
                "reported: "
                + ", ".join(f"{rows[round(place - 0.33)]} {number(value)}" for place, value in said)
            )
    return told


def _line_in_words(curve: Line2D) -> str:
    """A line of a legend, from its first point to its last."""
    name = str(curve.get_label())
    x, y = (np.asarray(values, dtype=float) for values in (curve.get_xdata(), curve.get_ydata()))
    there = np.isfinite(y) if len(x) == len(y) else np.zeros(0, dtype=bool)
    if name.startswith("_") or not there.any():
        return ""
    first, last = (f"{number(y[there][at])} at {x[there][at]:g}" for at in (0, -1))
    return f"{name}: {first}" + (f" to {last}" if there.sum() > 1 else "")


def _whiskered_in_words(part: Any) -> str:
    """The same of a line with whiskers, whose name matplotlib keeps apart."""
    curve = part.lines[0] if isinstance(part, ErrorbarContainer) else None
    if curve is None or str(part.get_label()).startswith("_"):
        return ""
    shown = Line2D(curve.get_xdata(), curve.get_ydata(), label=str(part.get_label()))
    return _line_in_words(shown)


# ---------------------------------------------------------------------------------------------------------- as a file


def save(fig: Figure, folder: str | Path, stem: str) -> Path:
    """Write a figure once, the same bytes for the same figure: no dates, no random ids.

    Drawings are ``stem.svg``, whose colours follow a dark page. Figures that hold images are ``stem.png``, on a
    transparent ground and with texts in a grey that is read on both; where the eye sees no difference their colours
    come from a palette. A file of the other kind, from an earlier run, is removed.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    pixels = any(ax.images for ax in fig.axes)
    path = Path(folder) / f"{stem}.{'png' if pixels else 'svg'}"
    write_atomically(path, lambda temporary: _draw(fig, temporary, pixels=pixels))
    path.with_suffix(".svg" if pixels else ".png").unlink(missing_ok=True)
    return path


def _draw(fig: Figure, path: Path, *, pixels: bool) -> None:
    if pixels:
        for text in fig.findobj(Text):
            text.set_color(BOTH)
        fig.savefig(path, format="png", metadata={"Software": None}, dpi=DPI)
        _fewer_colours(path)
        return
    with rc_context({"svg.hashsalt": "dreamlib", "svg.fonttype": "path"}):
        fig.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    drawn = path.read_text(encoding="utf-8")
    path.write_text(
        drawn.replace("</defs>", f"</defs>\n <style>{_after_dark()}</style>", 1), encoding="utf-8"
    )


def _after_dark() -> str:
    """The style of a drawing on a dark page; it has to win against the style of every mark."""
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark}!important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme:dark){{{rules}}}"


def _fewer_colours(path: Path) -> None:
    """Keep the grey of a PNG without its colours, and a palette of 256 instead of colours that look the same."""
    with Image.open(path) as picture:
        full = picture.convert("RGBA")
    colours = np.asarray(full)[..., :3]
    if (colours == colours[..., :1]).all():
        small = full.convert("LA")
    else:
        small = full.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    change = np.abs(_over_grey(full) - _over_grey(small.convert("RGBA")))
    alike = change.mean() <= SEEN[0] and np.quantile(change, 0.999) <= SEEN[1]
    (small if alike else full).save(path, format="PNG", optimize=True, dpi=(DPI, DPI))


def _over_grey(picture: Image.Image) -> np.ndarray:
    """What is seen of a transparent picture, as floats from 0 to 255."""
    pixels = np.asarray(picture, dtype=np.float32)
    share = pixels[..., 3:] / 255
    return np.asarray(pixels[..., :3] * share + 128 * (1 - share))
