"""Ratios and accuracies by mode, from records made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ratios import (
    by_mode,
    growth,
    load_benchmarks,
    load_costs,
    mode_change,
    ratios,
    side_by_side,
)

from dreamlib.core.errors import DataError


def benchmark() -> dict[str, Any]:
    work = {
        "title": "a step",
        "target": 3,
        "seconds": {"reference": [4.0, 6.0, 8.0], "plain": [4.0, 3.0, 2.0], "fast": [1.0, 1.0, 2.0]},
        "peak_memory_mib": {"reference": 10.0, "plain": 20.0, "fast": 5.0},
        "floor": {"seconds_float32": 1.5, "seconds_fast": 0.5},
    }
    return {"machine": {"kind": "cpu", "device": "cpu"}, "words": "a unit", "works": {"step": work}}


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


def test_kinds_of_machine_stand_side_by_side(tmp_path: Path) -> None:
    slow = benchmark()
    slow["machine"]["kind"] = "another"
    slow["works"]["step"]["seconds"]["fast"] = [2.0, 3.0, 4.0]
    slow["works"]["loading"] = {**slow["works"]["step"], "title": "loading"}
    for number, made in enumerate((benchmark(), slow)):
        (tmp_path / f"{number}.json").write_text(json.dumps(made))
    table = side_by_side(ratios(load_benchmarks(tmp_path)), "fast").set_index("work")
    assert table.loc["a step"].to_dict() == {"cpu": 4, "another": 2}
    assert table.loc["loading"].isna().to_dict() == {"cpu": True, "another": False}
    assert side_by_side(ratios([]), "fast").empty


def test_what_grows_as_a_square_has_the_exponent_two(tmp_path: Path) -> None:
    points = [
        {"work": "w", "axis": "width", "value": v, "seconds": [9.0, v**2, 0.0], "peak_memory_mib": 3.0 * v}
        for v in (2, 3, 4)
    ]
    points.append({"work": "w", "axis": "threads", "value": 1, "seconds": [2.0], "peak_memory_mib": 1.0})
    (tmp_path / "sizes").mkdir()
    path = tmp_path / "sizes" / "cpu.json"
    path.write_text(json.dumps({"machine": {"kind": "cpu"}, "points": points}))
    costs = load_costs(tmp_path)
    assert costs.axis.tolist() == ["width"] * 3  # one point is no line
    assert costs.seconds.tolist() == [4, 9, 9]
    lines = growth(costs[costs.value != 4]).set_index("what grows")
    assert lines.loc["width", ["exponent of seconds", "exponent of memory"]].tolist() == pytest.approx([2, 1])
    assert lines.loc["width", ["seconds from", "seconds to"]].tolist() == [4, 9]
    path.write_text('{"points": []}')
    with pytest.raises(DataError, match=r"cpu\.json is no record of costs by size"):
        load_costs(tmp_path)
    assert growth(load_costs(tmp_path / "nowhere")).empty


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


def test_seconds_of_a_mode_are_those_of_idle_machines() -> None:
    shared = {"device": "AMD EPYC, 1 thread", "seconds": {"distill": 9.0, "evaluate": 9.0, "core": 3.0}}
    records = [record(0, "fast", 40), record(1, "fast", 40) | shared, record(0, "plain", 40) | shared]
    frame = by_mode(records).set_index("mode")
    assert frame.loc["fast", ["seconds to distil", "seconds to evaluate"]].tolist() == [1, 2]
    assert frame.loc["plain", ["seconds to distil", "seconds to evaluate"]].isna().all()
