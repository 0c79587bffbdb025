"""Sets of several cells judged together: computed once each, judged as one, resumable and shared like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tinyruns import cell, leftovers, numbers

from dreamlib.companion.cells import Cell, union
from dreamlib.companion.clock import Clock
from dreamlib.companion.forecast import expected_seconds
from dreamlib.companion.run import Summary, run_cells
from dreamlib.companion.store import Store
from dreamlib.companion.studies import study
from dreamlib.companion.worker import DERIVED_KEPT, Worker
from dreamlib.core.errors import BadValue
from dreamlib.core.files import tensors_digest
from dreamlib.data import load
from dreamlib.distillation.evaluate import evaluate

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.trains]


def memories(method: str = "dm", seeds: int = 1, steps: int = 5) -> list[Cell]:
    name = f"digits@{steps}steps"
    return list(
        study(
            "dm/continual", profile="tiny", datasets=(name,), methods=(method,), ipcs=(2,), seeds=seeds
        ).cells
    )


def run(cells: list[Cell], root: Path, **how: Any) -> Summary:
    return run_cells(cells, Store(root), workers=1, device="cpu", progress=False, **how)


def test_keys_depend_on_every_part_their_order_and_the_test_images() -> None:
    three = memories()[2]
    a, b, c = three.parts
    others = [
        union(three, (a, b)),
        union(three, (b, a, c)),
        replace(three, dataset="digits@5steps-order0-upto4"),
        replace(three, seed=1),
        replace(three, parts=()),
        replace(three, evaluation=replace(three.evaluation, networks=1)),
        union(three, (a, b, replace(c, step=0))),
    ]
    assert len({one.key for one in [three, *others]}) == 1 + len(others)
    assert union(three, three.parts) == three
    assert {part.key for part in three.parts}.isdisjoint(one.key for one in memories())


def test_the_sets_are_those_of_ordinary_cells() -> None:
    part = memories()[0].parts[0]
    alone = cell("dm", dataset="digits@5steps-order0-step1")
    assert replace(alone, ipc=2).set_key == part.set_key
    assert alone.sets == (alone,)


def test_a_union_of_nothing_or_of_unions_is_refused() -> None:
    one = memories()[0]
    for parts in ((), (one,)):
        with pytest.raises(BadValue, match="expected one or more cells of one set each"):
            union(one, parts)


@pytest.mark.parametrize("method", ["dm", "dream", "random"])
def test_a_union_is_judged_on_all_its_sets(tmp_path: Path, method: str) -> None:
    cells = memories(method=method)[:3]
    assert run(cells, tmp_path) == Summary(3, 0, 0, {})
    assert not leftovers(tmp_path)
    store, last = Store(tmp_path), cells[2]
    dataset, images = load(last.dataset), []
    for part in last.parts:
        found = store.read_set(part)
        assert found is not None
        decoded = part.recipe.container.decode(found[0])
        unit = part.recipe.container.space == "unit"
        images.append(dataset.normalisation.apply(decoded) if unit else decoded)
    record = store.record(last)
    assert record is not None
    assert record["accuracies"] == evaluate(torch.cat(images), dataset, last.evaluation)
    assert record["split"] == {"part": "ClassSequence", "steps": 5, "order": 0, "step": 3, "seen": True}
    assert record["classes"] == list(dataset.classes)
    assert record["parts"] == [part.set_name for part in last.parts]
    assert record["images_stored"] == 6 * 2
    assert record["images_decoded"] == sum(len(part.flatten(0, 1)) for part in images)
    assert record["test_images"] == len(dataset.test_labels)
    assert record["data_fingerprint"] == dataset.fingerprint
    seconds = [about["seconds"]["distill"] for part in last.parts for _, about in [store.read_set(part)]]  # type: ignore[misc]  # all are there
    assert record["seconds"]["distill"] == pytest.approx(sum(seconds))


def test_a_set_is_distilled_once_for_all_memories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    before = Store.write_set

    def write(self: Store, cell: Cell, *what: Any) -> None:
        made.append(cell.dataset)
        before(self, cell, *what)

    monkeypatch.setattr(Store, "write_set", write)
    run(memories(seeds=2), tmp_path)
    assert sorted(made) == sorted(f"digits@5steps-order{k}-step{t}" for k in (0, 1) for t in range(1, 6))
    sets = list((tmp_path / "tiny" / "sets").glob("*.safetensors"))
    assert len([path for path in sets if ".course." not in path.name]) == 10


def test_a_set_that_another_process_makes_is_waited_for(tmp_path: Path) -> None:
    store, (first, second, *_) = Store(tmp_path), memories()
    with store.lock(second.parts[1]) as mine:
        assert mine
        assert run([second, first], tmp_path, seconds=1.5) == Summary(1, 0, 1, {})
        assert store.read_set(second.parts[0]) is not None
        assert store.failure(second) is None
    assert run([second, first], tmp_path) == Summary(1, 1, 0, {})


def test_a_set_that_fails_fails_every_memory_with_it_and_is_tried_once(tmp_path: Path) -> None:
    good, bad = memories(), memories(method="explodes")
    mixed = [replace(one, parts=(*good[2].parts[:2], bad[0].parts[0])) for one in good[2:4]]
    summary = run([good[0], *mixed], tmp_path)
    assert summary.computed == 1
    assert set(summary.failed) == {one.name for one in mixed}
    assert len({*summary.failed.values()}) == 1
    store = Store(tmp_path)
    assert "lower image_lr" in (store.failure(mixed[1]) or "")
    assert store.failure(good[0]) is None
    assert len(list(tmp_path.rglob("*.failed.json"))) == 1


def test_with_its_sets_a_memory_is_finished_when_all_are_there(tmp_path: Path) -> None:
    one = replace(memories()[1], with_set=True)
    run([one], tmp_path)
    store = Store(tmp_path)
    assert store.finished(one)
    accuracies = numbers(tmp_path)
    store.set_path(one.parts[0]).unlink()
    assert not store.finished(one)
    assert run([one], tmp_path) == Summary(1, 0, 0, {})
    assert numbers(tmp_path) == accuracies


def test_the_time_left_counts_a_shared_set_once_and_pools_orders(tmp_path: Path) -> None:
    store, cells = Store(tmp_path), memories(seeds=2)
    for one, evaluation in zip(cells[:5], (1, 2, 3, 4, 5), strict=True):
        seconds = {"distill": 10 * len(one.parts), "evaluate": evaluation}
        store.write_record(one, {"accuracies": [1.0] * 3, "seconds": seconds})
    assert expected_seconds(cells, store) == 5 * 10 + (1 + 2 + 3 + 4 + 5)
    store.write_set(cells[5].parts[0], {}, {}, {})
    assert expected_seconds(cells, store) == 4 * 10 + (1 + 2 + 3 + 4 + 5)


def test_a_worker_keeps_the_last_data_sets_only(tmp_path: Path) -> None:
    from dreamlib.companion.interrupts import Interrupts

    worker = Worker(Store(tmp_path), torch.device("cpu"), Clock(), Interrupts())
    names = [
        f"digits@5steps-order{k}-{which}" for k in range(4) for which in ("step1", "upto2", "step2", "upto1")
    ]
    for name in names:
        worker.classes(name, 5)
        again = worker.dataset(name)
        assert worker.dataset(name) is again
        assert again.fingerprint == load(name).fingerprint
    assert len(worker._derived) == DERIVED_KEPT
    assert {name for name, _ in worker._classes} <= {*worker._derived, "digits"}
    assert [name for name, _ in worker._datasets] == ["digits"]


def test_the_study_has_a_memory_after_every_step_in_every_order() -> None:
    cells = memories(seeds=3)
    assert [one.dataset for one in cells] == [
        f"digits@5steps-order{k}-upto{t}" for k in range(3) for t in range(1, 6)
    ]
    for one in cells:
        split = one.describe()["split"]
        assert [part.dataset for part in one.parts] == [
            one.dataset.split("-")[0] + f"-order{one.seed}-step{t}" for t in range(1, split["step"] + 1)
        ]
        assert (split["order"], one.evaluation.protocol, one.evaluation.networks) == (one.seed, "dsa", 3)
        assert all(part.evaluation == one.evaluation for part in one.parts)


def test_the_published_study() -> None:
    one = study("dm/continual", profile="paper", methods=("dm",), datasets=("cifar100",))
    assert (one.seeds, one.ipcs) == (5, (20,))
    assert len(one.cells) == 5 * (5 + 10)
    last = one.cells[-1]
    assert last.dataset == "cifar100@10steps-order4-upto10"
    assert (last.evaluation.learner.epochs, last.evaluation.learner.batch) == (1000, 256)
    assert last.recipe.iterations == 20000
    assert last.sources["evaluation.networks"].startswith("DM released code")
    herding = study("dm/continual", profile="paper", methods=("herding",), datasets=("cifar100",)).cells[0]
    assert herding.evaluation == one.cells[0].evaluation


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"datasets": ("digits@11steps",)}, "10 classes; they cannot arrive in 11 steps, expected 1 to 10"),
        ({"datasets": ("digits@0steps",)}, "cannot arrive in 0 steps"),
        ({"datasets": ("digits@10steps",), "methods": ("dsa",)}, "dsa learns from telling classes apart"),
        (
            {"datasets": ("digits@7steps",), "methods": ("herding",)},
            "some of 7 steps of digits have only one",
        ),
        ({"ipcs": (0,)}, "a memory of 0 images per class is smaller than its classes"),
        ({"datasets": ("digits@5step",)}, "unknown part '5step'"),
    ],
)
def test_what_cannot_be_learned_is_named(choice: dict[str, Any], says: str) -> None:
    with pytest.raises(BadValue, match=says):
        study("dm/continual", **choice)


def test_methods_that_compare_no_classes_take_one_class_at_a_time(tmp_path: Path) -> None:
    assert run(memories(method="dm", steps=10)[:2], tmp_path).computed == 2


@pytest.mark.usefixtures("one_step")
def test_one_checkpoint_serves_every_memory_of_a_set(tmp_path: Path) -> None:
    """Broken off in a set, another memory goes on with it."""
    first, second = memories(method="dc")[:2]
    for _ in range(4):
        run([first], tmp_path, seconds=1e-9)
    store = Store(tmp_path)
    found = store.read_checkpoint(second.parts[0], "distill")
    assert found is not None
    run([second], tmp_path)
    about = store.read_set(first.parts[0])
    assert about is not None
    assert about[1]["resumed"] is True
    run([first], tmp_path / "whole")
    fresh = Store(tmp_path / "whole").read_set(first.parts[0])
    assert fresh is not None
    assert tensors_digest(fresh[0]) == tensors_digest(about[0])
