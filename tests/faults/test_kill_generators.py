"""kill -9 in either stage of a generator: the next run goes on, and the numbers are those of an undisturbed run."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest
from tinyruns import Command, cell, leftovers, numbers, run_words, until

from dreamlib.companion.cells import first_stage
from dreamlib.companion.store import Store

pytestmark = pytest.mark.processes

ENDS = (".tmp", ".damaged", ".distill.safetensors", ".evaluate.safetensors", ".failed.json", ".png")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert Command(run_words(folder, "dim"), folder / "log").end() == 0
    found = numbers(folder)
    assert len(found) == 1
    return found


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("stage", ["first", "matched"])
def test_killed_in_each_stage(tmp_path: Path, undisturbed: dict[str, Any], stage: str) -> None:
    store, one = Store(tmp_path), cell("dim")
    start = first_stage(one)
    assert start is not None
    where = start if stage == "first" else one
    command = Command(run_words(tmp_path, "dim"), tmp_path / "log", DREAMLIB_CHECKPOINT_SECONDS=0)
    path = store.checkpoint_path(where, "distill")
    until(lambda: path.exists() or not command.process.is_alive())
    command.signal(signal.SIGKILL)
    assert command.end() == -signal.SIGKILL
    found = store.read_checkpoint(where, "distill")
    assert found is not None
    assert found[1]["step"] >= 1
    assert store.preview_path(where).exists() or leftovers(tmp_path, ".tmp") or found[1]["step"] == 1
    made = None if stage == "first" else store.set_path(start).stat().st_mtime_ns
    assert (store.read_set(start) is None) == (stage == "first")
    assert Command(run_words(tmp_path, "dim"), tmp_path / "log").end() == 0
    assert numbers(tmp_path) == undisturbed
    assert not leftovers(tmp_path, *ENDS)
    if made is not None:
        assert store.set_path(start).stat().st_mtime_ns == made, "the first stage is not trained again"


def test_killed_between_any_two_operations_on_a_file(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    dice, kills = random.Random(3), 0
    for attempt in range(20):
        count = dice.randint(1, 40) if attempt < 6 else 10**9
        command = Command(
            run_words(tmp_path, "dim"), tmp_path / "log", DREAMLIB_CHECKPOINT_SECONDS=0, TINY_DIE=count
        )
        if (code := command.end()) == 0:
            break
        assert code == -signal.SIGKILL, command.text
        kills += 1
    assert kills >= 5
    assert numbers(tmp_path) == undisturbed
    assert not leftovers(tmp_path, *ENDS)


@pytest.mark.usefixtures("tiny")
def test_two_processes_share_one_first_stage(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    commands = [
        Command(run_words(tmp_path, method), tmp_path / f"log-{method}")
        for method in ("dim", "gan", "dim-feature")
    ]
    assert [command.end() for command in commands] == [0, 0, 0]
    found = numbers(tmp_path)
    assert len(found) == 3
    assert found.items() >= undisturbed.items()
    sets = [path.name for path in (tmp_path / "tiny" / "sets").glob("*") if "course" not in path.name]
    assert len(sets) == 3
    assert not leftovers(tmp_path, *ENDS)
