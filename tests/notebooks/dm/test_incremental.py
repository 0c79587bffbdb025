"""Class-incremental learning as a frame: pooled as the released code pools, paired order by order."""

from __future__ import annotations

import math
from typing import Any

import incremental
import numpy as np
import pytest

from dreamlib.companion.report import settings, statistics
from dreamlib.companion.report.words import class_sequence


def record(method: str, order: int, step: int, accuracies: list[float], **more: Any) -> dict[str, Any]:
    return {
        "method": method,
        "label": method.upper(),
        "dataset": f"mnist@2steps-order{order}-upto{step}",
        "split": {"part": "ClassSequence", "steps": 2, "order": order, "step": step, "seen": True},
        "classes": list("abcd")[: 2 * step],
        "ipc": 20,
        "seed": order,
        "iteration": 1,
        "iterations": 1,
        "accuracies": accuracies,
        "images_stored": 40 * step,
        "seconds": {"distill": 3.0 * step, "evaluate": 1.0},
        "profile": "quick",
        **more,
    }


RECORDS = [
    record("random", 0, 1, [90.0, 92.0]),
    record("random", 0, 2, [80.0, 82.0]),
    record("dm", 0, 1, [94.0, 94.0]),
    record("dm", 0, 2, [83.0, 85.0]),
    record("random", 1, 1, [70.0, 72.0]),
    record("random", 1, 2, [81.0, 81.0]),
    record("dm", 1, 1, [70.0, 70.0]),
    record("dm", 1, 2, [83.0, 83.0]),
]


def test_networks_of_all_orders_are_pooled_and_orders_told_apart() -> None:
    frame = incremental.by_step(RECORDS)
    assert len(frame) == 4
    line = frame[(frame.method == "random") & (frame.step == 1)].iloc[0]
    pooled = np.array([90.0, 92.0, 70.0, 72.0])
    assert (line["mean"], line["std"], line.n) == (pooled.mean(), pytest.approx(pooled.std(ddof=1)), 4)
    assert (line.orders, line.order_std) == (2, pytest.approx(np.std([91.0, 71.0], ddof=1)))
    assert (line.sequence, line.classes, line.ipc, line.images, line.seconds) == (
        "MNIST in 2 steps",
        2,
        20,
        40,
        4,
    )
    assert frame.method.tolist() == ["random", "random", "dm", "dm"]


def test_seconds_are_processor_time_where_there_is_one() -> None:
    took = {"device": "AMD EPYC, 1 thread", "seconds": {"distill": 30.0, "evaluate": 10.0, "core": 5.0}}
    assert incremental.by_step([record("dm", 0, 1, [50.0], **took)]).seconds.tolist() == [5.0]
    unknown = took | {"seconds": {"distill": 30.0, "evaluate": 10.0}}
    assert incremental.by_step([record("dm", 0, 1, [50.0], **unknown)]).seconds.isna().all()


def test_one_network_of_one_order_has_no_spread() -> None:
    line = incremental.by_step([record("dm", 0, 1, [50.0])]).iloc[0]
    assert math.isnan(line["std"])
    assert math.isnan(line.order_std)
    assert incremental.by_step([]).empty
    assert incremental.by_order([]).columns.tolist()[:2] == ["sequence", "method"]


def test_sequences_and_budgets_are_not_mixed() -> None:
    other = record("dm", 0, 1, [1.0], dataset="mnist@5steps-order0-upto1")
    frame = incremental.by_step([*RECORDS, other, record("dm", 0, 1, [2.0], ipc=1)])
    assert len(frame) == 6
    assert set(frame.sequence) == {"MNIST in 2 steps", "MNIST in 5 steps"}


def test_gains_are_paired_by_order() -> None:
    frame = incremental.gains(incremental.by_order(RECORDS), "random")
    first, last = frame.iloc[0], frame.iloc[1]
    assert (first.method, first.step, first["mean"], first.orders) == ("dm", 1, pytest.approx(1.0), 2)
    assert first["std"] == pytest.approx(np.std([3.0, -1.0], ddof=1))
    assert last["mean"] == pytest.approx(2.5)
    assert incremental.gains(incremental.by_order(RECORDS), "herding").empty


def test_an_order_that_only_one_has_does_not_count() -> None:
    frame = incremental.gains(incremental.by_order(RECORDS[:-2]), "random")
    assert frame.orders.tolist() == [1, 1]


def test_the_end_pairs_orders_like_seeds() -> None:
    ends = incremental.at_the_end(RECORDS)
    assert [(one["method"], one["seed"]) for one in ends] == [
        ("random", 0),
        ("dm", 0),
        ("random", 1),
        ("dm", 1),
    ]
    names = ["MNIST in 2 steps"]
    pairs = statistics.paired_difference(ends, "dm", "random", names, [20])
    assert (pairs.difference[0], pairs.n[0]) == (pytest.approx(2.5), 2)
    assert incremental.by_step(ends).step.tolist() == [2, 2]
    assert incremental.by_step(ends).sequence.tolist() == names * 2


def test_settings_name_the_class_sequence_once() -> None:
    frame = settings.of_methods(RECORDS)
    assert frame["data sets"].tolist() == ["MNIST in 2 steps"] * 2


def test_words_of_a_class_sequence() -> None:
    assert class_sequence("cifar100@10steps-order4-step9") == "CIFAR-100 in 10 steps"
    assert class_sequence("cifar10@holdout") == "CIFAR-10, tested on held-out training images"
    assert class_sequence("digits") == "Digits"
