"""kill -9 of kernel and feature regressions, pool of networks included: the next run goes on to the same numbers."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest
from tinyruns import Command, cell, leftovers, numbers, run_words, until

from dreamlib.companion.store import Store

pytestmark = pytest.mark.processes

METHODS = "kip,frepo"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert Command(run_words(folder, METHODS), folder / "log").end() == 0
    found = numbers(folder)
    assert len(found) == 4, "each is judged by its own protocol and by the common one"
    return found


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("method", METHODS.split(","))
def test_killed_in_distillation(tmp_path: Path, undisturbed: dict[str, Any], method: str) -> None:
    store, one = Store(tmp_path), cell(method)
    command = Command(run_words(tmp_path, method), tmp_path / "log", DREAMLIB_CHECKPOINT_SECONDS=0)
    until(lambda: store.checkpoint_path(one, "distill").exists() or not command.process.is_alive())
    command.signal(signal.SIGKILL)
    assert command.end() == -signal.SIGKILL
    assert store.read_set(one) is None
    assert store.read_checkpoint(one, "distill") is not None
    assert Command(run_words(tmp_path, method), tmp_path / "log").end() == 0
    found = numbers(tmp_path)
    assert len(found) == 2
    assert found.items() <= undisturbed.items()
    assert not leftovers(tmp_path)


def test_killed_between_any_two_operations_on_a_file(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    dice, kills = random.Random(5), 0
    for attempt in range(20):
        count = dice.randint(1, 60) if attempt < 6 else 10**9
        command = Command(
            run_words(tmp_path, METHODS), tmp_path / "log", DREAMLIB_CHECKPOINT_SECONDS=0, TINY_DIE=count
        )
        if (code := command.end()) == 0:
            break
        assert code == -signal.SIGKILL, command.text
        kills += 1
    assert kills >= 5
    assert numbers(tmp_path) == undisturbed
    assert not leftovers(tmp_path)
