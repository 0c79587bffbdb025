"""The one look of every figure: fonts, palette, and a fixed colour, line and marker for every method."""

from __future__ import annotations

import colorsys
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
INK = "#1f2328"  # texts and marks that are no method's
WHITE = "#ffffff"
# What a figure's colours become on a dark page: what is dark on white would be lost there.
DARK = {
    INK: "#e4e7eb",
    GREY: "#9aa4af",
    WHITE: "#16191d",
    "#4b5563": "#9aa4af",
    "#e5e7eb": "#30363d",
    "#000000": "#ffffff",
    "#111827": "#f3f4f6",
    "#4d4d4d": "#b8bec6",
    "#0072b2": "#3d9fdb",
    "#6a4c93": "#a98fd0",
    "#8c564b": "#c08d80",
    "#3d5a98": "#7c9be0",
    "#a3416f": "#d1719f",
    "#c0392b": "#e2685d",
    "#fefefe": "#0d0f12",
}
BOTH = "#808080"  # texts of a picture made of pixels: the one grey that is read on white and on black

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
    "whole": "#111827",
    "kip": "#12a5a0",
    "frepo": "#7ca82b",
    "dd": "#a3416f",
    "ld": "#d98880",
    "mmd": "#3d5a98",
    "gan": "#c0392b",
    "gmmn": "#5d8a66",
    "vae": "#b9770e",
    "biggan": "#7d6fb0",
    "early-stopping": "#7f8c8d",
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
            "savefig.facecolor": "none",  # a page is light or dark
            "text.color": INK,
            "axes.facecolor": "none",
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
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
    """The colour of a method as ``#rrggbb``, the same in every figure; X, X+DREAM and other variants of X share it.

    A method without a fixed colour gets one that depends on its name alone, and is nobody else's.
    """
    name = _known(method)
    if name in COLOURS:
        return COLOURS[name]
    red, green, blue = colorsys.hls_to_rgb(zlib.crc32(name.encode()) % 360 / 360, 0.45, 0.45)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _known(method: str) -> str:
    """The name under which a method has its colour: ``"random+dsa"`` is random images."""
    name = SAME.get(stem(method), stem(method))
    first = name.partition("+")[0]
    return first if first in COLOURS else name


def line(method: str) -> dict[str, Any]:
    """Keyword arguments for ``plot``: thin with open markers for a base method, strong with DREAM."""
    strong = with_dream(method)
    name = _known(method)
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
