"""What a set of each method costs, in processor time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dreamlib.companion.report.statistics import costs

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
