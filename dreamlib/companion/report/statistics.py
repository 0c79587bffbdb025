"""Numbers of records: which of them count, their means and deviations, and paired differences.

A record is the dict of one distilled set and its evaluation; the keys used here are ``method``, ``label``,
``dataset``, ``ipc``, ``seed``, ``profile``, ``key``, ``iteration``, ``iterations``, ``accuracies`` (percent, one per
trained network) and ``seconds``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...core.errors import BadValue
from .verdicts import Evidence, compare, frame_line
from .words import device, plural

Record = Mapping[str, Any]
Budgets = Sequence[int] | Mapping[str, Sequence[int]]


def deviation(values: Sequence[float] | np.ndarray | pd.Series[float]) -> float:
    """Sample standard deviation (ddof 1); NaN below two values, which have none."""
    return float(np.std(np.asarray(values), ddof=1)) if len(values) > 1 else float("nan")


def pooled(records: Sequence[Record]) -> dict[str, Any]:
    """`mean`, `std` (:func:`deviation`) and `n` of the accuracies of all networks of several records; NaN for none."""
    values = [float(value) for record in records for value in record["accuracies"]]
    mean = float(np.mean(values)) if values else float("nan")
    return {"mean": mean, "std": deviation(values), "n": len(values)}


def budgets(ipcs: Budgets, dataset: str) -> Sequence[int]:
    """The images per class asked for under one data set."""
    return ipcs.get(dataset, ()) if isinstance(ipcs, Mapping) else ipcs


def at_its_end(record: Record) -> bool:
    """Whether a record judges a set or generator at its end, not along the way."""
    return record.get("iteration") == record.get("iterations")


def unique(records: Iterable[Record]) -> list[Record]:
    """The records, those with a known key and iteration only once."""
    kept: dict[object, Record] = {}
    for position, record in enumerate(records):
        name = (record["key"], record.get("iteration")) if record.get("key") else position
        kept.setdefault(name, record)
    return list(kept.values())


def whole_courses(records: Iterable[Record]) -> list[Record]:
    """The records of the sets that were judged at as many steps as any set of their method.

    Of a set whose end alone was judged, a curve would have a last point that its other points do not stand on.
    """
    found: dict[tuple[object, ...], dict[object, list[Record]]] = {}
    for record in unique(records):
        method = (record["method"], record["dataset"], record["ipc"])
        found.setdefault(method, {}).setdefault(record["seed"], []).append(record)
    kept = []
    for sets in found.values():
        most = max(map(len, sets.values()))
        kept += [record for own in sets.values() if len(own) == most for record in own]
    return kept


def of_one_profile(records: Sequence[Record]) -> tuple[list[Record], str]:
    """The records of finished distillations, each once, and their profile (``""`` when there are none).

    Raises
    ------
    BadValue
        They are of several profiles.
    """
    finished = [record for record in unique(records) if at_its_end(record)]
    profiles = sorted({str(record["profile"]) for record in finished})
    if len(profiles) > 1:
        raise BadValue(
            f"records of the profiles {', '.join(profiles)} in one table; expected one profile",
            "filter the records by record['profile'] first",
        )
    return finished, profiles[0] if profiles else ""


def seconds(record: Record, phase: str) -> float:
    """What a phase of a record took; 0 where it has none."""
    return float(record.get("seconds", {}).get(phase) or 0.0)


def on_processor(record: Record) -> bool:
    """Whether a record was made on a processor: only these say how many threads computed."""
    return "thread" in str(record.get("device", ""))


def work(record: Record) -> float | None:
    """Seconds of computing behind a record, such as to make and judge a set: processor time, or an accelerator's clock.

    Waiting is not in processor time. None where a processor's record has the clock alone.
    """
    if on_processor(record):
        return seconds(record, "core") or None
    return _on_the_clock(record)


def _on_the_clock(record: Record) -> float:
    return sum(seconds(record, phase) for phase in ("distill", "evaluate", "measure"))


IDLE = 0.9  # of the clock that is processor time, on a machine that nobody else uses
SHARED = "shared machine"


def idle(record: Record) -> bool:
    """Whether a record was taken on a machine that was otherwise idle, so that its seconds can be shown.

    So it was where processor time, ``seconds["core"]``, is at least 0.9 of the clock, all phases together: the rest was
    waiting for others. With several threads this has to be so and is not enough, since a thread that waits can hide
    behind one that computes. A processor's record without processor time does not tell, and counts as shared. The clock
    of an accelerator is its own, and counts as idle.

    Parameters
    ----------
    record : dict
        Of a set that was made and judged, or of what a page measured by itself; ``seconds`` are in seconds.
    """
    return not on_processor(record) or seconds(record, "core") >= IDLE * _on_the_clock(record) > 0


def clock(record: Record, phase: str) -> float | None:
    """Seconds that a phase took by the clock; None where the machine was shared (:func:`idle`) or there is no phase."""
    return record.get("seconds", {}).get(phase) if idle(record) else None


def machine(record: Record) -> str:
    """What a table says next to the seconds of a record: ``"idle"``, or "shared machine" in their place."""
    return "idle" if idle(record) else SHARED


COSTS = (
    "dataset",
    "ipc",
    "method",
    "machine",
    "formats",
    "core_hours",
    "device_hours",
    "judged_by",
    "accuracy",
    "sets",
)


def costs(records: Sequence[Record]) -> pd.DataFrame:
    """What a set of each method costs, and what it is worth, from the dearest to the cheapest of a place and machine.

    No line is a mean over two machines, two formats or two ways to judge.

    Returns
    -------
    DataFrame
        One line per data set, budget, method, machine, formats and judge: `dataset`, `ipc`, `method`, `machine` (device
        and threads), `formats` (in which numbers were kept and convolved, to make and, where that differs, to judge a
        set), `core_hours` (processor time to make and to judge a set, with what it goes on from, mean over sets;
        records do not part the two, and waiting is not in it), `device_hours` (the same by an accelerator's clock),
        `judged_by` (protocol and networks), `accuracy` (percent, mean over sets of the mean over networks) and `sets`.
        Hours are NaN where they are of the other kind. :func:`untimed` has the records that are left out.
    """
    found: dict[tuple[str, int, str, str, str, str], list[Record]] = {}
    for record in unique(records):
        if at_its_end(record) and work(record) and record["accuracies"]:
            where = str(record["dataset"]), int(record["ipc"] or 0), str(record["method"])
            how = str(device(record.get("device"))), formats(record), judged_by(record)
            found.setdefault((*where, *how), []).append(record)
    lines: list[dict[str, object]] = []
    for (dataset, ipc, method, place, kept, judge), mine in found.items():
        hours = float(np.mean([work(record) for record in mine])) / 3600
        lines.append(
            {
                "dataset": dataset,
                "ipc": ipc,
                "method": method,
                "machine": place,
                "formats": kept,
                "core_hours": hours if on_processor(mine[0]) else float("nan"),
                "device_hours": float("nan") if on_processor(mine[0]) else hours,
                "judged_by": judge,
                "accuracy": float(np.mean([np.mean(record["accuracies"]) for record in mine])),
                "sets": len(mine),
            }
        )
    frame = pd.DataFrame(lines, columns=list(COSTS))
    return frame.sort_values(
        ["dataset", "ipc", "machine", "core_hours", "device_hours"],
        ascending=[True, True, True, False, False],
        ignore_index=True,
    )


def untimed(records: Sequence[Record]) -> list[Record]:
    """Records of finished sets that :func:`costs` leaves out, since no processor time is recorded for them."""
    return [record for record in unique(records) if at_its_end(record) and not work(record)]


def formats(record: Record) -> str:
    """In which formats a set was made and, where they differ, judged: ``"float32; judged: bfloat16, not compiled"``."""
    found = record.get("formats")
    if not isinstance(found, Mapping):
        return "not recorded"
    made, judged = (str(found.get(phase, "not recorded")) for phase in ("distill", "evaluate"))
    return made if made == judged else f"{made}; judged: {judged}"


def judged_by(record: Record) -> str:
    """The protocol that judged a set, and how many networks: ``"dc, 20 networks"``; a regression trains none."""
    how = record["evaluation"]
    if how["learner"].get("part") == "Ridge":
        return f"{how['protocol']}, no network"
    return f"{how['protocol']}, {plural(len(record['accuracies']), 'network')}"


DIFFERENCE = (
    "dataset",
    "ipc",
    "method",
    "base",
    "difference",
    "low",
    "high",
    "n",
    "verdict",
    "needed",
    "claimed",
)


def by_seed(
    records: Sequence[Record], method: str, dataset: str, ipc: int, at: int | None = None
) -> dict[int, tuple[float, ...]]:
    """The accuracies of a method's sets, by seed: of finished ones, or as they were after ``at`` steps.

    Raises
    ------
    BadValue
        Two records of one seed.
    """
    mine = [
        record
        for record in unique(records)
        if (record["method"], record["dataset"], int(record["ipc"] or 0)) == (method, dataset, ipc)
        and (at_its_end(record) if at is None else record["iteration"] == at)
    ]
    return of_seeds(mine)


def of_seeds(records: Sequence[Record]) -> dict[int, tuple[float, ...]]:
    """The accuracies of records of one method and place, by seed; those without any are left out.

    Raises
    ------
    BadValue
        Two records of one seed.
    """
    found: dict[int, tuple[float, ...]] = {}
    for record in records:
        if record["seed"] in found:
            keys = ", ".join(str(one.get("key", "?"))[:12] for one in records)
            raise BadValue(
                f"{record['method']} on {record['dataset']} at {record['ipc']} images per class: several records for "
                f"seed {record['seed']} ({keys})",
                "they differ in a setting; keep the records of one profile, recipe and evaluation",
            )
        if record["accuracies"]:
            found[record["seed"]] = tuple(map(float, record["accuracies"]))
    return found


def comparison(
    records: Sequence[Record],
    method: str,
    base: str,
    dataset: str,
    ipc: int,
    claimed: float | None = None,
    *,
    source: str = "",
    made: str = "set",
) -> Evidence:
    """Is `method` better than `base`? Decided over the seeds that both have, network by network."""
    ours, theirs = (by_seed(records, name, dataset, ipc) for name in (method, base))
    return compare(ours, theirs, claimed, source=source, made=made)


def paired_difference(
    records: Sequence[Record],
    method: str,
    base: str,
    datasets: Sequence[str],
    ipcs: Budgets,
    claimed: Mapping[tuple[str, int], float] | None = None,
) -> pd.DataFrame:
    """Is `method` better than `base`? The difference over sets with its 95 % interval, by data set and budget.

    Parameters
    ----------
    claimed : mapping of (str, int) to float, optional
        The paper's own difference by data set and budget.

    Returns
    -------
    DataFrame
        One line per data set and budget: `dataset`, `ipc`, `method`, `base`, `difference` (points), `low`, `high` (NaN
        for a single set), `n` (paired sets), `verdict` ("higher", "lower", "not decided" or "missing"), `needed` (sets
        that would decide the paper's difference, given the measured spread) and `claimed`, that difference.
    """
    lines = []
    for dataset in datasets:
        for ipc in budgets(ipcs, dataset):
            told = (claimed or {}).get((dataset, ipc))
            found = comparison(records, method, base, dataset, ipc, told)
            line: dict[str, object] = {"dataset": dataset, "ipc": ipc, "method": method, "base": base}
            lines.append(line | frame_line(found) | {"claimed": found.claimed})
    frame = pd.DataFrame(lines, columns=list(DIFFERENCE))
    return frame.astype({"needed": "Int64", "claimed": float, "n": int})
