"""What the engine's benchmarks and the same cells in every mode say, as tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dreamlib.companion.report.statistics import clock
from dreamlib.companion.report.verdicts import Evidence, compare, decide
from dreamlib.core.errors import DataError


def load_benchmarks(folder: str | Path) -> list[dict[str, Any]]:
    """The records that ``make bench`` has left in ``folder``, one per kind of machine; none is an empty list.

    Raises
    ------
    DataError
        For a file that is no such record.
    """
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found.append({**record, "kind": record["machine"]["kind"], "works": dict(record["works"])})
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no record of the benchmarks: {error!r}", "make bench") from error
    return found


def ratios(benchmarks: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One line per kind of machine, work and version: median seconds, ratio to the reference, memory, floor.

    Columns: machine (its kind), work, version, seconds, ratio (how many times faster than the reference; median over
    interleaved runs), low, high (its least and largest), aimed at, MiB (peak of the call), floor (seconds below which
    the unit's measured rates allow nothing), share of floor.
    """
    lines = []
    for record in benchmarks:
        for work in record["works"].values():
            plain = work["seconds"]["reference"]
            for version, times in work["seconds"].items():
                each = [a / b for a, b in zip(plain, times, strict=True)]
                kind = "seconds_fast" if version == "fast" else "seconds_float32"
                floor = work.get("floor", {}).get(kind)
                usual = statistics.median(times)
                lines.append(
                    {
                        "machine": record["kind"],
                        "work": work["title"],
                        "version": version,
                        "seconds": usual,
                        "ratio": statistics.median(each),
                        "low": min(each),
                        "high": max(each),
                        "aimed at": work["target"],
                        "n": len(times),
                        "MiB": work["peak_memory_mib"][version],
                        "floor": floor,
                        "share of floor": None if floor is None else floor / usual,
                    }
                )
    columns = (
        "machine",
        "work",
        "version",
        "seconds",
        "ratio",
        "low",
        "high",
        "aimed at",
        "n",
        "MiB",
        "floor",
    )
    return pd.DataFrame(lines, columns=[*columns, "share of floor"])


def side_by_side(speeds: pd.DataFrame, version: str) -> pd.DataFrame:
    """How many times as fast as the reference loops a version is: one line per work, one column per kind of machine."""
    part = speeds[speeds.version == version]
    table = part.pivot(index="work", columns="machine", values="ratio")
    return table.reindex(list(dict.fromkeys(part.work))).reset_index().rename_axis(columns=None)


def load_costs(folder: str | Path) -> pd.DataFrame:
    """What one step costs by size, from ``python -m benchmarks --sizes``: one line per machine, work, axis and value.

    Columns: machine, work, axis (what grows), value, seconds (median), MiB (peak of one step). An axis with a single
    point, whose measurement was cut short, is left out.

    Raises
    ------
    DataError
        For a file that is no such record.
    """
    lines: list[dict[str, Any]] = []
    for path in sorted((Path(folder) / "sizes").glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            kind = record["machine"]["kind"]
            lines += [
                {
                    "machine": kind,
                    "work": point["work"],
                    "axis": point["axis"],
                    "value": point["value"],
                    "seconds": statistics.median(point["seconds"]),
                    "MiB": point["peak_memory_mib"],
                }
                for point in record["points"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is no record of costs by size: {error!r}", "python -m benchmarks --sizes"
            ) from error
    found = pd.DataFrame(lines, columns=["machine", "work", "axis", "value", "seconds", "MiB"])
    counts = found.groupby(["machine", "work", "axis"])["value"].transform("size")
    return found[counts > 1].reset_index(drop=True)


def growth(costs: pd.DataFrame) -> pd.DataFrame:
    """The exponents with which seconds and memory grow along every axis: least squares on two logarithmic axes."""
    lines = []
    for (machine, work, axis), part in costs.groupby(["machine", "work", "axis"], sort=False):
        first, last = part.iloc[0], part.iloc[-1]
        lines.append(
            {
                "machine": machine,
                "work": work,
                "what grows": axis,
                "from": first.value,
                "to": last.value,
                "seconds from": first.seconds,
                "seconds to": last.seconds,
                "exponent of seconds": _slope(part.value, part.seconds),
                "exponent of memory": _slope(part.value, part.MiB),
            }
        )
    return pd.DataFrame(lines)


def _slope(x: pd.Series[float], y: pd.Series[float]) -> float:
    across, up = np.log(x.astype(float)), np.log(y.astype(float).clip(lower=1e-9))
    return float(np.polyfit(across, up, 1)[0])


MODE_COLUMNS = (
    "data set",
    "method",
    "IPC",
    "mode",
    "accuracy",
    "between sets",
    "sets",
    "networks each",
    "difference",
    "low",
    "high",
    "seconds to distil",
    "seconds to evaluate",
)


def by_mode(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Accuracy and seconds of the same cells in every mode of the engine.

    One line per data set, method, IPC and mode: ``accuracy``, the mean over synthetic sets of the mean over networks;
    ``between sets``, the standard deviation of those means from seed to seed; ``difference`` to plain mode over the
    seeds that both have, with its 95 % interval from ``low`` to ``high``; and the mean seconds over the sets that were
    made on an otherwise idle machine, None where there is none.
    """
    groups: dict[tuple[str, str, int], dict[str, dict[int, dict[str, Any]]]] = {}
    for record in records:
        place = record["dataset"], record["label"], record["ipc"]
        mode = record["recipe"].get("mode", "plain")
        groups.setdefault(place, {}).setdefault(mode, {})[record["seed"]] = record
    lines = []
    for (dataset, label, ipc), modes in groups.items():
        means = {
            mode: {seed: statistics.mean(one["accuracies"]) for seed, one in found.items()}
            for mode, found in modes.items()
        }
        for mode, found in modes.items():
            values = list(means[mode].values())
            changed = mode_change(records, dataset, label, ipc, mode)
            lines.append(
                {
                    "data set": dataset,
                    "method": label,
                    "IPC": ipc,
                    "mode": mode,
                    "accuracy": statistics.mean(values),
                    "between sets": statistics.stdev(values) if len(values) > 1 else None,
                    "sets": len(values),
                    "networks each": len(next(iter(found.values()))["accuracies"]),
                    "difference": changed.difference,
                    "low": changed.low,
                    "high": changed.high,
                    "seconds to distil": _seconds(found.values(), "distill"),
                    "seconds to evaluate": _seconds(found.values(), "evaluate"),
                }
            )
    return pd.DataFrame(lines, columns=MODE_COLUMNS)


def _seconds(records: Iterable[dict[str, Any]], phase: str) -> float | None:
    """Mean seconds of a phase over the records of machines that were otherwise idle; None without any."""
    known = [took for one in records if (took := clock(one, phase)) is not None]
    return statistics.mean(known) if known else None


def mode_change(records: Sequence[dict[str, Any]], dataset: str, label: str, ipc: int, mode: str) -> Evidence:
    """What a mode changes to plain mode, decided over the seeds that both have; nothing for plain mode itself."""
    if mode == "plain":
        return decide([])

    def of(name: str) -> dict[int, list[float]]:
        return {
            record["seed"]: record["accuracies"]
            for record in records
            if (record["dataset"], record["label"], record["ipc"]) == (dataset, label, ipc)
            and record["recipe"].get("mode", "plain") == name
        }

    return compare(of(mode), of("plain"))
