"""kill -9 at any moment: the next run goes on, and the numbers are those of a run that nobody disturbed."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tiny import TOYS
from tinyruns import PLUGIN, Command, cell, events, leftovers, numbers, run_words, runs, until

from dreamlib.companion.cells import first_stage
from dreamlib.companion.store import Store

pytestmark = pytest.mark.processes
nightly = pytest.mark.nightly

METHODS = "dm,dc,dream"
# What learns images, labels, rates, a generator; and how often it is killed at a file.
KINDS = {METHODS: 5, "dim": 3, "kip,frepo": 3, "mtt": 3, "dd,ld": 3, ",".join(sorted(TOYS)): 3}
PLUGINS = ",".join((PLUGIN, *TOYS.values()))


JUDGED_TWICE = {"kip", "frepo", "mtt", "dd", "ld"}  # by their own and by a common protocol


class Undisturbed:
    """The numbers of cells from runs that nobody touched. Each kind of method is run once, when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, dict[str, Any]] = {}

    def of(self, methods: str) -> dict[str, Any]:
        """The numbers of these methods alone."""
        asked = set(methods.split(","))
        kind = next(kind for kind in KINDS if asked <= set(kind.split(",")))
        if kind not in self.known:
            folder = self.folder / kind.replace(",", "-")
            folder.mkdir()
            assert Command(run_words(folder, kind, "--plugins", PLUGINS), folder / "log").end() == 0
            self.known[kind] = numbers(folder)
            expected = kind.split(",")
            assert len(self.known[kind]) == len(expected) + len(JUDGED_TWICE.intersection(expected))
        starts = tuple(f"digits-{method}{row}-i" for method in asked for row in ("", "+common"))
        return {name: found for name, found in self.known[kind].items() if name.startswith(starts)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"))


@nightly
def test_killed_at_random_moments(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """A few times; the night kills a thousand times."""
    dice, kills, log = random.Random(0), 0, tmp_path / "events"
    for attempt in range(100):
        seen = len(events(log, "drive"))
        command = Command(
            run_words(tmp_path, METHODS), tmp_path / "log", DREAMLIB_CHECKPOINT_SECONDS=0, TINY_LOG=log
        )
        command.until_steps(log, seen)
        command.process.join(dice.uniform(0, 0.3 if attempt % 3 == 2 else 0.1) if attempt < 6 else None)
        if not command.process.is_alive():
            break
        command.signal(signal.SIGKILL)
        assert command.end() == -signal.SIGKILL
        kills += 1
    assert command.end() == 0
    assert kills >= 5
    assert numbers(tmp_path) == undisturbed.of(METHODS)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    "methods",
    [kind if kind in (METHODS, "dim") else pytest.param(kind, marks=nightly) for kind in sorted(KINDS)],
)
def test_killed_between_any_two_operations_on_a_file(
    tmp_path: Path, undisturbed: Undisturbed, methods: str
) -> None:
    dice = random.Random(methods)
    words, log = run_words(tmp_path, methods, "--plugins", PLUGINS), tmp_path / "log"
    for _ in range(KINDS[methods]):
        killed = Command(words, log, DREAMLIB_CHECKPOINT_SECONDS=0, TINY_DIE=dice.randint(1, 40))
        assert killed.end() == -signal.SIGKILL, killed.text
    assert Command(words, log, DREAMLIB_CHECKPOINT_SECONDS=0).end() == 0
    assert numbers(tmp_path) == undisturbed.of(methods)
    assert not leftovers(tmp_path)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("method", "stage"),
    [
        ("dim", "matched"),
        pytest.param("dim", "first", marks=nightly),
        pytest.param("mtt", "first", marks=nightly),
        pytest.param("mtt", "matched", marks=nightly),
    ],
)
def test_killed_in_each_stage(tmp_path: Path, undisturbed: Undisturbed, method: str, stage: str) -> None:
    """A GAN, and DiM that goes on from it; experts, and images that are distilled by them."""
    store, one = Store(tmp_path), cell(method)
    start = first_stage(one)
    assert start is not None
    where = start if stage == "first" else one
    command = Command(run_words(tmp_path, method), tmp_path / "log", DREAMLIB_CHECKPOINT_SECONDS=0)
    path = store.checkpoint_path(where, "distill")
    until(lambda: path.exists() or not command.process.is_alive())
    command.signal(signal.SIGKILL)
    assert command.end() == -signal.SIGKILL
    found = store.read_checkpoint(where, "distill")
    assert found is not None
    assert found[1]["step"] >= 1
    if method == "dim":
        assert store.preview_path(where).exists() or leftovers(tmp_path, ".tmp") or found[1]["step"] == 1
    made = None if stage == "first" else store.set_path(start).stat().st_mtime_ns
    assert (store.read_set(start) is None) == (stage == "first")
    assert Command(run_words(tmp_path, method), tmp_path / "log").end() == 0
    assert numbers(tmp_path) == undisturbed.of(method)
    assert not leftovers(tmp_path)
    if made is not None:
        assert store.set_path(start).stat().st_mtime_ns == made, "the first stage is not trained again"


@nightly
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("method", ["frepo", "kip"])
def test_killed_in_distillation(tmp_path: Path, undisturbed: Undisturbed, method: str) -> None:
    store, one = Store(tmp_path), cell(method)
    command = Command(run_words(tmp_path, method), tmp_path / "log", DREAMLIB_CHECKPOINT_SECONDS=0)
    until(lambda: store.checkpoint_path(one, "distill").exists() or not command.process.is_alive())
    command.signal(signal.SIGKILL)
    assert command.end() == -signal.SIGKILL
    assert store.read_set(one) is None
    assert store.read_checkpoint(one, "distill") is not None
    assert Command(run_words(tmp_path, method), tmp_path / "log").end() == 0
    assert numbers(tmp_path) == undisturbed.of(method)
    assert not leftovers(tmp_path)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("count", [3, pytest.param(6, marks=nightly), 7, pytest.param(9, marks=nightly)])
def test_killed_around_the_end_of_a_cell(tmp_path: Path, undisturbed: Undisturbed, count: int) -> None:
    """The course, the set, the record: three operations each (new file, to disk, into place)."""
    command = Command(run_words(tmp_path, "dm"), tmp_path / "log", TINY_DIE=count)
    assert command.end() == -signal.SIGKILL
    store = Store(tmp_path)
    assert (store.read_set(cell()) is not None) == (count > 6)
    assert store.record(cell()) is None
    assert Command(run_words(tmp_path, "dm"), tmp_path / "log").end() == 0
    assert numbers(tmp_path) == undisturbed.of("dm")
    assert not leftovers(tmp_path)


@pytest.mark.usefixtures("tiny")
def test_killed_in_an_evaluation(tmp_path: Path, undisturbed: Undisturbed) -> None:
    store, one = Store(tmp_path), cell()
    command = Command(run_words(tmp_path, "dm"), tmp_path / "log", DREAMLIB_CHECKPOINT_SECONDS=0)
    path = store.checkpoint_path(one, "evaluate")
    until(lambda: path.exists() or not command.process.is_alive())
    command.signal(signal.SIGKILL)
    command.end()
    found, made = store.read_checkpoint(one, "evaluate"), store.set_path(one).stat()
    assert found is not None
    assert not store.checkpoint_path(one, "distill").exists()
    assert Command(run_words(tmp_path, "dm"), tmp_path / "log").end() == 0
    assert store.set_path(one).stat().st_mtime_ns == made.st_mtime_ns, "the set is not distilled again"
    assert numbers(tmp_path) == undisturbed.of("dm")
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=nightly)])
def test_asked_to_stop(tmp_path: Path, undisturbed: Undisturbed, number: signal.Signals) -> None:
    log = tmp_path / "events"
    command = Command(run_words(tmp_path, METHODS), tmp_path / "log", TINY_LOG=log)
    command.until_steps(log)
    command.signal(number)
    assert command.end() == 130
    assert "Traceback" not in command.text
    assert "run the same command again to go on" in command.text
    assert leftovers(tmp_path, ".distill.safetensors", ".evaluate.safetensors"), "a checkpoint was written"
    assert not leftovers(tmp_path, ".tmp")
    assert Command(run_words(tmp_path, METHODS), tmp_path / "log").end() == 0
    assert numbers(tmp_path) == undisturbed.of(METHODS)


def test_a_slice_of_time_ends_in_time(tmp_path: Path) -> None:
    log = tmp_path / "events"
    command = Command(run_words(tmp_path, "endless", "--for", "2s"), tmp_path / "log", TINY_LOG=log)
    command.until_steps(log)  # the start of a process on a busy machine is not counted
    begun = time.monotonic()
    assert command.end() == 0
    assert time.monotonic() - begun < 8
    assert "still missing 1, failed 0" in command.text
    (first,) = leftovers(tmp_path)
    assert first.endswith(".distill.safetensors")
    assert not runs(command.pid)
