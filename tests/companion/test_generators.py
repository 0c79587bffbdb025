"""Cells of generators: a first stage that is trained once, what is kept of it, and what a record says."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tinyruns import cell, leftovers, numbers

from dreamlib.companion import worker as worker_module
from dreamlib.companion.cells import Cell, first_stage
from dreamlib.companion.clock import Clock
from dreamlib.companion.interrupts import Interrupts
from dreamlib.companion.run import Summary, run_cells
from dreamlib.companion.store import Store
from dreamlib.companion.worker import HeldElsewhere, Worker
from dreamlib.core.files import read_tensors, write_tensors
from dreamlib.distillation.evaluate import Generated
from dreamlib.distillation.loop import BESIDE, Distillation
from dreamlib.distillation.recipe import change

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.trains]


def run(cells: Sequence[Cell], root: Path, **how: Any) -> Summary:
    return run_cells(cells, Store(root), workers=1, device="cpu", progress=False, **how)


def record(root: Path, one: Cell) -> dict[str, Any]:
    found = Store(root).record(one)
    assert found is not None
    return found


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stage of every step that is made from now on."""
    made: list[str] = []

    def advance(self: Distillation, before: Callable[..., None] = Distillation.advance) -> None:
        if self.recipe.drawn:
            made.append("first" if self.recipe.first is None else "matched")
        before(self)

    monkeypatch.setattr(Distillation, "advance", advance)
    return made


FIRST, MATCHED = 4 * 3, 2 * 3  # epochs times steps of an epoch: 200 images in batches of 64


def test_the_first_stage_is_trained_once_and_shared(tmp_path: Path, steps: list[str]) -> None:
    cells = [cell("dim"), cell("dim-feature"), cell("gan"), cell("gan", step=2), cell("dim", step=2)]
    cells.append(replace(cells[0], evaluation=replace(cells[0].evaluation, generated=Generated(per_class=3))))
    assert run(cells, tmp_path) == Summary(6, 0, 0, {})
    assert steps == ["first"] * FIRST + ["matched"] * 2 * MATCHED
    assert not leftovers(tmp_path)
    names = [path.name for path in (tmp_path / "tiny" / "sets").iterdir()]
    assert len(names) == 3 * 2
    start = first_stage(cells[0])
    assert start is not None
    assert start.set_name == cells[2].set_name
    assert record(tmp_path, cells[0])["set_sha256"] != record(tmp_path, cells[1])["set_sha256"]
    assert run(cells, tmp_path) == Summary(0, 6, 0, {})


def test_one_after_the_other_or_at_once_is_the_same(tmp_path: Path) -> None:
    run([cell("dim"), cell("gan")], tmp_path / "a")
    run([cell("gan")], tmp_path / "b")
    run([cell("dim")], tmp_path / "b")
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")


def test_what_a_record_says(tmp_path: Path) -> None:
    gan, dim, stored = cell("gan"), cell("dim"), cell("dm")
    run([gan, dim, stored], tmp_path)
    found = record(tmp_path, dim)
    assert (found["budget"], found["ipc"], found["method"]) == ("inpc", 1, "dim")
    assert (found["iteration"], found["iterations"]) == (4, 4)
    assert set(found["seconds"]) == {"first stage", "generator", "network", "distill", "evaluate", "core"}
    parts = [found["seconds"][name] for name in ("first stage", "generator", "network")]
    assert found["seconds"]["distill"] == pytest.approx(sum(parts))
    first = record(tmp_path, gan)
    assert found["seconds"]["core"] > first["seconds"]["core"] / 4, "the first stage and its own"
    assert found["seconds"]["first stage"] == pytest.approx(first["seconds"]["distill"] / 2)  # 2 epochs of 4
    tensors, about = read_tensors(Store(tmp_path).set_path(dim))
    assert found["bytes_stored"] == sum(value.numel() * value.element_size() for value in tensors.values())
    assert not any(name.startswith(BESIDE) for name in tensors)
    assert about["shape"] == [1, 8, 8]
    assert (found["images_stored"], found["images_decoded"]) == (0, 10)
    assert found["steps_trained"] == dim.evaluation.learner.epochs
    assert found["notes"]["steps"] == MATCHED
    assert found["notes"]["parameters"]["generator"] < found["bytes_stored"] / 4
    assert found["curve"]["step"] == list(range(2 * 3 + 1, 4 * 3 + 1))
    assert found["evaluation"]["generated"] == {
        "part": "Generated",
        "per_class": 1,
        "fresh": True,
        "whole_batches": False,
    }
    assert first["notes"]["steps"] == FIRST
    assert "network" not in first["seconds"]
    assert "budget" not in record(tmp_path, stored)
    course = Store(tmp_path).read_course(gan)
    assert course is not None
    assert sorted(course) == [0, 1, 2, 3, 4]
    beside = {name.split(".")[1] for name in course[2] if name.startswith(BESIDE)}
    assert beside == {"partner", "partner_moves", "moves"}
    assert {name for name in course[2] if not name.startswith(BESIDE)} == set(tensors)


def test_a_first_stage_that_was_deleted_is_trained_again(tmp_path: Path, steps: list[str]) -> None:
    run([cell("gan")], tmp_path / "gan")
    shutil.copytree(tmp_path / "gan", tmp_path / "whole")
    run([cell("dim")], tmp_path / "whole")
    for lost in ("course", "set", "both"):
        root = Path(shutil.copytree(tmp_path / "gan", tmp_path / lost))
        store = Store(root)
        if lost != "set":
            store.course_path(cell("gan")).unlink()
        if lost != "course":
            store.set_path(cell("gan")).unlink()
        steps.clear()
        assert run([cell("dim")], root).computed == 1
        assert steps == ["first"] * FIRST + ["matched"] * MATCHED
        assert store.read_course(cell("gan")) is not None
        assert numbers(root) == numbers(tmp_path / "whole")


def test_a_damaged_course_is_set_aside_and_made_again(tmp_path: Path, steps: list[str]) -> None:
    run([cell("gan")], tmp_path)
    path = Store(tmp_path).course_path(cell("gan"))
    path.write_bytes(path.read_bytes()[:-100])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run([cell("dim")], tmp_path).computed == 1
    assert steps.count("first") == 2 * FIRST
    assert leftovers(tmp_path, ".damaged")


def test_a_generator_on_the_way_is_judged_as_it_was(tmp_path: Path) -> None:
    """The state of epoch 2 is that of a training that ends there, without what is trained beside it."""
    run([cell("gan", step=2)], tmp_path)
    store = Store(tmp_path)
    worker = Worker(store, torch.device("cpu"), Clock(), Interrupts())
    tensors, _ = worker._distilled(cell("gan", step=2), locked=True)
    course = store.read_course(cell("gan"))
    assert course is not None
    assert set(tensors) == {name for name in course[2] if not name.startswith(BESIDE)} < set(course[2])
    assert all(value.equal(course[2][name]) for name, value in tensors.items())


@pytest.mark.usefixtures("one_step")
def test_one_looks_at_an_unfinished_generator_by_a_picture(tmp_path: Path) -> None:
    run([cell("gan")], tmp_path, seconds=1e-9)
    path = Store(tmp_path).preview_path(cell("gan"))
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.size == (8 * 10 + 2, 10 * 10 + 2)  # eight images, ten classes, two pixels between
        drawn = np.asarray(picture)
    # The images of its last look: class 3, image 5.
    images = torch.rand(10, 8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    Store(tmp_path).write_preview(cell("gan"), images)
    with Image.open(path) as picture:
        again = np.asarray(picture)
    assert again.shape == drawn.shape
    assert (again[2 + 30 : 40, 2 + 50 : 60] == (images[3, 5, 0] * 255).round().numpy()).all()
    assert not again[:, :2].any()
    assert not again[30:32].any()
    torn = path.with_name(f".{path.name}.123.tmp")
    torn.write_bytes(b"half a picture")
    run([cell("gan")], tmp_path)
    assert not path.exists()
    assert not torn.exists()


# Others


def test_a_first_stage_that_another_process_trains_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    store, waited = Store(tmp_path), []
    start = first_stage(cell("dim"))
    assert start is not None
    worker = Worker(store, torch.device("cpu"), Clock(), Interrupts())
    with store.lock(start) as mine:
        assert mine
        with pytest.raises(HeldElsewhere):
            worker._maker(cell("dim"))
        assert not steps
    held = store.lock(start)
    held.__enter__()

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        held.__exit__(None, None, None)

    monkeypatch.setattr(worker_module.time, "sleep", sleep)
    done: list[Cell] = []
    worker.run([cell("dim")], done.append)
    assert waited == [worker_module.POLL_SECONDS]
    assert done == [cell("dim")]
    assert store.record(cell("dim")) is not None


def test_a_first_stage_that_fails_is_tried_once_and_stands_for_all(tmp_path: Path, steps: list[str]) -> None:
    explodes = cell("dim-explodes")
    other = replace(explodes, method="other", recipe=change(explodes.recipe, "weight", 0.5))
    assert len(run([cell("gan-explodes")], tmp_path / "alone").failed) == 1
    once = len(steps)
    summary = run([explodes, other, cell("gan-explodes"), cell("dm")], tmp_path)
    assert (summary.computed, len(summary.failed)) == (1, 3)
    assert all("lower lr" in why for why in summary.failed.values())
    assert steps == ["first"] * 2 * once
    assert not Store(tmp_path).set_path(explodes).exists()
    before = len(steps)
    assert len(run([other], tmp_path).failed) == 1
    assert len(steps) > before, "another run tries again"


def test_other_data_under_an_old_first_stage_is_told(tmp_path: Path) -> None:
    run([cell("gan")], tmp_path)
    path = Store(tmp_path).set_path(cell("gan"))
    tensors, about = read_tensors(path)
    write_tensors(path, tensors, {**about, "data_fingerprint": "another"})
    (why,) = run([cell("dim")], tmp_path).failed.values()
    assert "distilled from other data than 'digits' is now" in why
