"""Runs of tiny studies, in this process and in others, for the tests of experiments, command line and faults."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tqdm.auto import tqdm

from dreamlib.companion.cells import Cell, make_cell
from dreamlib.companion.clock import Clock
from dreamlib.companion.profiles import profiles
from dreamlib.core import plugins
from dreamlib.criteria import generative
from dreamlib.recipes import methods

PLUGIN = str(Path(__file__).with_name("tinyplugin.py"))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Profile and methods of ``tinyplugin.py`` in this process, and only for one test."""
    monkeypatch.setattr(profiles, "_profiles", dict(profiles._profiles))
    monkeypatch.setattr(methods, "_methods", dict(methods._methods))
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(generative, "COLLAPSED", generative.COLLAPSED)
    plugins.load([PLUGIN])


@pytest.fixture
def one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is given any time makes one step and stops: the shortest slice there can be."""

    def over(self: Clock, expected: float = 0.0) -> bool:
        waited = time.monotonic() - self.started > 20  # for another process, in vain
        return self.seconds is not None and (self.steps > 0 or waited)

    monkeypatch.setattr(Clock, "over", over)


def cell(method: str = "dm", seed: int = 0, dataset: str = "digits", **more: Any) -> Cell:
    return make_cell("tiny", method, dataset, 1, seed, **more)


def words(results: Path, *more: str, command: str = "run", item: str = "dream/table1") -> list[str]:
    """A command on a tiny study."""
    return [command, item, "--profile", "tiny", "--plugins", PLUGIN, "--results", str(results), *more]


def run_words(results: Path, methods: str, *more: str, workers: int = 1) -> list[str]:
    how = ["--workers", str(workers), "--device", "cpu", "--quiet"]
    return words(results, "--methods", methods, *how, *more)


def numbers(results: Path) -> dict[str, Any]:
    """What must be the same however often a run was broken off: accuracies, curves, checksums of the sets."""
    always, some = ("key", "accuracies", "curve", "set_sha256", "data_fingerprint"), ("accuracies_on",)
    records = {path.name: json.loads(path.read_text()) for path in (results / "tiny").glob("*.json")}
    return {
        name: {field: record[field] for field in always} | {field: record.get(field) for field in some}
        for name, record in records.items()
    }


def leftovers(results: Path, *ends: str) -> list[str]:
    """Temporary and damaged files, checkpoints and failure notes under a results folder."""
    ends = ends or (
        ".tmp",
        ".damaged",
        ".distill.safetensors",
        ".evaluate.safetensors",
        ".failed.json",
        ".png",
    )
    return sorted(path.name for path in results.rglob("*") if path.name.endswith(ends))


def until(holds: Callable[[], object], seconds: float = 300) -> None:
    """Wait until something holds, or fail."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def events(log: Path, kind: str = "") -> list[tuple[int, str, str]]:
    """What the plug-in's TINY_LOG holds: (pid, event, cell name); all events, or one kind."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(int(pid), event, name) for pid, event, name in lines if kind in ("", event)]


def runs(pid: int) -> bool:
    """Whether a process that need not be our child is running (a zombie is not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# A fresh interpreter takes seconds to import torch, so these commands are forked from a server that has done so: what
# the command line imports on its way to a run is named here, since its own module imports none of it.
PRELOADED = [
    "dreamlib.companion.cli",
    "dreamlib.companion.run",
    "dreamlib.companion.worker",
    "sklearn.datasets",
]


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """Whatever a test does, its commands and their workers end with it."""
    yield
    while Command.started:
        with suppress(ProcessLookupError):
            os.killpg(Command.started.pop(), signal.SIGKILL)


class Command:
    """``dreamlib WORDS`` in a process of its own, with its output in ``log``."""

    started: ClassVar[list[int]] = []

    def __init__(self, arguments: Sequence[str], log: Path, **environment: object) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        extra = {name: str(value) for name, value in environment.items()}
        self.log = log
        self.process: BaseProcess = context.Process(target=_main, args=(list(arguments), extra, str(log)))
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid
        self.started.append(self.pid)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def until_steps(self, log: Path, more_than: int = 0) -> None:
        """Wait until the plug-in notes that a task begins its steps, or the process has ended."""
        until(lambda: len(events(log, "drive")) > more_than or not self.process.is_alive())

    def end(self, seconds: float = 300) -> int:
        """Exit code; a process that hangs is killed, and fails the test."""
        self.process.join(seconds)
        hangs = self.process.is_alive()
        if hangs:
            self.process.kill()
            self.process.join()
        assert not hangs, f"still running after {seconds} s\n{self.text}"
        assert self.process.exitcode is not None
        return self.process.exitcode

    @property
    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


def _main(arguments: list[str], environment: dict[str, str], log: str) -> None:
    assert "torch" in sys.modules, "every command of a test would take seconds to import it"
    # As in a fresh process: multiprocessing has left these alone, but pytest's options must not be inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tqdm.set_lock(threading.RLock())  # its default is a semaphore that a killed process leaves behind
    os.setsid()  # a group of its own, as a terminal or a cluster gives to a command
    os.environ.update(environment)
    with Path(log).open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    from dreamlib.companion.cli import main

    sys.exit(main(arguments))
