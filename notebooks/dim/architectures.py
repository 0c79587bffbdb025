"""Sets and generators under the networks that judge them: one row per method, one column per network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from dreamlib.companion.report import statistics
from dreamlib.companion.report.reported import find
from dreamlib.companion.report.reported import rows as numbers_of
from dreamlib.companion.report.statistics import at_its_end, pooled
from dreamlib.companion.report.tables import Row
from dreamlib.companion.report.words import (
    MEASURED,
    MISSING,
    NETWORKS,
    NOT_HERE,
    NOT_IMPLEMENTED,
    NOTHING,
    percent,
)

Record = Mapping[str, Any]
IMPOSSIBLE = "not possible"
# What the reported numbers call a network where a record names it otherwise.
PRINTED = {"convnet": "convnet3"}
COLUMNS = (
    "method",
    "label",
    "network",
    "status",
    "mean",
    "std",
    "n",
    "reported",
    "reported std",
)


def by_network(
    records: Sequence[Record],
    rows: Sequence[Row],
    networks: Sequence[str],
    reported: pd.DataFrame,
    *,
    dataset: str,
    ipc: int,
    paper: str,
    item: str,
    impossible: Collection[str] = (),
    here: bool = True,
) -> pd.DataFrame:
    """Every row under every network, measured and reported.

    Parameters
    ----------
    records : sequence of dict
        Of one profile; those of ``dataset`` and ``ipc`` count, if their distillation is finished.
    rows : sequence of Row
        From top to bottom; one without a method is not implemented here.
    networks : sequence of str
        Names of the networks of judgement, such as ``"resnet18"``.
    reported : DataFrame
        From :func:`~dreamlib.companion.report.reported.load_reported`.
    dataset, ipc, paper, item
        Which place, and whose numbers.
    impossible : collection of str
        Networks that the images of ``dataset`` are too small for: such a place is not missing.
    here : bool
        False for a place that only the paper has: nothing of it is missing here.

    Returns
    -------
    DataFrame
        One line per row and network with the columns of :data:`COLUMNS`; ``status`` is "measured", "missing",
        "not possible", "not on this page" or "not implemented".
    """
    numbers = numbers_of(reported)
    lines = []
    for row in rows:
        for network in networks:
            found = [
                record
                for record in records
                if (record["method"], record["dataset"], int(record["ipc"])) == (row.method, dataset, ipc)
                and record["evaluation"]["network"]["name"] == network
                and at_its_end(record)
            ]
            status = MEASURED if found else IMPOSSIBLE if network in impossible else MISSING
            if not here:
                status = NOT_HERE
            number = (
                find(
                    numbers, paper, item, dataset, ipc, row.reported_as, network=PRINTED.get(network, network)
                )
                if row.reported_as
                else None
            )
            lines.append(
                {
                    "method": row.method or "",
                    "label": row.label,
                    "network": network,
                    "status": NOT_IMPLEMENTED if row.method is None else status,
                    **pooled(found),
                    "reported": number.value if number else None,
                    "reported std": number.std if number else None,
                }
            )
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    for name in ("mean", "std", "reported", "reported std"):
        frame[name] = frame[name].astype(float)
    return frame


def grid(frame: pd.DataFrame) -> pd.DataFrame:
    """What :func:`by_network` gives as a table of words: a line of measured and one of reported numbers per row."""
    lines = []
    for label, part in frame.groupby("label", sort=False):
        status = part.status.iloc[0]
        if status not in (NOT_IMPLEMENTED, NOT_HERE):
            lines.append(
                {"method": label, "": "measured"} | {_name(n): _measured(one) for n, one in _each(part)}
            )
        if part.reported.notna().any():
            said = "reported" + (f" ({NOT_IMPLEMENTED} here)" if status == NOT_IMPLEMENTED else "")
            lines.append({"method": label, "": said} | {_name(n): _reported(one) for n, one in _each(part)})
    return pd.DataFrame(lines)


def _each(part: pd.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    return [(str(one["network"]), {str(k): v for k, v in one.items()}) for one in part.to_dict("records")]


def _name(network: str) -> str:
    return NETWORKS.get(network, network)


def _measured(one: Mapping[str, Any]) -> str:
    if one["status"] != MEASURED:
        return str(one["status"])
    return f"{percent(one['mean'], _given(one['std']))} (n={one['n']})"


def _reported(one: Mapping[str, Any]) -> str:
    return NOTHING if pd.isna(one["reported"]) else percent(one["reported"], _given(one["reported std"]))


def _given(value: float) -> float | None:
    return None if pd.isna(value) else value


def at_chance(frame: pd.DataFrame, classes: int) -> list[str]:
    """Networks that no row has taught anything: all their measured means are below twice 100 / ``classes``.

    They say nothing of a row. A scaled-down profile can leave a network without norms there.
    """
    known = frame[frame.status == MEASURED].groupby("network", sort=False)["mean"].max()
    return [str(network) for network, best in known.items() if best < 200 / classes]


def stability(frame: pd.DataFrame, without: Collection[str] = ()) -> pd.DataFrame:
    """How a row fares under networks other than the first one, in points.

    Parameters
    ----------
    frame : DataFrame
        From :func:`by_network`; its first network is the one that was distilled with.
    without : collection of str
        Networks whose measured numbers are left out, such as those :func:`at_chance`.

    Returns
    -------
    DataFrame
        One line per row that is measured under two networks or more: accuracy under the first network, mean and
        lowest difference of the others to it, and the spread from the worst to the best network. The same of the
        reported numbers.
    """
    lines = []
    for label, part in frame.groupby("label", sort=False):
        for kind, column in (("measured", "mean"), ("reported", "reported")):
            skipped = part.network.isin(without) & (kind == "measured")
            values = part[column].mask(skipped).dropna()
            if len(values) < 2 or pd.isna(part[column].iloc[0]):
                continue
            first, others = values.iloc[0], values.iloc[1:]
            lines.append(
                {
                    "method": label,
                    "": kind,
                    "networks": len(values),
                    "first network (%)": first,
                    "others, mean difference": (others - first).mean(),
                    "others, lowest difference": (others - first).min(),
                    "worst to best": values.max() - values.min(),
                }
            )
    names = ("networks", "first network (%)", "others, mean difference", "others, lowest difference")
    return pd.DataFrame(lines, columns=["method", "", *names, "worst to best"])


def by_seed(
    records: Sequence[Record], method: str, dataset: str, ipc: int, network: str
) -> dict[int, tuple[float, ...]]:
    """The accuracies of a method's finished sets under one network of judgement, by seed."""
    own = [record for record in records if record["evaluation"]["network"]["name"] == network]
    return statistics.by_seed(own, method, dataset, ipc)


def spreads(
    records: Sequence[Record], method: str, dataset: str, ipc: int, networks: Sequence[str]
) -> dict[int, tuple[float]]:
    """From the worst to the best network, in points, for every set or generator that all of them have judged."""
    found = [by_seed(records, method, dataset, ipc, network) for network in networks]
    if len(found) < 2:
        return {}
    means = {
        seed: [sum(one[seed]) / len(one[seed]) for one in found]
        for seed in set.intersection(*map(set, found))
    }
    return {seed: (max(values) - min(values),) for seed, values in sorted(means.items())}
