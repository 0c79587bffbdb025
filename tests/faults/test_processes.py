"""Several processes on one results folder: each cell is computed once, and nobody's death takes others along."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from tinyruns import PLUGIN, Command, cell, events, leftovers, numbers, run_words, runs, until

from dreamlib.companion.store import Store

pytestmark = pytest.mark.processes

METHODS = "dm,dc,dream,herding,random"


def test_two_commands_at_once_compute_every_cell_once(tmp_path: Path) -> None:
    log = tmp_path / "events"
    both = [
        Command(
            run_words(tmp_path / "both", METHODS),
            tmp_path / f"log{number}",
            TINY_LOG=log,
            PYTHONHASHSEED=number,
        )
        for number in (1, 2)
    ]
    assert [command.end() for command in both] == [0, 0]
    records = Counter(name for _, _, name in events(log, "record"))
    assert len(records) == 5
    assert set(records.values()) == {1}
    for command in both:
        assert "still missing 0, failed 0" in command.text
    assert not leftovers(tmp_path)
    assert Command(run_words(tmp_path / "alone", METHODS), tmp_path / "log").end() == 0
    assert numbers(tmp_path / "both") == numbers(tmp_path / "alone")


@pytest.mark.nightly
def test_processes_share_one_first_stage(tmp_path: Path) -> None:
    methods = ("dim", "gan", "dim-feature")
    commands = [
        Command(run_words(tmp_path / "shared", method), tmp_path / f"log-{method}") for method in methods
    ]
    assert [command.end() for command in commands] == [0, 0, 0]
    sets = [path.name for path in (tmp_path / "shared/tiny/sets").glob("*") if "course" not in path.name]
    assert len(sets) == 3
    assert not leftovers(tmp_path)
    assert Command(run_words(tmp_path / "alone", ",".join(methods)), tmp_path / "log").end() == 0
    assert numbers(tmp_path / "shared") == numbers(tmp_path / "alone")


@pytest.mark.usefixtures("tiny")
def test_who_comes_late_waits_for_the_last_cell(tmp_path: Path) -> None:
    """Here the test is the process that holds it."""
    store, log = Store(tmp_path), tmp_path / "events"
    with store.lock(cell("dm")) as mine:
        assert mine
        command = Command(run_words(tmp_path, "dm,dc"), tmp_path / "log", TINY_LOG=log)
        until(lambda: store.record(cell("dc")) is not None)
        until(lambda: "waiting for" in command.text)
        assert f"held by process {os.getpid()} on {platform.node()} since" in command.text
        assert f"kill {os.getpid()}" in command.text
        assert command.process.is_alive()
        store.write_record(cell("dm"), {"accuracies": [1.0, 2.0]})
    assert command.end() == 0
    assert "computed 2, found 0, still missing 0" in command.text
    assert {name for _, _, name in events(log, "record")} == {cell("dc").name}


@pytest.mark.usefixtures("tiny")
def test_who_waits_takes_over_from_one_who_dies(tmp_path: Path) -> None:
    log = tmp_path / "events"
    first = Command(run_words(tmp_path, "endless"), tmp_path / "log1", TINY_LOG=log)
    first.until_steps(log)
    second = Command(run_words(tmp_path, "endless"), tmp_path / "log2", TINY_LOG=log)
    time.sleep(1)
    assert len(events(log, "drive")) == 1
    first.signal(signal.SIGKILL)
    second.until_steps(log, 1)
    second.signal(signal.SIGTERM)
    assert second.end() == 130
    assert [pid for pid, _, _ in events(log, "drive")] == [first.pid, second.pid]


def test_two_workers_give_the_numbers_of_one(tmp_path: Path) -> None:
    """With a sampler of the user's own (its file named twice), and a method that diverges."""
    log, sampler = tmp_path / "events", tmp_path / "my_sampler.py"
    text = Path(__file__).parents[1].joinpath("usersampler.py").read_text()
    sampler.write_text(text)
    chosen = (f"{METHODS},explodes,mine", "--plugins", f"{PLUGIN},{sampler},{sampler}")
    two = Command(run_words(tmp_path / "two", *chosen, workers=2), tmp_path / "log2", TINY_LOG=log)
    assert two.end() == 1, two.text
    assert "computed 6, found 0, still missing 0, failed 1" in two.text
    assert two.text.count("the loss became nan") == 1
    records = Counter(name for _, _, name in events(log, "record"))
    assert len(records) == 6
    assert set(records.values()) == {1}
    assert two.pid not in {pid for pid, _, _ in events(log)}
    assert not leftovers(tmp_path / "two", ".tmp", ".damaged", ".safetensors.lock")

    one = Command(run_words(tmp_path / "one", *chosen), tmp_path / "log1")
    assert one.end() == 1, one.text
    first = numbers(tmp_path / "one")
    assert numbers(tmp_path / "two") == first
    mine, plain = (next(name for name in first if word in name) for word in ("-mine-", "-dm-"))
    assert first[mine]["set_sha256"] != first[plain]["set_sha256"]

    # The user edits the sampler: its cell, and only that, is computed anew and beside the old one.
    sampler.write_text(text.replace("largest=False", "largest=True"))
    again = Command(run_words(tmp_path / "one", *chosen), tmp_path / "log3")
    assert again.end() == 1, again.text
    assert "computed 1, found 5, still missing 0, failed 1" in again.text
    last = numbers(tmp_path / "one")
    (edited,) = last.keys() - first.keys()
    assert last[edited]["set_sha256"] != first[mine]["set_sha256"]
    assert {name: last[name] for name in first} == first


def worker_at(command: Command, log: Path, name: str) -> int:
    """The process that takes the steps of a cell."""

    def at_work() -> list[int]:
        return [pid for pid, _, cell in events(log, "drive") if name in cell]

    until(lambda: at_work() or not command.process.is_alive())
    assert command.process.is_alive(), command.text
    return at_work()[-1]


def test_a_worker_that_is_killed_leaves_its_cell_to_the_other(tmp_path: Path) -> None:
    log = tmp_path / "events"
    command = Command(run_words(tmp_path, "endless,dm,dc", workers=2), tmp_path / "log", TINY_LOG=log)
    killed, _ = worker_at(command, log, "endless"), worker_at(command, log, "-dm-")
    os.kill(killed, signal.SIGKILL)
    until(lambda: worker_at(command, log, "endless") != killed)
    command.signal(signal.SIGINT)
    assert command.end() == 130
    assert len(numbers(tmp_path)) == 2
    assert "Traceback" not in command.text


@pytest.mark.nightly
def test_when_all_workers_are_killed_the_command_says_so(tmp_path: Path) -> None:
    log = tmp_path / "events"
    command = Command(
        run_words(tmp_path, "endless", "--seeds", "2", workers=2), tmp_path / "log", TINY_LOG=log
    )
    for pid in [worker_at(command, log, seed) for seed in ("s0", "s1")]:
        os.kill(pid, signal.SIGKILL)
    assert command.end() == 2
    assert "a worker process died (exit codes -9, -9); what was finished is kept" in command.text
    assert "--workers 1" in command.text
    assert "Traceback" not in command.text


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)])
def test_workers_end_with_their_parent_and_save(tmp_path: Path, number: signal.Signals) -> None:
    """A cluster and a terminal signal all processes at once; a parent that is killed cannot even tell its workers."""
    log = tmp_path / "events"
    command = Command(
        run_words(tmp_path, "endless", "--seeds", "2", workers=2), tmp_path / "log", TINY_LOG=log
    )
    workers = {worker_at(command, log, seed) for seed in ("s0", "s1")}
    assert len(workers) == 2
    if number == signal.SIGKILL:
        command.signal(number)
    else:
        os.killpg(command.pid, number)
    assert command.end() == (-9 if number == signal.SIGKILL else 130)
    until(lambda: not any(map(runs, workers)))
    assert len(leftovers(tmp_path, ".distill.safetensors")) == 2
    assert not leftovers(tmp_path, ".tmp")
    assert "Traceback" not in command.text
