"""Running cells in one process: slices of time, signals, failures, and what is computed again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tinyruns import cell, leftovers, numbers

from dreamlib.companion import worker as worker_module
from dreamlib.companion.cells import Cell, make_cell
from dreamlib.companion.clock import Clock, checkpoint_seconds
from dreamlib.companion.interrupts import Interrupts
from dreamlib.companion.run import Summary, run_cells
from dreamlib.companion.store import Store
from dreamlib.companion.worker import revision
from dreamlib.compute import backend
from dreamlib.compute.engine import WORTH_COMPILING
from dreamlib.core.errors import BadValue, DreamlibError, OutOfMemory, StoreError
from dreamlib.core.files import read_tensors
from dreamlib.coresets import FirstImages
from dreamlib.criteria.matching import Comparison
from dreamlib.data import load, statistics
from dreamlib.data.normalisation import measured
from dreamlib.distillation.evaluate import EvaluationRun, evaluate
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.sets import load_set
from dreamlib.networks.training import Stack
from dreamlib.recipes import rule
from dreamlib.teachers.networks import Learning

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.trains]


def run(cells: Sequence[Cell], root: Path, data: Path | None = None, **how: Any) -> Summary:
    return run_cells(cells, Store(root, data=data), workers=1, device="cpu", progress=False, **how)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kind of every step that is made from now on."""
    made: list[str] = []
    for kind in (Distillation, EvaluationRun):

        def advance(
            self: Any, before: Callable[[Any], None] = kind.advance, name: str = kind.__name__
        ) -> None:
            made.append(name)
            before(self)

        monkeypatch.setattr(kind, "advance", advance)
    return made


def test_what_a_coreset_is_chosen_by_is_trained_once(tmp_path: Path) -> None:
    budgets = [make_cell("tiny", "herding", "digits", ipc, 0) for ipc in (1, 2)]
    cells, store = [*budgets, cell("herding", seed=1)], Store(tmp_path)
    assert run(cells[:1], tmp_path).computed == 1
    (network,) = {need.set_name: need for one in budgets for need in one.needs}.values()
    trained = store.set_path(network).stat().st_mtime_ns
    assert run(cells, tmp_path).computed == 2
    assert store.set_path(network).stat().st_mtime_ns == trained
    assert len({need.set_name for one in cells for need in one.needs}) == 2, "one for each seed"
    records = [store.record(one) for one in budgets]
    first, second = (record["seconds"]["first stage"] for record in records if record is not None)
    assert first == second > 0, "each record says what its set cost in all"
    one, other = (record["earlier"] for record in records if record is not None)
    assert one == other, "and which part of it is shared"
    assert [took["distill"] for took in one.values()] == [first]


def test_a_run_writes_records_sets_and_nothing_else(tmp_path: Path) -> None:
    cells = [cell("dm"), cell("dc", step=0), cell("dc")]
    threads = torch.get_num_threads()
    assert run(cells, tmp_path) == Summary(3, 0, 0, {})
    assert torch.get_num_threads() == threads
    assert not leftovers(tmp_path)
    record = Store(tmp_path).record(cells[0])
    assert record is not None
    assert len(record["accuracies"]) == 2
    assert record["resumed"] is False
    assert record["test_images"] == 450
    assert record["images_stored"] == 10
    assert record["bytes_stored"] == 10 * 64 * 4
    assert set(record["seconds"]) == {
        "select",
        "clustering",
        "matching",
        "network",
        "distill",
        "evaluate",
        "core",
    }
    assert record["versions"]["torch"] == torch.__version__
    assert record["revision"] == revision()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    assert run(cells, tmp_path) == Summary(0, 3, 0, {})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == before


def test_the_same_cell_gives_the_same_numbers(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        run([cell("dream"), cell("herding")], tmp_path / folder)
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")
    run([cell("dream", seed=1)], tmp_path / "c")
    (other,), one = numbers(tmp_path / "c").values(), numbers(tmp_path / "a")
    assert other["set_sha256"] not in {found["set_sha256"] for found in one.values()}


def test_one_distillation_serves_all_cells_of_a_set(tmp_path: Path, steps: list[str]) -> None:
    assert run([cell("dc", step=at) for at in (0, 1, 12)], tmp_path).computed == 3
    assert steps.count("Distillation") == 1 + 12


def test_two_names_of_one_computation_are_two_records(tmp_path: Path) -> None:
    one, twin = cell("dm"), cell("twin")
    assert one.recipe == twin.recipe or one.set_key != twin.set_key
    assert run([one, twin], tmp_path).computed == 2


# Time


def test_a_run_stops_inside_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Distillation.advance

    def slow(self: Distillation) -> None:
        time.sleep(0.05)
        before(self)

    monkeypatch.setattr(Distillation, "advance", slow)
    begun = time.monotonic()
    assert run([cell("endless")], tmp_path, seconds=1.0).missing == 1
    assert 0.5 < time.monotonic() - begun < 1.0
    found = Store(tmp_path).read_checkpoint(cell("endless"), "distill")
    assert found is not None
    assert found[1]["step"] > 2


def test_the_clock_keeps_room_for_a_long_step_and_forgets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = Clock(10.0, started=now)
    assert clock.remaining() == 10.0
    assert not clock.over()
    now = 109.9
    assert not clock.over()
    assert clock.over(expected=0.2), "a first step that takes longer than what is left is not made"
    now = 110.1
    assert clock.over(), "nor is any when the time is over"
    now = 104.0
    clock.tick(0.1)
    assert not clock.over()
    clock.tick(3.5)
    assert clock.over(), "another 3.5 s and saving do not fit into 6 s"
    for _ in range(20):
        clock.tick(0.1)
    assert not clock.over()
    assert clock.steps == 22
    assert Clock().remaining() is None
    assert not Clock().over(1e9)


def test_no_step_is_made_that_there_is_no_time_for(tmp_path: Path, steps: list[str]) -> None:
    """What the start of a cell takes is remembered from one run to the next."""
    assert run([cell("endless")], tmp_path, seconds=1e-9) == Summary(0, 0, 1, {})
    assert not steps
    assert not leftovers(tmp_path)
    assert run([cell("endless")], tmp_path, seconds=1.0).steps == len(steps) > 2
    store, one = Store(tmp_path), cell("endless")
    with store.lock(one):
        store.tell(one, "", "distill", {**store.pace(one, "distill"), "first": 96.0})
    before = store.checkpoint_path(one, "distill").read_bytes()
    made = len(steps)
    assert run([one], tmp_path, seconds=90).steps == 0
    assert len(steps) == made
    assert store.checkpoint_path(one, "distill").read_bytes() == before


def test_what_has_to_be_compiled_first_is_not_begun_in_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    monkeypatch.setitem(WORTH_COMPILING, "cpu", 0.0)
    one = cell("dm", recipe_rules=(rule("test", {"mode": "fast"}),))
    assert run([one], tmp_path, seconds=50) == Summary(0, 0, 1, {})
    assert not steps


def test_a_clock_without_time_to_wait_for_others_ends(tmp_path: Path) -> None:
    with Store(tmp_path).lock(cell()):
        begun = time.monotonic()
        assert run([cell()], tmp_path, seconds=0.3).missing == 1
        assert time.monotonic() - begun < 5


# Signals


def signal_in(monkeypatch: pytest.MonkeyPatch, kind: type, place: str, at: int, *numbers: int) -> None:
    """Send signals to this process in the middle of the ``at``-th call of a method."""
    before, calls = getattr(kind, place), 0

    def call(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            for number in numbers:
                os.kill(os.getpid(), number)
        return before(self, *arguments)

    monkeypatch.setattr(kind, place, call)


@pytest.mark.parametrize(
    ("number", "kind", "place", "phase"),
    [
        # After the image update, before the network is trained on it: a step torn here would change the result.
        (signal.SIGINT, Learning, "_train_on_synthetic", "distill"),
        (signal.SIGTERM, Comparison, "gradients", "distill"),
        (signal.SIGINT, Stack, "learn", "evaluate"),
    ],
)
def test_a_signal_in_the_middle_of_a_step_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type, place: str, phase: str
) -> None:
    run([cell("dc", step=12)], tmp_path / "whole")
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        signal_in(patch, kind, place, 5, number)
        with pytest.raises(KeyboardInterrupt):
            run([cell("dc")], tmp_path / "cut")
    assert signal.getsignal(number) is before
    assert Store(tmp_path / "cut").read_checkpoint(cell("dc"), phase) is not None
    assert not list((tmp_path / "cut").rglob("*.tmp"))
    assert run([cell("dc")], tmp_path / "cut").computed == 1
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")


def test_a_second_ctrl_c_does_not_wait_and_saves_nothing_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run([cell("dc")], tmp_path / "whole")
    monkeypatch.setenv("DREAMLIB_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        signal_in(patch, Learning, "_train_on_synthetic", 5, signal.SIGINT, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            run([cell("dc")], tmp_path / "cut")
    found = Store(tmp_path / "cut").read_checkpoint(cell("dc"), "distill")
    assert found is not None
    assert found[1]["step"] == 1 + 5, (
        "the sixth matching step is the fifth after which the network is trained"
    )
    run([cell("dc")], tmp_path / "cut")
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")


def test_sigterm_twice_is_as_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster sends it to every process, and the parent sends it to its workers too."""
    signal_in(monkeypatch, Comparison, "gradients", 3, signal.SIGTERM, signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run([cell()], tmp_path)
    found = Store(tmp_path).read_checkpoint(cell(), "distill")
    assert found is not None
    assert found[1]["step"] == 1 + 3


def test_a_signal_while_the_last_file_is_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_in(monkeypatch, Store, "write_record", 1, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run([cell(), cell(seed=1)], tmp_path)
    assert Store(tmp_path).record(cell()) is not None
    assert not leftovers(tmp_path)


def test_a_signal_right_after_the_last_step_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    with monkeypatch.context() as patch:
        signal_in(patch, Store, "write_set", 1, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            run([cell()], tmp_path)
    assert Store(tmp_path).read_set(cell()) is not None
    matched = steps.count("Distillation")
    assert matched == 1 + 30
    assert run([cell()], tmp_path).computed == 1
    assert steps.count("Distillation") == matched


def test_outside_of_a_step_a_signal_is_raised_at_once() -> None:
    interrupts = Interrupts(say=False)
    with interrupts.listening():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.asked
        with pytest.raises(KeyboardInterrupt), interrupts.deferred():
            raise AssertionError("no new work for someone who has been asked to stop")


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts().listening():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# Failures


def test_a_cell_that_diverges_is_noted_and_the_others_finish(tmp_path: Path, steps: list[str]) -> None:
    store, bad = Store(tmp_path), cell("explodes")
    cells = [bad, cell("explodes", step=0), cell("dm")]
    summary = run(cells, tmp_path)
    assert (summary.computed, summary.found, summary.missing) == (1, 0, 0)
    assert list(summary.failed) == [bad.name, cells[1].name]
    assert "image_lr" in summary.failed[bad.name]
    assert store.failure(bad) == summary.failed[bad.name]
    made = len(steps)
    assert run(cells, tmp_path).failed == summary.failed, "tried again in the next run"
    assert len(steps) - made < 5, "once for the whole set"


def test_a_device_that_is_full_before_the_first_step_fails_that_cell_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, begun = EvaluationRun.__init__, []

    def full(self: EvaluationRun, *arguments: Any) -> None:
        begun.append(arguments)
        if len(begun) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        begin(self, *arguments)

    monkeypatch.setattr(EvaluationRun, "__init__", full)
    summary = run([cell(), cell(seed=1)], tmp_path)
    assert "cpu has too little memory to begin with evaluate" in summary.failed[cell().name]
    assert summary.computed == 1


def test_a_later_success_clears_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def refuse(self: EvaluationRun) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(EvaluationRun, "advance", refuse)
        summary = run([cell()], tmp_path)
        assert "cpu ran out of memory in evaluate" in summary.failed[cell().name]
    assert store.failure(cell()) is not None
    assert run([cell()], tmp_path) == Summary(1, 0, 0, {})
    assert store.failure(cell()) is None
    assert not leftovers(tmp_path)


def test_one_of_two_data_sets_is_missing(tmp_path: Path) -> None:
    nowhere = "folder:nowhere"
    cells = [cell(dataset=nowhere), cell("dc", dataset=nowhere), cell()]
    summary = run(cells, tmp_path, data=tmp_path / "data")
    assert summary.computed == 1
    assert list(summary.failed) == [cells[0].name, cells[1].name]
    assert str(tmp_path / "data" / "nowhere") in summary.failed[cells[0].name]


def test_a_data_set_that_cannot_be_read_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    load = worker_module.load

    def counting(*arguments: Any, **how: Any) -> Any:
        calls.append(arguments)
        return load(*arguments, **how)

    monkeypatch.setattr(worker_module, "load", counting)
    run([cell(dataset="folder:nowhere", seed=seed) for seed in range(3)], tmp_path, data=tmp_path)
    assert len(calls) == 1


def test_a_bug_is_shown_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(self: Distillation) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Distillation, "advance", bug)
    with pytest.raises(ZeroDivisionError):
        run([cell()], tmp_path)


def test_a_full_disk_ends_the_run_and_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run([cell()], tmp_path)
    before = numbers(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=f"no space left for {tmp_path}"):
            run([cell("dc")], tmp_path)
    assert numbers(tmp_path) == before
    assert not leftovers(tmp_path)
    assert run([cell("dc")], tmp_path).computed == 1


def test_a_disk_that_fills_up_later_ends_the_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, calls = os.replace, 0

    def full_at_the_set(*paths: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # after the course
            raise OSError(28, "No space left on device")
        replace(*paths)

    monkeypatch.setattr(os, "replace", full_at_the_set)
    with pytest.raises(StoreError, match=r"no space left for .*sets"):
        run([cell()], tmp_path)
    assert not leftovers(tmp_path)
    assert run([cell()], tmp_path).computed == 1


# What is there already


def test_damage_is_repaired_by_running_again(tmp_path: Path, steps: list[str]) -> None:
    store, cells = Store(tmp_path), [cell("dc"), cell("dc", step=1)]
    run(cells, tmp_path)
    before, matched = numbers(tmp_path), steps.count("Distillation")
    for path, needed_by, again in (
        (store.record_path(cells[0]), cells[0], 0),
        (store.course_path(cells[0]), cells[1], matched),
        (store.set_path(cells[0]), cells[0], matched),
    ):
        path.write_bytes(path.read_bytes()[:-9])
        if path != store.record_path(needed_by):
            store.record_path(needed_by).unlink()
        steps.clear()
        with pytest.warns(UserWarning, match="set aside|passed over") as told:
            assert run(cells, tmp_path).computed == 1
        assert any(f"{path.name}.damaged" in str(warning.message) for warning in told)
        assert steps.count("Distillation") == again
        assert numbers(tmp_path) == before


def test_a_lost_course_is_distilled_again(tmp_path: Path) -> None:
    store, final, early = Store(tmp_path), cell("dc"), cell("dc", step=1)
    run([final], tmp_path / "whole")
    run([early], tmp_path / "whole")
    run([final], tmp_path)
    store.course_path(final).unlink()
    assert run([early], tmp_path).computed == 1
    assert numbers(tmp_path) == numbers(tmp_path / "whole")


@pytest.mark.usefixtures("one_step")
@pytest.mark.parametrize("phase", ["distill", "evaluate"])
@pytest.mark.parametrize("change", ["origin", "state"])
def test_a_checkpoint_that_does_not_fit_is_not_continued(tmp_path: Path, phase: str, change: str) -> None:
    """Of other data, of another kind of device, or of a version of the code with other names."""
    run([cell()], tmp_path / "whole")
    store, root = Store(tmp_path / "cut"), tmp_path / "cut"
    for _ in range(60):
        run([cell()], root, seconds=1e-9)
        if (found := store.read_checkpoint(cell(), phase)) is not None and found[1]["step"] > 3:
            break
    assert found is not None
    state, about = found
    if change == "origin":
        about["origin"]["device"] = "cuda"
    else:
        state = {f"x{name}": value for name, value in state.items()}
    store.write_checkpoint(cell(), phase, state, about)
    with pytest.warns(UserWarning, match=f"{phase} of {cell().name} starts over"):
        run([cell()], root)
    assert numbers(root) == numbers(tmp_path / "whole")


def test_a_set_of_other_data_is_not_judged_on_these(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run([cell("dc")], tmp_path)
    found = store.read_set(cell("dc"))
    assert found is not None
    store.write_set(cell("dc"), found[0], {}, {**found[1], "data_fingerprint": "f" * 64})
    store.record_path(cell("dc")).unlink()
    (why,) = run([cell("dc")], tmp_path).failed.values()
    assert "was distilled from other data than 'digits' is now" in why


# Arguments


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"workers": -2}, "workers is -2; expected 0"),
        ({"seconds": 0}, "time to run is 0 s; expected more"),
        ({"seconds": float("nan")}, "time to run is nan"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
    ],
)
def test_bad_arguments(tmp_path: Path, how: dict[str, Any], says: str) -> None:
    arguments = {"workers": 1, "progress": False} | how
    with pytest.raises(BadValue, match=says):
        run_cells([cell()], Store(tmp_path), **arguments)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_bad_interval_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("DREAMLIB_CHECKPOINT_SECONDS", text)
    with pytest.raises(BadValue, match=f"DREAMLIB_CHECKPOINT_SECONDS is '{text}'"):
        run([cell()], tmp_path)


def test_the_interval_of_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DREAMLIB_CHECKPOINT_SECONDS", raising=False)
    assert checkpoint_seconds() == 20
    monkeypatch.setenv("DREAMLIB_CHECKPOINT_SECONDS", "0.5")
    assert checkpoint_seconds() == 0.5


def test_errors_are_ours() -> None:
    assert issubclass(OutOfMemory, DreamlibError)
    assert backend.resolve_device("cpu") == torch.device("cpu")


@pytest.mark.filterwarnings("ignore:(passed over|set aside)")
@pytest.mark.parametrize("damaged", [False, True])
def test_an_item_that_shows_images_gets_back_a_set_that_is_gone_and_keeps_its_record(
    tmp_path: Path, damaged: bool
) -> None:
    store, one = Store(tmp_path), cell("dm")
    run([one], tmp_path)
    record, digest = store.record_path(one).read_bytes(), read_tensors(store.set_path(one))[1]["set_sha256"]
    if damaged:
        store.set_path(one).write_bytes(store.set_path(one).read_bytes()[:-1])
    else:
        store.set_path(one).unlink()
    assert store.finished(one)  # a table needs no more than the record
    wanted = replace(one, with_set=True)
    assert not store.finished(wanted)
    assert run([wanted], tmp_path).computed == 1
    assert read_tensors(store.set_path(one))[1]["set_sha256"] == digest
    assert store.record_path(one).read_bytes() == record


# The panel, and other constants


def test_the_seed_of_a_set_does_not_choose_the_networks_that_judge_it(tmp_path: Path) -> None:
    """Two coresets of one choice (the first images) with two seeds are one set, judged by one panel: equal numbers."""
    first = (rule("test", {"initial": FirstImages()}),)
    cells = [cell("random", seed=seed, recipe_rules=first) for seed in (0, 1)]
    assert run(cells, tmp_path).computed == 2
    records = [Store(tmp_path).record(one) for one in cells]
    assert None not in records
    one, other = (record["accuracies"] for record in records if record is not None)
    assert one == other


@pytest.mark.parametrize(
    ("method", "constants"), [("idc", "mnist"), ("random", "mnist"), ("random", "pixel")]
)
def test_images_are_normalised_with_the_constants_of_the_recipe_everywhere(
    tmp_path: Path, method: str, constants: str
) -> None:
    """IDC's released code normalises CIFAR-100 with CIFAR-10's constants; here all that looks at an image does."""
    made = cell(method, recipe_rules=(rule("test", {"constants": constants}),))
    assert run([made], tmp_path).computed == 1
    store = Store(tmp_path)
    expected = statistics("mnist") if constants == "mnist" else measured(load("digits").train_images)
    record, found = store.record(made), load_set(store.set_path(made))
    assert record is not None
    assert record["normalisation"] == {
        "name": expected.name,
        "mean": list(expected.mean),
        "std": list(expected.std),
    }
    assert found.normalisation == expected
    dataset = load("digits").normalised_as(expected)
    images = found.normalised.unflatten(0, (10, -1))
    assert record["accuracies"] == evaluate(images, dataset, made.evaluation)
