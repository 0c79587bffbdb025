"""What IPC and INPC cost, and what it takes to serve one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import budgets
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from dreamlib.companion.report.statistics import pooled
from dreamlib.core.errors import BadValue

Make = Callable[..., dict[str, Any]]


def images(make: Make, **changes: Any) -> dict[str, Any]:
    """Stored images: 30 an epoch, batches of 20, 5 epochs."""
    record = make(
        images_decoded=30, steps_trained=10, images_stored=30, bytes_stored=4096, set_sha256="images"
    )
    record["evaluation"]["learner"] |= {"batch": 20, "epochs": 5}
    return record | changes


def drawn(make: Make, *, fresh: bool = True, **changes: Any) -> dict[str, Any]:
    """The same from a generator."""
    record = images(make, method="dim", label="DiM", budget="inpc", images_stored=0, set_sha256="weights")
    record["evaluation"]["generated"] = {"per_class": 3, "fresh": fresh, "whole_batches": False}
    return record | changes


def test_passes_count_repetitions_and_distinct_images_do_not(make: Make) -> None:
    assert budgets.forward_passes(images(make)) == budgets.forward_passes(drawn(make)) == 150
    assert budgets.distinct_images(images(make)) == 30
    assert budgets.distinct_images(drawn(make)) == 150
    assert budgets.distinct_images(drawn(make, fresh=False)) == 30


def test_an_old_record_that_does_not_say_its_steps_trained_all_its_epochs(make: Make) -> None:
    record = images(make)
    del record["steps_trained"]
    assert budgets.steps(record) == 10
    assert budgets.forward_passes(record) == 150


def test_a_set_with_steps_of_its_own_has_no_epochs_to_read(make: Make) -> None:
    """DD: three images of each class, so three steps, gone through twice; LD: 17 steps of 20 of its 30 images."""
    own = images(make, images_decoded=9, ipc=3, steps_trained=6)
    own["evaluation"]["learner"] = {"part": "Replay"}
    assert (budgets.epochs(own), budgets.forward_passes(own), budgets.distinct_images(own)) == (2, 18, 9)
    timed = images(make, steps_trained=17)
    del timed["evaluation"]["learner"]["epochs"]
    assert (budgets.epochs(timed), budgets.forward_passes(timed)) == (8, 8 * 30 + 20)
    assert budgets.epochs(images(make)) == 5


def test_budgets_are_compared_at_equal_steps(make: Make) -> None:
    assert budgets.unequal([images(make)], [drawn(make)]) == ""
    why = budgets.unequal([images(make)], [drawn(make, steps_trained=1200), drawn(make, steps_trained=40)])
    assert why == "not comparable: the judging networks took 10 training steps against 40 or 1,200"
    assert budgets.unequal([], [drawn(make)]) == ""


def test_a_page_says_that_steps_differ(make: Make) -> None:
    def group(record: dict[str, Any]) -> str:
        return "DiM" if "budget" in record else "images"

    same = [images(make), drawn(make)]
    assert budgets.steps_told(same, group) == "All judging networks trained for equally many steps."
    said = budgets.steps_told([*same, drawn(make, ipc=1, steps_trained=1200)], group)
    assert "images: 10 at 10; DiM: 1,200 at 1, 10 at 10 images per class" in said
    assert budgets.steps_told([], group) == ""
    many = [images(make, ipc=1), images(make), drawn(make, steps_trained=7)]
    assert "images: 10 at 1, 10; DiM: 7 at 10" in budgets.steps_told(many, group)


@pytest.mark.parametrize(("steps", "seen"), [(1, 20), (2, 30), (3, 50), (9, 140)])
def test_a_training_that_stops_early_has_seen_less(make: Make, steps: int, seen: int) -> None:
    assert budgets.forward_passes(images(make, steps_trained=steps)) == seen


def test_costs_name_the_budget_and_show_what_differs_as_a_range(make: Make) -> None:
    other = images(make, method="dm", bytes_stored=8192)
    frame = budgets.costs(
        [images(make), other, drawn(make)], lambda record: "model" if "budget" in record else "images"
    )
    assert frame.columns.tolist() == list(budgets.COSTS)
    assert frame.budget.tolist() == ["IPC 10", "INPC 10"]
    assert frame["bytes stored"].tolist() == ["4.0 KiB – 8.0 KiB", "4.0 KiB"]
    assert frame["distinct images seen"].tolist() == ["30", "150"]
    assert frame["steps"].tolist() == ["10", "10"]


def test_no_record_costs_nothing() -> None:
    assert budgets.costs([], lambda record: "").empty
    assert budgets.redeployment([]).empty


def test_a_generator_is_paid_for_once_and_images_at_every_budget(make: Make) -> None:
    records = [
        images(make, ipc=50, set_sha256="c", seconds={"distill": 7.0}),
        images(make, ipc=1, set_sha256="a", seconds={"distill": 2.0}),
        drawn(make, ipc=1, seconds={"distill": 5.0}),
        drawn(make, ipc=50, seconds={"distill": 5.0}),
    ]
    frame = budgets.redeployment(records)
    assert frame.ipc.tolist() == [1, 50, 1, 50]
    assert frame.seconds.tolist() == [2, 7, 5, 0]
    assert frame.total.tolist() == [2, 9, 5, 5]
    assert frame.budget.tolist() == ["IPC", "IPC", "INPC", "INPC"]


def test_what_a_budget_takes_says_whether_the_machine_was_shared(make: Make) -> None:
    device = "AMD EPYC, 1 thread"
    alone = images(make, device=device, seconds={"distill": 9.0, "evaluate": 1.0, "core": 10.0})
    shared = alone | {"seed": 1, "key": "b", "seconds": {"distill": 9.0, "evaluate": 1.0, "core": 4.0}}
    assert budgets.redeployment([alone, shared]).machine.tolist() == ["idle", "shared machine"]


def test_states_along_the_way_are_no_set_to_serve(make: Make) -> None:
    assert budgets.redeployment([images(make, iteration=7)]).empty


def test_accuracies_are_pooled_by_budget(make: Make) -> None:
    frame = budgets.by_budget([images(make, accuracies=[40.0]), images(make, seed=1, accuracies=[50.0])])
    assert frame[["mean", "n"]].to_numpy().tolist() == [[45, 2]]
    assert frame["std"].iloc[0] == pytest.approx(math.sqrt(50))
    assert math.isnan(pooled([images(make, accuracies=[40.0])])["std"])


def test_lines_by_budget_tell_measured_from_reported(make: Make) -> None:
    frame = budgets.by_budget([images(make, ipc=ipc) for ipc in (1, 10)] + [drawn(make, ipc=10)])
    axes = budgets.budget_lines(frame, {"dc": {1: 28.3, 50: 53.9}, "mtt": {10: 65.3}}, labels={"mtt": "MTT"})
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts.count("reported") == 1
    assert "MTT, reported" in texts
    assert {"DC by IPC (n = 2)", "DiM by INPC (n = 2)"} <= set(texts)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "10", "50"]
    plt.close("all")


def test_nothing_to_draw_is_an_error(make: Make) -> None:
    with pytest.raises(BadValue, match="no accuracy by budget"):
        budgets.budget_lines(budgets.by_budget([]), {"dc": {}})
    both = pd.concat([budgets.by_budget([images(make, dataset=name)]) for name in ("mnist", "svhn")])
    with pytest.raises(BadValue, match="mnist, svhn"):
        budgets.budget_lines(both)
