"""The one look of every figure: fonts, palette, and a fixed colour, line and marker for every method."""

from __future__ import annotations

import sys
import zlib
from typing import Any

import matplotlib
import seaborn

# Okabe and Ito's colours, which readers with any colour vision can tell apart, ordered so that neighbours in
# a legend differ in lightness too; yellow is darkened to be visible as a line on white.
PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#6a4c93",
    "#8c564b",
    "#4d4d4d",
    "#b8a600",
)
GREY = "#6b7280"

# A method keeps its colour in every figure of every paper; X and X+DREAM share one and differ in line and
# marker.
COLOURS = {
    "dm": PALETTE[0],
    "dc": PALETTE[1],
    "dsa": PALETTE[2],
    "idc": PALETTE[3],
    "dim": PALETTE[4],
    "mtt": PALETTE[5],
    "idc-dm": PALETTE[6],
    "herding": PALETTE[7],
    "random": PALETTE[8],
    "k-center": PALETTE[9],
    "forgetting": "#94a3b8",
    "whole": "#000000",
}
SAME = {"dream": "idc"}  # DREAM as such is IDC with representative matching
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h")


def use() -> None:
    """Set matplotlib and seaborn to the look of the reports. In a notebook, inline figures become sharp."""
    seaborn.set_theme(context="notebook", style="ticks", palette=list(PALETTE))
    matplotlib.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 220,
            "savefig.bbox": "tight",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 10.5,
            "axes.titlesize": 11.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": 10.5,
            "xtick.labelsize": 9.5,
            "ytick.labelsize": 9.5,
            "legend.fontsize": 9.5,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#4b5563",
            "axes.linewidth": 0.8,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.axisbelow": True,
            "grid.color": "#e5e7eb",
            "grid.linewidth": 0.8,
            "lines.linewidth": 1.7,
            "svg.fonttype": "path",  # the page must look the same without our font installed
            "svg.hashsalt": "dreamlib",
        }
    )
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina", bbox_inches="tight")


def stem(method: str) -> str:
    """The method without DREAM: ``"dc+dream"`` is ``"dc"``; a name without it stays as it is."""
    name = method.lower()
    for joint in ("+dream", "_dream", "-dream"):
        name = name.removesuffix(joint)
    return name


def with_dream(method: str) -> bool:
    """Whether a method samples representatively."""
    return stem(method) != method.lower() or stem(method) in SAME


def colour(method: str) -> str:
    """The colour of a method as ``#rrggbb``, the same in every figure; X and X+DREAM share it.

    Names without a fixed colour get one of the palette that depends on the name alone.
    """
    name = SAME.get(stem(method), stem(method))
    return COLOURS.get(name, PALETTE[zlib.crc32(name.encode()) % len(PALETTE)])


def line(method: str) -> dict[str, Any]:
    """Keyword arguments for ``plot``: thin with open markers for a base method, strong with DREAM."""
    strong = with_dream(method)
    name = SAME.get(stem(method), stem(method))
    order = list(COLOURS)
    position = order.index(name) if name in order else zlib.crc32(name.encode())
    tone = colour(method)
    return {
        "color": tone,
        "linestyle": "-",
        "linewidth": 2.6 if strong else 1.3,
        "marker": MARKERS[position % len(MARKERS)],
        "markersize": 5.5,
        "markerfacecolor": tone if strong else "white",
        "markeredgecolor": tone,
        "markeredgewidth": 1.2,
    }
