"""Boxes and arrows: a network as a row of blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from matplotlib.pyplot import subplots

from dreamlib.companion.report.style import GREY, PALETTE
from dreamlib.core.errors import BadValue

TONES = {
    "Linear": PALETTE[0],
    "ConvTranspose2d": PALETTE[1],
    "Conv2d": PALETTE[2],
}
STEP, HEIGHT, ROW = 1.34, 1.0, 1.55  # distance of two boxes, height of a box, distance of two rows
WIDTH = 1.08


@dataclass(frozen=True)
class Block:
    """A box: what it is, and lines of smaller text below it. Blocks of the same kind have the same colour."""

    kind: str
    title: str
    lines: tuple[str, ...] = ()


def chain(
    blocks: Sequence[Block],
    *,
    start: str,
    end: str,
    across: int = 6,
    title: str | None = None,
    tones: Mapping[str, str] = TONES,
    ax: Axes | None = None,
) -> Axes:
    """Blocks one after the other, row by row, between two words: what goes in and what comes out.

    Parameters
    ----------
    blocks : sequence of Block
        In the order in which data runs through them.
    start, end : str
        What goes in and what comes out.
    across : int
        Boxes in a row, ``start`` and ``end`` counted.
    title : str, optional
    tones : mapping of str to str
        Colour by kind; others are grey.
    ax : Axes, optional
        Where to plot; a new figure otherwise.

    Raises
    ------
    BadValue
        No block, or fewer than two boxes in a row.
    """
    if not blocks or across < 2:
        raise BadValue(f"{len(blocks)} blocks, {across} in a row; expected at least one, and two", "")
    count = len(blocks) + 2
    rows = math.ceil(count / across)
    if ax is None:
        _, ax = subplots(figsize=(1.62 * min(across, count), 1.5 * rows + 0.4))
    ax.set_axis_off()
    ax.set_xlim(-0.7, min(across, count) * STEP - 0.6)
    ax.set_ylim(-(rows - 1) * ROW - 0.75, 0.75)
    middles = [(position % across * STEP, -(position // across) * ROW) for position in range(count)]
    for (x, y), word in ((middles[0], start), (middles[-1], end)):
        ax.text(x, y, word, ha="center", va="center", fontsize=9.5, fontstyle="italic")
    for (x, y), block in zip(middles[1:-1], blocks, strict=True):
        tone = tones.get(block.kind, GREY)
        ax.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2),
                WIDTH,
                HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=tone + "22",
                edgecolor=tone,
                linewidth=1.4,
            )
        )
        ax.text(x, y + 0.33, block.title, ha="center", va="center", fontsize=9, fontweight="bold", color=tone)
        ax.text(x, y - 0.1, "\n".join(block.lines), ha="center", va="center", fontsize=7.6, linespacing=1.35)
    arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}
    for (x, y), (to, below) in pairwise(middles):
        if below == y:
            ax.annotate("", (to - WIDTH / 2 - 0.02, y), (x + WIDTH / 2 + 0.02, y), arrowprops=arrow)
        else:  # from the end of a row to the start of the next
            half = (y + below) / 2
            ax.plot([x, x, to, to], [y - HEIGHT / 2, half, half, half], color=GREY, linewidth=1.1)
            ax.annotate("", (to, below + HEIGHT / 2 + 0.02), (to, half), arrowprops=arrow)
    if title:
        ax.set_title(title)
    return ax
