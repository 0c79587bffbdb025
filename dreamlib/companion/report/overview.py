"""What the README shows of the records: the table that matters, and one picture."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from ...core.atomic import write_atomically, write_text
from ...core.errors import DataError, StoreError
from . import figures, style
from .accuracies import Accuracies, Column, Entry
from .agreement import agreement
from .html import read
from .layouts import MARKDOWN, markdown
from .reported import where
from .words import NOTHING, data_set, number, percent, plural

COLUMNS = 6  # of the README's table: those in which most methods can be compared
INKS = {"": "#1f2328", "-dark": "#e4e7eb"}  # letters on light and dark pages, by the end of a file's name


def compared(table: Accuracies) -> list[Column]:
    """The columns with most entries that are both measured and reported, by data set as in the table, and by budget."""
    counts = {column: len(_both(table, column)) for column in table.columns}
    most = sorted((column for column in counts if counts[column]), key=lambda column: -counts[column])
    names = list(dict.fromkeys(name for name, _ in table.columns))
    return sorted(most[:COLUMNS], key=lambda column: (names.index(column[0]), int(column[1])))


def _both(table: Accuracies, column: Column) -> dict[int, Entry]:
    entries = {index: table.entries[index, column] for index in range(len(table.rows))}
    return {index: entry for index, entry in entries.items() if entry.difference is not None}


def summary(tables: Iterable[Accuracies]) -> str:
    """The table of the README: measured, and in brackets reported, with the agreement of their orders; Markdown.

    Parameters
    ----------
    tables : iterable of Accuracies
        The first with a entry that is both measured and reported is shown.

    Raises
    ------
    StoreError
        There is none.
    """
    table = next(filter(compared, tables), None)
    if table is None:
        raise StoreError("no measured number has a reported one next to it", "make table1 PROFILE=paper")
    say, places = MARKDOWN, {column: _both(table, column) for column in compared(table)}
    lines = []
    for index, row in enumerate(table.rows):
        if any(index in entries for entries in places.values()):
            lines.append([say(row.label), *(_entry(entries.get(index)) for entries in places.values())])
    found = agreement(table).set_index("place")
    lines.append(
        [say("rank agreement (Kendall)", "reported"), *(_order(found, table.place(one)) for one in places)]
    )
    heads = [f"{data_set(str(name))}, IPC {budget}" for name, budget in places]
    entries = [entry for column in places.values() for entry in column.values()]
    sources = dict.fromkeys(where(entry.number.paper, entry.number.item) for entry in entries if entry.number)
    stands = {(entry.n, entry.sets) for entry in entries}
    on = " or ".join(
        f"{plural(n, 'network')} on {plural(sets, 'synthetic set')}" for n, sets in sorted(stands)
    )
    told = (
        f"Top-1 test accuracy in percent, measured here ± standard deviation over {on}; in brackets as reported in "
        f"{' and '.join(sources)}. {table.reading}"
    )
    return markdown(["", *heads], lines, 1) + f"\n{told}\n"


def _entry(entry: Entry | None) -> str:
    if entry is None or entry.number is None:
        return ""
    return f"{percent(entry.mean, entry.std)} ({percent(entry.number.value, entry.number.std)})"


def _order(found: pd.DataFrame, place: str) -> str:
    if place not in found.index:
        return NOTHING
    line = found.loc[place]
    told = number(line.tau, 2)
    return told if pd.isna(line.low) else f"{told} [{number(line.low, 2)}, {number(line.high, 2)}]"


def picture(
    real: np.ndarray, distilled: np.ndarray, entries: Sequence[Entry], *, label: str, told: str, ink: str
) -> Figure:
    """Real images next to distilled ones, and how accurate networks are that were trained on the set of each method.

    Parameters
    ----------
    real, distilled : ndarray, (K, C, h, w, 1 or 3)
        K images of each of C classes, floats with 0 black and 1 white.
    entries : sequence of Entry
        Measured, of one data set and budget.
    label : str
        What distilled the images.
    told : str
        Data set, budget and profile.
    ink : str
        Colour of letters; the ground is that of the page.
    """
    style.use()
    look: dict[Any, Any] = {"axes.grid.axis": "x", "grid.color": style.GREY, "grid.linewidth": 0.3}
    for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
        look[name] = ink
    look["axes.titlecolor"], look["axes.facecolor"] = ink, "none"
    with rc_context(look):
        top, height = 0.3 + 0.3 * len(real), 0.21 * len(entries) + 0.8
        figure = Figure(figsize=(6.4, top + height), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(top, height))
        grids, chart = parts
        shown = {"Real images": real, f"Distilled by {label}": distilled}
        for axes, (title, images) in zip(grids.subplots(1, 2), shown.items(), strict=True):
            figures.image_grid(images.reshape(-1, *images.shape[2:]), images.shape[1], title, ax=axes)
            axes.set_xlabel("")
        axes = chart.subplots()
        ordered = sorted(entries, key=lambda entry: entry.mean or 0.0)
        for place, entry in enumerate(ordered):
            tone = style.colour((entry.row.method or "").removesuffix("+common"))
            look = {"color": tone, "edgecolor": "none", "ecolor": ink, "height": 0.72, "capsize": 2}
            axes.barh(place, entry.mean or 0.0, xerr=entry.std, **look)
            axes.text(
                1, place, percent(entry.mean), va="center", fontsize=9, color="white", fontweight="bold"
            )
            if entry.number:
                axes.plot(entry.number.value, place, "D", color=ink, markerfacecolor="none", markersize=6)
        axes.set_yticks(range(len(ordered)), [entry.row.label for entry in ordered])
        axes.set(xlim=(0, 100), ylim=(-0.6, len(ordered) - 0.4), title=told)
        axes.set_xlabel(
            "test accuracy (%)" + ("; ◇ as reported" if any(entry.number for entry in ordered) else "")
        )
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a picture with a clear ground, in few colours."""
    raw, few = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=200, facecolor="none", metadata={"Software": None})
    Image.open(raw).quantize(128, Image.Quantize.FASTOCTREE).save(few, "png", optimize=True)
    return write_atomically(path, lambda temporary: temporary.write_bytes(few.getvalue()))


def described(entries: Sequence[Entry], label: str, told: str) -> str:
    """What the picture shows, in words, with its numbers."""
    ordered = sorted(entries, key=lambda entry: -(entry.mean or 0.0))
    listed = ", ".join(f"{entry.row.label} {percent(entry.mean)}" for entry in ordered)
    return (
        f"Real images, images distilled by {label}, and test accuracy in percent by method; {told}: {listed}."
    )


def put(page: Path, name: str, text: str) -> bool:
    """Replace what stands in a Markdown file between ``<!-- name -->`` and ``<!-- end of name -->``.

    Returns
    -------
    bool
        Whether the file changed.

    Raises
    ------
    DataError
        The file has no such place, or several.
    """
    before = read(page).decode()
    after, places = re.subn(
        f"(<!-- {name}\\b[^>]*-->\n).*?(<!-- end of {name} -->)",
        lambda found: f"{found[1]}\n{text.strip()}\n\n{found[2]}",
        before,
        flags=re.DOTALL,
    )
    if places != 1:
        raise DataError(
            f"{page} has {places} places <!-- {name} -->; expected one", f"git checkout {page.name}"
        )
    if after != before:
        write_text(page, after)
    return after != before


def block_of(page: Path, name: str) -> str:
    """What stands at such a place."""
    found = re.search(f"<!-- {name}\\b[^>]*-->\n(.*?)<!-- end of {name} -->", read(page).decode(), re.DOTALL)
    return found[1].strip() + "\n" if found else ""


def image(files: Mapping[str, str], alt: str, told: str) -> str:
    """The picture in Markdown, one for light and one for dark pages, with what is told below it."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{files["-dark"]}">'
        f'<img src="{files[""]}" width="520" alt="{alt}"></picture>\n\n*{told}*\n'
    )
