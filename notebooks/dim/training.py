"""A generator along its training: accuracy by epoch, and images from the same noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from dreamlib.companion.cells import Cell
from dreamlib.companion.report import figures, words
from dreamlib.companion.report.statistics import pooled
from dreamlib.companion.session import Session, pixels

Record = Mapping[str, Any]


def along(records: Sequence[Record]) -> pd.DataFrame:
    """Accuracies along a training under each network that judges: one line per method, network and step.

    Returns
    -------
    DataFrame
        `dataset`, `ipc`, `method`, `network`, `step`, `label`, `mean`, `std` (ddof 1, over all networks of all sets)
        and `n`, in the order of the records.
    """
    places: dict[tuple[str, int, str, str, int], list[Record]] = {}
    for record in records:
        network = record["evaluation"]["network"]["name"]
        place = (record["dataset"], int(record["ipc"]), record["method"], network, int(record["iteration"]))
        places.setdefault(place, []).append(record)
    columns = ("dataset", "ipc", "method", "network", "step", "label", "mean", "std", "n")
    lines = [
        dict(zip(columns, place, strict=False)) | {"label": found[0]["label"], **pooled(found)}
        for place, found in places.items()
    ]
    return pd.DataFrame(lines, columns=list(columns))


def images_along(
    session: Session, published: Sequence[int], here: Callable[[Cell, int], int], per_class: int = 10
) -> None:
    """A figure for every data set: images of a study's generators at epochs of a paper, a row for each class.

    Parameters
    ----------
    published : sequence of int
        Epochs as the paper counts them.
    here : callable
        ``here(cell, epoch)``: which epoch of the cell's own training stands for one of the paper's.
    per_class : int
        Images of each class.
    """
    for name in session.study.datasets:
        shown: dict[str, Any] = {}
        for method in session.study.methods:
            cell, label = session.cell(method, name, session.study.ipcs[0]), session.label(method)
            found = session.generated(cell, per_class)
            if not found:
                session.say(
                    f"*{label} on {words.data_set(name)}: the states along the way are not here. "
                    f"`{session.study.command()} RESULTS=another-folder` trains again and keeps them.*"
                )
            for epoch in published:
                own = here(cell, epoch)
                if own in found:
                    part = found[own][:10]
                    title = f"{label}, epoch {epoch}" + (f" ({own} here)" if own != epoch else "")
                    shown[title] = pixels(part.flatten(0, 1)).reshape(
                        len(part), per_class, *part.shape[3:], part.shape[2]
                    )
        if shown:
            figure = figures.image_panels(
                shown,
                row_labels=session.dataset(name).classes[:10],
                across=len(published),
                title=f"{words.data_set(name)}, profile {session.profile.name}",
            )
            session.save_figure(figure, name)


def curves_along(session: Session, frame: pd.DataFrame, networks: Mapping[str, str]) -> None:
    """Accuracy by epoch of training, a figure for every data set and network of judgement.

    Parameters
    ----------
    frame : DataFrame
        As :func:`along` makes it.
    networks : dict of str to str
        What the item calls a network; others keep their names.
    """
    if session.study.missing():
        session.say(f"*What is missing is filled by `{session.study.command()}`.*")
    for (name, network), part in frame.groupby(["dataset", "network"], sort=False):
        judge = networks.get(str(network), str(network))
        about = words.data_set(str(name)), judge, f"INPC {part.ipc.iloc[0]}"
        axes, _ = figures.accuracy_curves(
            part.rename(columns={"step": "iteration"}),
            title=", ".join((*about, f"profile {session.profile.name}")),
            xlabel="epochs of training",
        )
        session.save_figure(axes.figure, f"{name}-{network}")
