"""Ratios and accuracies by mode, from records made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dreamlib.errors import DataError
from dreamlib.report.speed import by_mode, load_benchmarks, mode_change, ratios


def benchmark() -> dict[str, Any]:
    work = {
        "title": "a step",
        "target": 3,
        "seconds": {"reference": [4.0, 6.0, 8.0], "plain": [4.0, 3.0, 2.0], "fast": [1.0, 1.0, 2.0]},
        "peak_memory_mib": {"reference": 10.0, "plain": 20.0, "fast": 5.0},
        "floor": {"seconds_float32": 1.5, "seconds_fast": 0.5},
    }
    return {"device": "a unit", "kind": "cpu", "works": {"step": work}}


def test_a_ratio_is_the_median_of_runs_made_in_turn(tmp_path: Path) -> None:
    (tmp_path / "cpu.json").write_text(json.dumps(benchmark()))
    frame = ratios(load_benchmarks(tmp_path)).set_index("version")
    assert frame.loc["plain", ["ratio", "low", "high", "seconds"]].tolist() == [2, 1, 4, 3]
    assert frame.loc["fast", ["ratio", "floor", "share of floor", "MiB"]].tolist() == [4, 0.5, 0.5, 5]
    assert frame.loc["plain", "floor"] == 1.5
    assert ratios([]).empty


def test_a_work_without_an_aim_has_a_line_like_any_other(tmp_path: Path) -> None:
    made = benchmark()
    made["works"]["gan"] = {**made["works"]["step"], "title": "a GAN step", "target": None}
    del made["works"]["gan"]["floor"]
    (tmp_path / "cpu.json").write_text(json.dumps(made))
    frame = ratios(load_benchmarks(tmp_path))
    assert frame.work.value_counts().to_dict() == {"a step": 3, "a GAN step": 3}
    lines = frame[frame.work == "a GAN step"]
    assert lines[["aimed at", "floor", "share of floor"]].isna().all(axis=None)
    assert lines.ratio.tolist() == [1, 2, 4]


def test_no_benchmark_is_an_empty_list_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    assert load_benchmarks(tmp_path / "nowhere") == []
    (tmp_path / "cpu.json").write_text('{"device": ')
    with pytest.raises(DataError, match=r"cpu\.json is no record of the benchmarks"):
        load_benchmarks(tmp_path)


def record(seed: int, mode: str, *accuracies: float) -> dict[str, Any]:
    recipe = {} if mode == "plain" else {"mode": mode}
    seconds = {"distill": 1.0, "evaluate": 2.0}
    return {
        "dataset": "d",
        "label": "DM",
        "ipc": 10,
        "seed": seed,
        "recipe": recipe,
        "accuracies": list(accuracies),
        "seconds": seconds,
    }


def test_a_mode_is_compared_seed_by_seed() -> None:
    records = [
        record(0, "plain", 40, 42),
        record(1, "plain", 50, 52),
        record(0, "fast", 41, 43),
        record(1, "fast", 50, 54),
    ]
    frame = by_mode([*records, record(7, "fast", 0, 0)]).set_index("mode")
    assert frame.loc["plain", "accuracy"] == 46
    assert frame.loc["plain", "between sets"] == pytest.approx(50**0.5)
    # Seed 7 has no plain partner: it is a set, but no difference.
    assert frame.loc["fast", ["sets", "difference"]].tolist() == [3, 1.0]
    assert (
        frame.loc["plain", "difference"] is None
        or frame.loc["plain", "difference"] != frame.loc["plain", "difference"]
    )
    changed = mode_change(records, "d", "DM", 10, "fast")
    assert (changed.difference, changed.sets, changed.verdict) == (1.0, 2, None)
    assert mode_change(records, "d", "DM", 10, "plain").sets == 0
    assert by_mode([]).empty
