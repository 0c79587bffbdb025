"""Every measured accuracy against the reported one: which there are, how many agree, and the picture of them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.pyplot import close, subplots

from . import style
from .cards import Card, table
from .distances import SPREADS
from .words import data_set, percent, plural, points

COLUMNS = ["profile", "label", "method", "dataset", "ipc", "measured", "std", "reported", "reported_std"]
SHAPES = {"mnist": "o", "fashionmnist": "s", "cifar10": "D", "svhn": "^", "cifar100": "v", "digits": "P"}


def comparable(cards: Iterable[Card]) -> pd.DataFrame:
    """Every accuracy that a report shows next to a reported one, each once, whatever its row is called there.

    Returns
    -------
    DataFrame
        With the columns :data:`COLUMNS`; accuracies in percent.
    """
    tables = [table(card.files["csv"]) for card in cards if "csv" in card.files]
    frames = [frame[COLUMNS] for frame in tables if set(COLUMNS) <= set(frame)]
    if not frames:
        return pd.DataFrame(columns=COLUMNS)
    every = pd.concat(frames, ignore_index=True).dropna(subset=["measured", "reported"])
    # A number that two papers print counts once, with its deviation where one of them has it.
    with_deviation_first = every.reported_std.isna().sort_values(kind="stable").index
    same = ["profile", "method", "dataset", "ipc", "reported"]
    return every.loc[with_deviation_first].drop_duplicates(same).sort_index().reset_index(drop=True)


def in_words(frame: pd.DataFrame) -> str:
    """How far measured accuracies are from the reported ones, in a sentence or three; empty for none."""
    if frame.empty:
        return ""
    gaps = frame.measured - frame.reported
    known = frame.reported_std.notna()
    near = gaps.abs() <= SPREADS * frame.reported_std
    far = frame.iloc[int(gaps.abs().argmax())]
    count = plural(len(frame), "measured number")
    gap = f"{count} with a reported one, {points(gaps.median())} points apart in the median"
    lie = "lies" if near.sum() == 1 else "lie"
    spread = f"Of the {known.sum()} with a printed standard deviation, {near.sum()} {lie} within two of it"
    ours, theirs = percent(far.measured, far["std"]), percent(far.reported, far.reported_std)
    place = f"{far.label} on {data_set(far.dataset)}, IPC {far.ipc}"
    return f"{gap}. {spread}. Farthest away: {place}, {ours} measured and {theirs} reported."


def picture(frame: pd.DataFrame, profile: str) -> str:
    """Measured against reported accuracies of one profile, with the line of equality: SVG for light and dark pages.

    A colour is a method, a filled mark one with DREAM, a shape a data set; bars are one standard deviation.

    Parameters
    ----------
    frame : DataFrame
        Of :func:`comparable`; at least one line.
    """
    style.use()
    # The picture is shown as narrow as 400 pixels: letters are large for its size.
    look: dict[Any, Any] = {"axes.labelsize": 12.5, "axes.titlesize": 13, "axes.grid.axis": "both"}
    look |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), style.INK)
    look |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 11.5)
    methods = frame.drop_duplicates("label")
    with rc_context(look):
        lines = -(-len(methods) // 3)
        figure, axes = subplots(figsize=(5, 5.2 + 0.25 * lines))
        axes.axline((0, 0), slope=1, color=style.GREY, linewidth=1.2, linestyle=(0, (4, 3)))
        for line in frame.to_dict("records"):
            bars = {"xerr": line["reported_std"], "yerr": line["std"], "elinewidth": 0.9}
            mark = _mark(str(line["method"]), SHAPES.get(str(line["dataset"]), "X"))
            axes.errorbar(line["reported"], line["measured"], clip_on=False, **bars, **mark)
        top = min(100, 20 * (1 + int(max(frame.measured.max(), frame.reported.max()) // 20)))
        ticks = range(0, top + 1, 20)
        axes.set(
            xlim=(0, top), ylim=(0, top), box_aspect=1, title=f"Profile {profile}", xticks=ticks, yticks=ticks
        )
        axes.set(xlabel="reported by the paper (%)", ylabel="measured here (%)")
        axes.annotate("equal", (top, top), (-3, -9), textcoords="offset points", ha="right", va="top", rotation=45,
                      rotation_mode="anchor", color=style.GREY, fontsize=11)  # fmt: skip
        keys = [
            Line2D([], [], linestyle="none", label=label, **_mark(method, "o"))
            for label, method in zip(methods.label, methods.method, strict=True)
        ]
        figure.legend(handles=keys, loc="outside lower center", ncols=3, handletextpad=0.1, columnspacing=1)
        shapes = [
            Line2D([], [], linestyle="none", label=data_set(name), **_mark("whole", SHAPES.get(name, "X")))
            for name in frame.dataset.unique()
        ]
        axes.legend(
            handles=shapes, loc="lower right", handletextpad=0.1
        )  # few are better than the paper there
        out = io.BytesIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        close(figure)
    return for_dark_pages(out.getvalue().decode())


def _mark(method: str, shape: str) -> dict[str, Any]:
    tone = style.colour(method)
    face = tone if style.with_dream(method) else "none"
    return {"color": tone, "marker": shape, "markersize": 8, "markerfacecolor": face, "markeredgewidth": 1.7}


def for_dark_pages(svg: str) -> str:
    """A picture of matplotlib's with a style of its own on dark pages: what is dark in it becomes light."""
    rules = "".join(
        f'[style*="{part}: {plain}"]{{{part}:{other}!important}}'
        for plain, other in style.DARK.items()
        for part in ("fill", "stroke")
    )
    head, tag, rest = svg.partition("<defs>")
    return f"{head}<style>@media (prefers-color-scheme: dark){{{rules}}}</style>{tag}{rest}"
