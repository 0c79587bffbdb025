"""What two kinds of budget cost: stored images (IPC), and images that a generator draws for every epoch (INPC).

The same number means different things, so this says of each how many bytes are stored, how many images a network sees,
how many of them differ, and how long it takes to serve another budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.pyplot import subplots

from dreamlib.companion.report.statistics import at_its_end, machine, pooled
from dreamlib.companion.report.style import line
from dreamlib.companion.report.words import size
from dreamlib.core.errors import BadValue

Record = Mapping[str, Any]


def kind(record: Record) -> str:
    """What the number of images of a record counts: ``"IPC"`` stored ones, ``"INPC"`` drawn ones."""
    return str(record.get("budget", "ipc")).upper()


def steps(record: Record) -> int:
    """Training steps of one network; records from before they were kept trained all their epochs."""
    if "steps_trained" in record:
        return int(record["steps_trained"])
    training = record["evaluation"]["learner"]
    return int(training["epochs"]) * -(-int(record["images_decoded"]) // int(training["batch"]))


def unequal(ours: Sequence[Record], theirs: Sequence[Record]) -> str:
    """Why two sides cannot be compared: their judging networks trained for different numbers of steps. Else ``""``.

    Accuracies at two budgets, or of stored and of drawn images, speak of the images only if the networks that learn
    from them took equally many steps. Where a side has several numbers of steps, all are listed.
    """
    one, other = (sorted({steps(record) for record in side}) for side in (ours, theirs))
    if not one or not other or one == other:
        return ""
    told = [" or ".join(f"{count:,}" for count in side) for side in (one, other)]
    return f"not comparable: the judging networks took {told[0]} training steps against {told[1]}"


def steps_told(records: Sequence[Record], group: Callable[[Record], str]) -> str:
    """How many steps the judging networks trained, by group and budget, as a sentence for the reader of a page."""
    found: dict[str, dict[int, set[int]]] = {}
    for record in records:
        found.setdefault(group(record), {}).setdefault(int(record["ipc"]), set()).add(steps(record))
    alike: dict[str, list[str]] = {}  # groups whose networks took the same steps at every budget
    for name, by in found.items():
        told = {
            ipc: " or ".join(f"{count:,}" for count in sorted(counts)) for ipc, counts in sorted(by.items())
        }
        if len(told) > 1 and len(set(told.values())) == 1:
            line = f"{next(iter(told.values()))} at {', '.join(map(str, told))}"
        else:
            line = ", ".join(f"{steps} at {ipc}" for ipc, steps in told.items())
        alike.setdefault(line, []).append(name)
    groups = [f"{', '.join(names)}: {line}" for line, names in alike.items()]
    counts = {count for by in found.values() for some in by.values() for count in some}
    if len(counts) < 2:
        return "All judging networks trained for equally many steps." if counts else ""
    return (
        f"The judging networks trained for different numbers of steps: {'; '.join(groups)} images per class. A "
        "difference between such places is one of the images and of the steps together, and decides nothing."
    )


def forward_passes(record: Record) -> int:
    """Images that one network is shown in its whole training, augmented copies and repetitions counted each."""
    images = int(record["images_decoded"])
    # DD's own steps have one image of every class.
    batch = int(record["evaluation"]["learner"].get("batch", images // max(1, int(record["ipc"]))))
    epochs, rest = divmod(steps(record), -(-images // batch))
    return epochs * images + min(rest * batch, images)


def epochs(record: Record) -> int:
    """Epochs of one network; of a learner that counts steps, those that its steps make."""
    learner = record["evaluation"]["learner"]
    return int(learner.get("epochs", forward_passes(record) // int(record["images_decoded"])))


def distinct_images(record: Record) -> int:
    """How many of these are different images before augmentation: stored ones repeat, drawn ones are always new."""
    seen = forward_passes(record)
    drawn = record["evaluation"].get("generated")
    fresh = drawn is not None and drawn["fresh"] and record["images_stored"] == 0
    return seen if fresh else min(seen, int(record["images_decoded"]))


COSTS = (
    "data set",
    "budget",
    "rows",
    "bytes stored",
    "images of an epoch",
    "epochs",
    "distinct images seen",
    "forward passes",
    "steps",
)


def costs(records: Sequence[Record], group: Callable[[Record], str]) -> pd.DataFrame:
    """What a budget costs, by data set, budget and group of rows; where the rows of a group differ, as a range.

    Parameters
    ----------
    records : sequence of dict
        As experiments write them.
    group : callable
        The group of a record's row.

    Returns
    -------
    DataFrame
        The columns of :data:`COSTS`, as text, in the order of the records within a budget. Images, passes and steps
        are those of one trained network.
    """
    places: dict[tuple[str, int, str, str], list[Record]] = {}
    for record in records:
        place = (record["dataset"], int(record["ipc"]), kind(record), group(record))
        places.setdefault(place, []).append(record)
    lines = []
    for (dataset, ipc, counted, rows), found in places.items():

        def span(of: Callable[[Record], float], words: Callable[[float], str], found: Any = found) -> str:
            values = [of(record) for record in found]
            low, high = words(min(values)), words(max(values))
            return low if low == high else f"{low} – {high}"

        lines.append(
            {
                "data set": dataset,
                "budget": f"{counted} {ipc}",
                "rows": rows,
                "bytes stored": span(lambda record: record["bytes_stored"], size),
                "images of an epoch": span(lambda record: record["images_decoded"], _count),
                "epochs": span(epochs, _count),
                "distinct images seen": span(distinct_images, _count),
                "forward passes": span(forward_passes, _count),
                "steps": span(steps, _count),
            }
        )
    order = sorted(
        range(len(lines)), key=lambda i: (list(places)[i][0], list(places)[i][1])
    )  # stable: groups keep the order of the rows
    return pd.DataFrame([lines[i] for i in order], columns=list(COSTS))


def _count(value: float) -> str:
    return f"{int(value):,}"


SERVED = ("dataset", "method", "label", "seed", "budget", "ipc", "seconds", "total", "machine")


def redeployment(records: Sequence[Record]) -> pd.DataFrame:
    """Seconds of distillation that it takes to serve one budget after the other (DiM, Figure 1d).

    A set or generator that serves several budgets is counted at the first of them.

    Returns
    -------
    DataFrame
        One line per data set, method, seed and budget, from small to large: ``seconds`` for this one when the smaller
        ones are served already, ``total`` so far, and ``machine``: "idle", or "shared machine", whose seconds no page
        shows.
    """
    places: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        if at_its_end(record):
            places.setdefault((record["dataset"], record["method"], record["seed"]), []).append(record)
    lines = []
    for (dataset, method, seed), found in places.items():
        known: set[str] = set()
        total = 0.0
        for record in sorted(found, key=lambda record: int(record["ipc"])):
            made = record["set_sha256"]
            seconds = 0.0 if made in known else float(record["seconds"]["distill"])
            known.add(made)
            total += seconds
            lines.append(
                {
                    "dataset": dataset,
                    "method": method,
                    "label": record["label"],
                    "seed": seed,
                    "budget": kind(record),
                    "ipc": int(record["ipc"]),
                    "seconds": seconds,
                    "total": total,
                    "machine": machine(record),
                }
            )
    return pd.DataFrame(lines, columns=list(SERVED))


def by_budget(records: Sequence[Record]) -> pd.DataFrame:
    """Accuracy by budget: one line per data set, method and budget, over all networks of all sets.

    Returns
    -------
    DataFrame
        `dataset`, `method`, `label`, `budget` (``"IPC"`` or ``"INPC"``), `ipc`, `mean`, `std` (ddof 1) and `n`.
    """
    places: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        if at_its_end(record):
            places.setdefault((record["dataset"], record["method"], int(record["ipc"])), []).append(record)
    lines = [
        {
            "dataset": dataset,
            "method": method,
            "label": found[0]["label"],
            "budget": kind(found[0]),
            "ipc": ipc,
            **pooled(found),
        }
        for (dataset, method, ipc), found in places.items()
    ]
    columns = ("dataset", "method", "label", "budget", "ipc", "mean", "std", "n")
    return pd.DataFrame(lines, columns=list(columns))


def budget_lines(
    frame: pd.DataFrame,
    reported: Mapping[str, Mapping[int, float]] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Accuracy by budget: a line with error bars for what was measured, dashed with diamonds for what is reported.

    Parameters
    ----------
    frame : DataFrame
        Columns `method`, `label`, `budget`, `ipc`, `mean`, `std` and `n` of one data set, from :func:`by_budget`; may
        be empty.
    reported : mapping, optional
        Method to the paper's accuracy by budget. Methods that `frame` does not have are plotted all the same.
    labels : mapping, optional
        What to call those.

    Raises
    ------
    BadValue
        There is nothing to plot, or lines of several data sets.
    """
    reported = {method: known for method, known in (reported or {}).items() if known}
    if frame.empty and not reported:
        raise BadValue("no accuracy by budget to plot; expected at least one", "")
    if "dataset" in frame and frame.dataset.nunique() > 1:
        raise BadValue(f"budgets of the data sets {', '.join(frame.dataset.unique())} in one figure", "")
    if ax is None:
        _, ax = subplots(figsize=(6.4, 4.0))
    ticks = sorted({*map(int, frame.ipc), *(ipc for known in reported.values() for ipc in known)})
    for method in dict.fromkeys(frame.method):
        mine = frame[frame.method == method].sort_values("ipc")
        ax.errorbar(
            [ticks.index(ipc) for ipc in mine.ipc],
            mine["mean"],
            mine["std"].fillna(0),
            label=f"{mine.label.iloc[0]} by {mine.budget.iloc[0]} (n = {int(mine.n.min())})",
            elinewidth=1,
            capsize=2,
            **line(method),
        )
    for method, known in reported.items():
        style = {**line(method), "marker": "D", "linestyle": (0, (1, 2)), "markerfacecolor": "white"}
        label = (
            {}
            if method in set(frame.method)
            else {"label": f"{(labels or {}).get(method, method)}, reported"}
        )
        budgets = sorted(known)
        ax.plot([ticks.index(ipc) for ipc in budgets], [known[ipc] for ipc in budgets], **{**style, **label})
    if reported and not frame.empty:
        ax.plot(
            [],
            [],
            marker="D",
            linestyle=(0, (1, 2)),
            color="#111827",
            markerfacecolor="white",
            label="reported",
        )
    ax.set_xticks(np.arange(len(ticks)), [str(ipc) for ipc in ticks])
    ax.set_xlim(-0.3, len(ticks) - 0.7)
    ax.set_xlabel("images per class (IPC: stored, INPC: drawn per epoch)")
    ax.set_ylabel("test accuracy (%)")
    if title:
        ax.set_title(title)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return ax
