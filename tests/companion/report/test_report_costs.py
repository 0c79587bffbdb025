"""What a set of each method costs, in processor time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dreamlib.companion.report import tables
from dreamlib.companion.report.statistics import costs, work

Make = Callable[..., dict[str, Any]]


def spent(core: float, distill: float = 9e9) -> dict[str, float]:
    return {"distill": distill, "evaluate": 4.0, "core": core}


def test_hours_are_those_of_processors_per_set_and_the_dearest_method_comes_first(make: Make) -> None:
    frame = costs(
        [
            make("dc", seed=0, accuracies=[40.0, 42.0], seconds=spent(3600)),
            make("dc", seed=1, accuracies=[50.0, 52.0], seconds=spent(7200)),
            make("dm", seed=0, accuracies=[60.0, 60.0], seconds=spent(36000)),
        ]
    )
    assert frame.method.tolist() == ["dm", "dc"]
    assert frame.core_hours.tolist() == [10.0, 1.5]
    assert frame.accuracy.tolist() == [60.0, 46.0]
    assert frame.sets.tolist() == [1, 2]


def test_a_record_without_processor_time_or_along_the_way_is_left_out(make: Make) -> None:
    old = make("dc")
    early = make("dm", iteration=10, seconds=spent(60))
    assert costs([old, early]).empty
    assert list(costs([])) == ["dataset", "ipc", "method", "core_hours", "accuracy", "sets"]


def test_work_is_processor_time_and_the_clock_of_a_shared_machine_is_none(make: Make) -> None:
    cpu, gpu = "AMD EPYC, 1 thread(s)", "NVIDIA H200"
    assert work(make(device=cpu, seconds=spent(60.0))) == 60.0
    assert work(make(device=cpu, seconds={"distill": 9.0, "evaluate": 4.0})) is None
    assert work(make(device=gpu, seconds={"distill": 9.0, "evaluate": 4.0})) == 13.0


def test_a_table_tells_what_its_cells_took_or_that_nobody_wrote_it_down(make: Make) -> None:
    known, row = {"device": "AMD EPYC, 1 thread(s)", "seconds": spent(60.0)}, tables.Row("dc", "DC", "DC")
    told = [make("dc", seed=seed, **known) for seed in (0, 1)]
    assert tables.make_entry(row, "cifar10", 10, told, None).seconds == 120.0
    old = make("dc", seed=1, **{**known, "seconds": {"distill": 9.0, "evaluate": 4.0}})
    assert tables.make_entry(row, "cifar10", 10, [told[0], old], None).seconds is None
