"""What the engine's benchmarks and the same cells in every mode say, as tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import DataError
from .verdicts import Evidence, compare, decide


def load_benchmarks(folder: str | Path) -> list[dict[str, Any]]:
    """The records that ``make bench`` has left in ``folder``, one per kind of device; none is an empty list.

    Raises
    ------
    DataError
        For a file that is no such record.
    """
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found.append({"device": record["device"], **record, "works": dict(record["works"])})
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no record of the benchmarks: {error!r}", "make bench") from error
    return found


def ratios(benchmarks: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One line per device, work and version: median seconds, ratio to the reference, memory, floor.

    Columns: device, work, version, seconds, ratio (how many times faster than the reference; median over interleaved
    runs), low, high (its least and largest), aimed at, MiB (peak of the call), floor (seconds below which the unit's
    measured rates allow nothing), share of floor.
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
                        "device": record["kind"],
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
        "device",
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


def by_mode(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Accuracy and seconds of the same cells in every mode of the engine.

    One line per data set, method, IPC and mode: ``accuracy``, the mean over synthetic sets of the mean over networks;
    ``between sets``, the standard deviation of those means from seed to seed; ``difference`` to plain mode over the
    seeds that both have, with its 95 % interval from ``low`` to ``high``; and the mean seconds.
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
                    "seconds to distil": statistics.mean(one["seconds"]["distill"] for one in found.values()),
                    "seconds to evaluate": statistics.mean(
                        one["seconds"]["evaluate"] for one in found.values()
                    ),
                }
            )
    return pd.DataFrame(lines)


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
