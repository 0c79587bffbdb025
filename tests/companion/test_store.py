"""The store: what is damaged is set aside and computed again, what is finished is never touched."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from tinyruns import cell, leftovers
from torch import Tensor

from dreamlib.companion import store as store_module
from dreamlib.companion.cells import make_cell
from dreamlib.companion.store import Store
from dreamlib.core.errors import StoreError
from dreamlib.core.files import write_json, write_tensors

RESULT = {"accuracies": [80.0, 100.0], "seconds": {"distill": 1.0, "evaluate": 2.0}}
SET = {"images": torch.rand(10, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0))}

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_record_roundtrip(store: Store) -> None:
    assert store.record(cell()) is None
    store.write_record(cell(), RESULT)
    record = store.record(cell())
    assert record is not None
    assert record["accuracies"] == RESULT["accuracies"]
    assert (record["method"], record["dataset"], record["ipc"], record["seed"]) == ("dm", "digits", 1, 0)
    assert record["sources"]["all"].startswith("DM")
    assert store.record(cell(seed=1)) is None
    assert store.record_path(cell()).parent == store.root / "tiny"


def test_set_roundtrip(store: Store) -> None:
    assert store.read_set(cell()) is None
    assert store.read_course(cell()) is None
    course = {0: {"images": SET["images"] * 0}, 30: SET}
    store.write_set(cell(), SET, course, {"about": [1, 2]})
    found = store.read_set(cell(step=0))
    assert found is not None
    assert torch.equal(found[0]["images"], SET["images"])
    assert found[1]["about"] == [1, 2]
    kept = store.read_course(cell())
    assert kept is not None
    assert list(kept) == [0, 30]
    assert torch.equal(kept[30]["images"], SET["images"])


def test_checkpoint_roundtrip(store: Store) -> None:
    state = {"matched": torch.tensor(3)}
    for phase in ("distill", "evaluate"):
        assert store.read_checkpoint(cell(), phase) is None
        store.write_checkpoint(cell(), phase, state, {"step": 3})
    for phase in ("distill", "evaluate"):
        about = store.progress(cell(), phase)
        assert about is not None
        assert about["step"] == 3
    early = cell(step=0)
    assert store.progress(early, "distill") is not None
    assert store.progress(early, "evaluate") is None
    assert store.read_checkpoint(early, "distill") is not None, "one distillation for all cells of a set"
    assert store.read_checkpoint(early, "evaluate") is None
    store.drop_checkpoint(cell(), "distill")
    store.drop_checkpoint(cell(), "distill")
    assert store.read_checkpoint(cell(), "distill") is None
    assert store.read_checkpoint(cell(), "evaluate") is not None
    assert store.progress(cell(), "distill") is None
    path = store.checkpoint_path(cell(), "evaluate")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="passed over"):
        assert store.progress(cell(), "evaluate") is None


def test_the_folder_is_an_argument_a_variable_or_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DREAMLIB_RESULTS", raising=False)
    assert Store().root == Path("reports/results")
    monkeypatch.setenv("DREAMLIB_RESULTS", str(tmp_path))
    assert Store().root == tmp_path
    assert Store("mine").root == Path("mine")


# Damage


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "content").touch()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)  # opening it would wait for ever for somebody to write


def _stranger(path: Path) -> None:
    path.write_text('{"what": "is this"}')


def _resealed(**changes: Any) -> Callable[[Path], None]:
    """Whole and with a right checksum, but not what belongs there."""

    def change(path: Path) -> None:
        data = json.loads(path.read_text())
        del data["sha256"]
        write_json(path, {**data, **changes})

    change.__name__ = "_".join(changes)
    return change


def _nothing_measured(path: Path) -> None:
    data = json.loads(path.read_text())
    del data["sha256"], data["accuracies"]
    write_json(path, data)


@pytest.mark.parametrize(
    "harm",
    [
        _cut,
        _flip,
        _empty,
        _folder,
        _stranger,
        _nothing_measured,
        _resealed(schema=2),
        _resealed(key="0" * 64),
        _resealed(accuracies=[80.0]),
        _resealed(accuracies=[80.0, 70.0, 60.0]),
        _resealed(accuracies=[80.0, 101.0]),
        _resealed(accuracies=[80.0, -1.0]),
        _resealed(accuracies=[80.0, "90"]),
        _resealed(accuracies=None),
        _resealed(accuracies=[80.0, True]),
        _resealed(label=None),
        _resealed(evaluation="mild"),
        _resealed(seconds=[1.0, 2.0]),
        _resealed(seconds={"distill": "long"}),
        _resealed(images_decoded="many"),
        _resealed(accuracies_on=[80.0, 70.0]),
        _pipe,
    ],
)
def test_a_damaged_record_is_set_aside(store: Store, harm: Callable[[Path], None]) -> None:
    store.write_record(cell(), RESULT)
    store.write_record(cell(seed=1), RESULT)
    path = store.record_path(cell())
    harm(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.warns(UserWarning, match=f"passed over .*{path.name}, which a run would compute again"):
        assert store.record(cell()) is None
    assert path.exists(), "reading changes nothing"
    assert not path.is_file() or path.read_bytes() == before
    with (
        store.lock(cell()),
        pytest.warns(UserWarning, match=f"set aside .*{path.name} as {path.name}.damaged"),
    ):
        assert store.record(cell()) is None
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").exists()
    assert store.record(cell()) is None
    assert store.record(cell(seed=1)) is not None
    store.write_record(cell(), RESULT)
    assert store.record(cell()) is not None


def test_nothing_that_was_set_aside_is_lost_to_a_second_damage(store: Store) -> None:
    path = store.record_path(cell())
    for number in range(3):
        store.write_record(cell(), RESULT)
        path.write_text(f"damage {number}")
        with store.lock(cell()), pytest.warns(UserWarning, match="set aside"):
            store.record(cell())
    assert sorted(entry.read_text() for entry in path.parent.glob("*.damaged")) == [
        "damage 0",
        "damage 1",
        "damage 2",
    ]


def _another_key(path: Path) -> None:
    write_tensors(path, SET, {"key": "0" * 64})


@pytest.mark.parametrize("harm", [_cut, _flip, _empty, _folder, _pipe, _stranger, _another_key])
@pytest.mark.parametrize("what", ["set", "course", "distill", "evaluate"])
def test_damaged_tensors_are_set_aside(store: Store, what: str, harm: Callable[[Path], None]) -> None:
    one = cell()
    store.write_set(one, SET, {0: SET, 30: SET}, {})
    for phase in ("distill", "evaluate"):
        store.write_checkpoint(one, phase, SET, {})
    paths = {
        "set": store.set_path(one),
        "course": store.course_path(one),
        "distill": store.checkpoint_path(one, "distill"),
        "evaluate": store.checkpoint_path(one, "evaluate"),
    }
    reads: dict[str, Callable[[], object]] = {
        "set": lambda: store.read_set(one),
        "course": lambda: store.read_course(one),
        "distill": lambda: store.read_checkpoint(one, "distill"),
        "evaluate": lambda: store.read_checkpoint(one, "evaluate"),
    }
    harm(paths[what])
    with pytest.warns(UserWarning, match="passed over"):
        assert reads[what]() is None
    assert paths[what].exists(), "reading changes nothing"
    with store.lock(one), pytest.warns(UserWarning, match="set aside"):
        assert reads.pop(what)() is None
    assert not paths[what].exists()
    assert all(read() is not None for read in reads.values())


@pytest.mark.parametrize("reader", ["read_json", "read_tensors"])
def test_a_file_that_another_process_takes_away_is_no_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    store.write_record(cell(), RESULT)
    store.write_checkpoint(cell(), "distill", SET, {})
    read = getattr(store_module, reader)

    def too_late(path: Path) -> Any:
        path.unlink()
        return read(path)

    monkeypatch.setattr(store_module, reader, too_late)
    found = store.record(cell()) if reader == "read_json" else store.read_checkpoint(cell(), "distill")
    assert found is None  # and no warning, which would be an error here


def test_damage_that_cannot_be_set_aside_is_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_record(cell(), RESULT)
    _cut(store.record_path(cell()))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with (
        store.lock(cell()),
        pytest.warns(UserWarning, match="passed over .*cannot be set aside .*Permission denied"),
    ):
        assert store.record(cell()) is None


@pytest.mark.parametrize("locked", [False, True])
def test_a_file_that_cannot_be_opened_is_an_error_and_not_damaged(store: Store, locked: bool) -> None:
    one = cell()
    for path in (store.record_path(one), store.set_path(one), store.checkpoint_path(one, "distill")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(path)  # a link to itself exists and cannot be opened, whoever asks
    reads: list[Callable[[], object]] = [
        lambda: store.record(one),
        lambda: store.read_set(one),
        lambda: store.read_checkpoint(one, "distill"),
    ]
    with store.lock(one) if locked else nullcontext():
        for read in reads:
            with pytest.raises(StoreError, match=r"cannot read .*symbolic links.*\n  try: read permission"):
                read()
    assert store.record_path(one).is_symlink()
    assert not list(store.root.rglob("*.damaged"))


# A folder that cannot be written


def test_writability_is_known_before_an_hour_of_computing(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    store.check_writable()
    assert not list(store.root.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"(?s)cannot write .*file/results.*--results DIR"):
        Store(tmp_path / "file" / "results").check_writable()


def test_a_lock_that_cannot_be_made_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "tiny").touch()
    with pytest.raises(StoreError, match=r"cannot lock .*tiny/unfinished"), Store(tmp_path).lock(cell()):
        pass


# Locks


def test_a_set_is_held_by_one_at_a_time(store: Store) -> None:
    one, early, other = cell(), cell(step=0), cell(seed=1)
    with store.lock(one) as mine:
        assert mine
        with store.lock(early) as second, store.lock(other) as third:
            assert not second, "cells of one set share its lock"
            assert third
    with store.lock(one) as again:
        assert again


def test_who_holds_a_lock_says_so(store: Store) -> None:
    assert store.holder(cell()) is None
    with Store(store.root, run_id="run 7").lock(cell()), store.lock(cell()) as mine:
        assert not mine
        who = store.holder(cell())
    assert who is not None
    assert (who.pid, who.run) == (os.getpid(), "run 7")
    assert who.host == platform.node()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(who.since)) < timedelta(minutes=1)


def test_a_copied_folder_with_old_locks_works(store: Store, tmp_path: Path) -> None:
    with store.lock(cell()):
        copy = Store(shutil.copytree(store.root, tmp_path / "copy"))
        with copy.lock(cell()) as mine:
            assert mine


@pytest.mark.parametrize("code", sorted([errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP]))
def test_no_lock_is_pretended_where_there_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StoreError, match=r"(?s)cannot lock .*supports locks"), store.lock(cell()):
        pass


def test_a_lock_is_free_after_an_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.lock(cell()):
        raise ZeroDivisionError
    with store.lock(cell()) as mine:
        assert mine


def test_what_a_killed_process_was_writing_is_swept_by_the_next(store: Store) -> None:
    one = cell()
    mine = [store.record_path(one), store.set_path(one), store.checkpoint_path(one, "evaluate")]
    others = [store.record_path(cell(seed=1)), store.set_path(cell("dc"))]
    for path in (*mine, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f".{path.name}.abc123.tmp").touch()
    with store.lock(one):
        left = leftovers(store.root, ".tmp")
    assert left == sorted(f".{path.name}.abc123.tmp" for path in others)


# Failures


def test_failures_are_noted_and_forgotten(store: Store) -> None:
    one, early = cell(), cell(step=0)
    assert store.failure(one) is None
    store.write_failure(one, "evaluate", "it went wrong", "first")
    assert store.failure(one) == "it went wrong"
    assert store.failure(one, "first") == "it went wrong"
    assert store.failure(one, "second") is None
    assert store.failure(early) is None
    store.write_failure(one, "distill", "it diverged", "second")
    assert store.failure(early, "second") == "it diverged", "a set that failed stands for all its cells"
    store.write_set(one, SET, {}, {})
    assert store.failure(early) is None
    store.write_record(one, RESULT)
    assert store.failure(one) is None
    assert not leftovers(store.root)


def test_a_damaged_failure_note_says_nothing(store: Store) -> None:
    store.write_failure(cell(), "distill", "why", "run")
    path = next(store.root.rglob("*.failed.json"))
    path.write_text("{")
    assert store.failure(cell()) is None


def test_results_of_profiles_do_not_meet(store: Store) -> None:
    quick = make_cell("quick", "dm", "digits", 1, 0)
    assert store.record_path(quick).parent.name == "quick"
    with store.lock(quick) as first, store.lock(cell()) as second:
        assert first
        assert second


def parted(*epochs: int) -> dict[str, Tensor]:
    """A state with something that changes, and parts that no longer do."""
    settled = {f"settled.epoch{epoch}.w": torch.full((50,), float(epoch)) for epoch in epochs}
    return {"now": torch.tensor(float(len(epochs))), **settled}


def files_of(store: Store) -> dict[str, int]:
    folder = store.checkpoint_path(cell(), "distill").parent
    return {path.name.split(".")[1]: path.stat().st_ino for path in folder.glob("*.distill.safetensors")}


def test_what_is_settled_is_written_once_and_read_with_the_rest(store: Store) -> None:
    store.write_checkpoint(cell(), "distill", parted(0), {"step": 1})
    first = files_of(store)
    store.write_checkpoint(cell(), "distill", parted(0, 1), {"step": 2})
    second = files_of(store)
    assert second["epoch0"] == first["epoch0"], "a file that is written again is another one"
    assert store.checkpoint_path(cell(), "distill").stat().st_size < 600
    again = Store(store.root)
    found = again.read_checkpoint(cell(), "distill")
    assert found is not None
    assert found[1]["step"] == 2
    assert all(value.equal(found[0][name]) for name, value in parted(0, 1).items())
    assert found[0].keys() == parted(0, 1).keys()
    again.write_checkpoint(cell(), "distill", parted(0, 1, 2), {"step": 3})
    assert {name: number for name, number in files_of(store).items() if name in ("epoch0", "epoch1")} == {
        name: number for name, number in second.items() if name in ("epoch0", "epoch1")
    }, "what was read is not written again either"
    again.drop_checkpoint(cell(), "distill")
    assert not files_of(store)


@pytest.mark.parametrize("harm", [Path.unlink, _cut, _another_key])
def test_a_checkpoint_whose_part_is_gone_or_another_is_damaged(
    store: Store, harm: Callable[[Path], None]
) -> None:
    store.write_checkpoint(cell(), "distill", parted(0, 1), {"step": 2})
    path = store.checkpoint_path(cell(), "distill")
    (part,) = path.parent.glob("*.epoch1.distill.safetensors")
    harm(part)
    with store.lock(cell()), pytest.warns(UserWarning, match="set aside"):
        assert store.read_checkpoint(cell(), "distill") is None
    store.write_checkpoint(cell(), "distill", parted(0, 1), {"step": 2})  # from the start again
    found = Store(store.root).read_checkpoint(cell(), "distill")
    assert found is not None
    assert found[0]["settled.epoch1.w"].equal(torch.ones(50))


def test_a_run_that_starts_over_writes_its_own_parts(store: Store) -> None:
    store.write_checkpoint(cell(), "distill", parted(0), {"step": 1})
    store.start_over(cell(), "distill")
    other = {**parted(0), "settled.epoch0.w": torch.full((50,), 7.0)}
    store.write_checkpoint(cell(), "distill", other, {"step": 1})
    found = Store(store.root).read_checkpoint(cell(), "distill")
    assert found is not None
    assert found[0]["settled.epoch0.w"].equal(other["settled.epoch0.w"])


def test_half_written_parts_are_swept(store: Store) -> None:
    store.write_checkpoint(cell(), "distill", parted(0), {"step": 1})
    (part,) = store.checkpoint_path(cell(), "distill").parent.glob("*.epoch0.distill.safetensors")
    half = part.with_name(f".{part.name}.abc.tmp")
    half.write_bytes(b"half")
    with store.lock(cell()):
        assert not half.exists()
