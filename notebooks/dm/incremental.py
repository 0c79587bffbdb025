"""Class-incremental learning: accuracy by step, over class orders.

A record of such a study carries ``split`` (``steps``, ``order``, ``step``) and ``classes``, those seen by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dreamlib.companion.report.statistics import deviation, work
from dreamlib.companion.report.words import class_sequence

Record = Mapping[str, Any]


def by_order(records: Sequence[Record]) -> pd.DataFrame:
    """One line per class order and step.

    Returns
    -------
    DataFrame
        `sequence` ("MNIST in 5 steps"), `method`, `label`, `order`, `step`, `ipc`, `classes` (seen), `mean` (percent,
        over the networks of this memory), `n` (those networks), `images` (stored in the memory) and `seconds` (of
        computing, to distil the whole memory and to train on it: processor time, in which waiting is not, on an
        accelerator its clock; NaN where it is not recorded).
    """
    columns = (
        "sequence",
        "method",
        "label",
        "order",
        "step",
        "ipc",
        "classes",
        "mean",
        "n",
        "images",
        "seconds",
    )
    lines = [
        (
            class_sequence(record["dataset"]),
            record["method"],
            record["label"],
            int(record["split"]["order"]),
            int(record["split"]["step"]),
            int(record["ipc"]),
            len(record["classes"]),
            float(np.mean(record["accuracies"])),
            len(record["accuracies"]),
            int(record["images_stored"]),
            work(record),
        )
        for record in records
    ]
    return pd.DataFrame(lines, columns=list(columns)).astype({"seconds": float})


def by_step(records: Sequence[Record]) -> pd.DataFrame:
    """One line per method and step, over all class orders, in the order of the records.

    Returns
    -------
    DataFrame
        `sequence`, `method`, `label`, `step`, `ipc`, `classes`; `mean`, `std` (ddof 1, NaN for one) and `n` over all
        networks of all orders, as DM's released code pools them; `orders`; `order_std`, the standard deviation between
        the means of the orders; `images` and `seconds` of one order, on average.
    """
    lines = []
    known = by_order(records)
    for (name, method, ipc, step), found in known.groupby(["sequence", "method", "ipc", "step"], sort=False):
        values = np.array([value for at in found.index for value in records[at]["accuracies"]], dtype=float)
        lines.append(
            {
                "sequence": name,
                "method": method,
                "label": found.label.iloc[0],
                "step": step,
                "ipc": ipc,
                "classes": int(found.classes.iloc[0]),
                "mean": values.mean(),
                "std": deviation(values),
                "n": len(values),
                "orders": len(found),
                "order_std": deviation(found["mean"]),
                "images": float(found.images.mean()),
                "seconds": float(found.seconds.mean()),
            }
        )
    columns = (
        "sequence",
        "method",
        "label",
        "step",
        "ipc",
        "classes",
        "mean",
        "std",
        "n",
        "orders",
        "order_std",
    )
    return pd.DataFrame(lines, columns=[*columns, "images", "seconds"])


def at_the_end(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The records of the last step, with the class sequence as their data set, so that orders pair like seeds."""
    return [
        {**record, "dataset": class_sequence(record["dataset"])}
        for record in records
        if record["split"]["step"] == record["split"]["steps"]
    ]


def gains(orders: pd.DataFrame, base: str) -> pd.DataFrame:
    """How far every other method lies above `base`, order by order.

    Parameters
    ----------
    orders : DataFrame
        Of one class sequence and budget, from :func:`by_order`.
    base : str
        The method to compare with.

    Returns
    -------
    DataFrame
        `method`, `step`, `classes`, `mean` and `std` (ddof 1, between orders, NaN for one) of the difference in points,
        and `orders`, those that both have. Empty without `base`.
    """
    place = ["order", "step", "classes"]
    other = orders[orders.method == base][[*place, "mean"]]
    both = orders[orders.method != base].merge(other, on=place, suffixes=("", "_base"))
    both["gain"] = both["mean"] - both["mean_base"]
    by = both.groupby(["method", "step", "classes"], sort=False).gain
    return by.agg(mean="mean", std="std", orders="count").reset_index()
