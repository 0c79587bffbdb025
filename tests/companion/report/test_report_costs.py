"""What a set of each method costs, in processor time, and whether seconds were taken on an idle machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dreamlib.companion.report import settings, tables
from dreamlib.companion.report.statistics import (
    SHARED,
    clock,
    costs,
    formats,
    idle,
    judged_by,
    machine,
    on_processor,
    untimed,
    work,
)

Make = Callable[..., dict[str, Any]]
CPU, GPU = "AMD EPYC, 1 thread", "NVIDIA H200"


def spent(core: float, distill: float = 9e9) -> dict[str, Any]:
    return {"device": CPU, "seconds": {"distill": distill, "evaluate": 4.0, "core": core}}


def test_hours_are_those_of_processors_per_set_and_the_dearest_method_comes_first(make: Make) -> None:
    frame = costs(
        [
            make("dc", seed=0, accuracies=[40.0, 42.0], **spent(3600)),
            make("dc", seed=1, accuracies=[50.0, 52.0], **spent(7200)),
            make("dm", seed=0, accuracies=[60.0, 60.0], **spent(36000)),
        ]
    )
    assert frame.method.tolist() == ["dm", "dc"]
    assert frame.core_hours.tolist() == [10.0, 1.5]
    assert frame.device_hours.isna().all()
    assert frame.accuracy.tolist() == [60.0, 46.0]
    assert frame.sets.tolist() == [1, 2]
    assert frame.judged_by.tolist() == ["dc, 2 networks"] * 2


@pytest.mark.parametrize(
    "other",
    [
        {"device": "Intel(R) Xeon(R) Processor, 1 thread"},
        {"formats": {"distill": "float32", "evaluate": "float32"}},
        {"formats": {"distill": "bfloat16", "evaluate": "float32"}},
        {"accuracies": [1.0, 2.0, 3.0]},
    ],
    ids=["machine", "formats", "formats of judging", "networks"],
)
def test_no_line_is_a_mean_over_two_machines_formats_or_judges(make: Make, other: dict[str, Any]) -> None:
    same = spent(3600) | {"formats": {"distill": "bfloat16", "evaluate": "bfloat16"}}
    frame = costs([make(seed=0, **same), make(seed=1, **same), make(seed=2, **same | other)])
    assert sorted(frame.sets) == [1, 2]


def test_an_older_way_to_write_the_threads_is_the_same_machine(make: Make) -> None:
    older = spent(3600) | {"device": "AMD EPYC, 1 thread(s)"}
    frame = costs([make(seed=0, **spent(3600)), make(seed=1, **older)])
    assert (frame.machine.tolist(), frame.sets.tolist()) == ([CPU], [2])


def test_an_accelerator_has_hours_of_its_own(make: Make) -> None:
    gpu = make(device=GPU, seconds={"distill": 3000.0, "evaluate": 600.0, "core": 9.0})
    frame = costs([gpu])
    assert frame.core_hours.isna().all()
    assert frame.device_hours.tolist() == [1.0]
    assert "core-hours" not in settings.costs(frame).text


def test_a_record_without_processor_time_or_along_the_way_is_left_out(make: Make) -> None:
    old = make("dc", device=CPU)
    early = make("dm", iteration=10, **spent(60))
    assert costs([old, early]).empty
    assert untimed([old, old, early, make("idc", **spent(60))]) == [old]
    assert list(costs([])) == list(costs([old]))
    assert untimed([]) == []


def test_formats_of_judging_are_named_where_they_differ(make: Make) -> None:
    def told(distill: str, evaluate: str) -> str:
        return formats(make(formats={"distill": distill, "evaluate": evaluate}))

    assert told("float32", "float32") == "float32"
    assert told("float32", "bfloat16") == "float32; judged: bfloat16"
    assert formats(make()) == "not recorded"


def test_a_judge_is_its_protocol_and_its_networks(make: Make) -> None:
    assert judged_by(make(accuracies=[1.0] * 20)) == "dc, 20 networks"
    regression = make(accuracies=[50.0])
    regression["evaluation"] |= {"protocol": "ridge", "learner": {"part": "Ridge"}}
    assert judged_by(regression) == "ridge, no network"


def test_long_formats_stand_below_the_table_once_and_one_machine_is_said_once(make: Make) -> None:
    long = "bfloat16, large 3x3 convolutions by Winograd"
    told = [
        make("dc", formats={"distill": long, "evaluate": "float32"}, **spent(60)),
        make("dm", formats={"distill": long, "evaluate": "float32"}, **spent(60)),
        make("idc", formats={"distill": "float32", "evaluate": "float32"}, **spent(60)),
    ]
    text = settings.costs(costs(told)).text
    assert text.count(long) == 1
    assert text.count("bfloat16, judged: float32, note 1") == 2
    assert text.count(CPU) == 1
    assert "core-hours" in text
    assert "device-hours" not in text
    apart = settings.costs(
        costs([*told, make("dc", seed=1, **spent(60) | {"device": "Xeon, 1 thread"})])
    ).text
    assert apart.count(CPU) == 3


def test_work_is_processor_time_and_the_clock_of_a_shared_machine_is_none(make: Make) -> None:
    assert work(make(**spent(60.0))) == 60.0
    assert work(make(device=CPU, seconds={"distill": 9.0, "evaluate": 4.0})) is None
    assert work(make(device=GPU, seconds={"distill": 9.0, "evaluate": 4.0})) == 13.0
    assert on_processor(make(device=CPU))
    assert not on_processor(make(device=GPU))


@pytest.mark.parametrize(("core", "alone"), [(10.0, True), (9.0, True), (8.99, False), (19.0, True)])
def test_a_machine_was_idle_where_processor_time_is_nine_tenths_of_the_clock(
    make: Make, core: float, alone: bool
) -> None:
    record = make(device=CPU, seconds={"distill": 8.0, "evaluate": 2.0, "matching": 7.0, "core": core})
    assert idle(record) is alone
    assert clock(record, "matching") == (7.0 if alone else None)
    assert machine(record) == ("idle" if alone else SHARED)


def test_whether_a_machine_was_idle_is_not_known_without_processor_time(make: Make) -> None:
    assert not idle(make(device=CPU, seconds={"distill": 8.0, "evaluate": 2.0}))
    assert not idle(make(device=CPU, seconds={"distill": 0.0, "evaluate": 0.0, "core": 0.0}))
    assert idle(make(device=GPU, seconds={"distill": 8.0, "evaluate": 2.0}))
    assert clock(make(device=GPU, seconds={"distill": 8.0}), "network") is None


def test_what_a_page_measures_by_itself_is_asked_in_the_same_way() -> None:
    assert idle({"device": CPU, "seconds": {"measure": 10.0, "core": 9.5}})
    assert not idle({"device": CPU, "seconds": {"measure": 10.0, "core": 5.0}})


def test_a_table_tells_what_its_cells_took_or_that_nobody_wrote_it_down(make: Make) -> None:
    row = tables.Row("dc", "DC", "DC")
    told = [make("dc", seed=seed, **spent(60.0)) for seed in (0, 1)]
    assert tables.make_entry(row, "cifar10", 10, told, None).seconds == 120.0
    old = make("dc", seed=1, device=CPU, seconds={"distill": 9.0, "evaluate": 4.0})
    assert tables.make_entry(row, "cifar10", 10, [told[0], old], None).seconds is None
