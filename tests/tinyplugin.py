"""The plug-in of the fault tests: profile "tiny", a study of seconds, and methods that go wrong on purpose.

Given to commands with ``--plugins``. The environment can ask it for more:

TINY_LOG=FILE   append a line "PID EVENT CELL" when a cell is begun, when its steps begin, when its record is written
TINY_DIE=N      kill -9 this process at its N-th operation on a file of results
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dreamlib.companion.cells import Cell
from dreamlib.companion.profiles import Profile, profiles
from dreamlib.companion.store import Store
from dreamlib.companion.worker import Worker
from dreamlib.criteria import generative
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import Search, SearchSpace, methods, rule

SMALL = NetworkSpec(width=8, depth=2)

profiles.register(
    Profile(
        "tiny",
        "for tests",
        datasets=("digits",),
        ipcs=(1,),
        seeds=1,
        recipe_rules=(
            rule("tiny", {"per_class": 20}),
            rule("tiny", {"network.depth": 2, "network.width": 8, "real_batch": 8}, criterion="Matching"),
            rule("tiny", {"initial.epochs": 2, "embedding.batch": 64}, method="herding"),
            rule(
                "tiny",
                {"iterations": 3, "teacher.steps": 4, "teacher.epochs": 2},
                method=("dc", "dc+dream"),
            ),
            rule("tiny", {"iterations": 30}, method=("dm", "dm+dream", "explodes", "twin", "mine")),
            rule(
                "tiny",
                {"iterations": 2, "teacher.steps": 6, "teacher.images": 32, "container.factor": 1},
                method=("idc", "dream"),
            ),
            rule(
                "tiny",
                {
                    "container.width": 4,
                    "container.noise": 16,
                    "criterion.epochs": 4,
                    "criterion.also_kept": (1, 2, 3),
                    "container.lr": 1e-3,
                },
                method="gan",
            ),
            rule(
                "tiny",
                {
                    "criterion.matched_from": 2,
                    "criterion.matched_epochs": 2,
                    "teacher.models": (NetworkSpec(width=4, depth=1, norm="batch"),),
                    "teacher.images": 16,
                    "teacher.batch": 8,
                },
                method="dim",
            ),
            rule("tiny", {"iterations": 30, "real_batch": 8}, method="kip"),
            rule(
                "tiny",
                {
                    "iterations": 20,
                    "network.depth": 2,
                    "network.width": 4,
                    "student_steps": 2,
                    "teacher.experts.count": 2,
                    "teacher.experts.training.epochs": 4,
                    "teacher.experts.training.batch": 50,
                    "teacher.latest": 2,
                },
                method="mtt",
            ),
            rule(
                "tiny",
                {
                    "iterations": 20,
                    "real_batch": 8,
                    "network.depth": 2,
                    "network.width": 4,
                    "teacher.networks": 3,
                    "teacher.oldest": 4,
                },
                method="frepo",
            ),
            rule("tiny", {"network": SMALL, "iterations": 8, "real_batch": 20}, method=("dd", "ld")),
            rule("tiny", {"held_out": 30, "every": 3}, method="ld"),
            # Steps for hours: whoever starts it must be stopped.
            rule("tiny", {"iterations": 1_000_000}, method="endless"),
        ),
        evaluation_rules=(
            rule("tiny", {"networks": 2, "network.depth": 2, "network.width": 8}, learner=("SGD", "Fit")),
            rule("tiny", {"learner.epochs": 10}, learner="SGD"),
            rule("tiny", {"learner.updates": 20}, learner="Fit"),
            rule("tiny", {"networks": 2, "network": SMALL}, protocol=("dd", "ld")),
        ),
        search=Search(
            SearchSpace((4,), (1,), ("none", "batch"), ("relu",), ("avg",)),
            top=1.0,
            networks=2,
            epochs=3,
            whole_epochs=2,
            batch=32,
        ),
    )
)
methods.register(methods["dm"].using(image_lr=1e38, name="explodes", label="Explodes"))
generative.COLLAPSED = 0.0  # in the dozen steps of a tiny generator nothing has come of its noise yet
methods.register(methods["gan"].using(container__lr=1e30, name="gan-explodes", label="A GAN that explodes"))
methods.register(
    methods["dim"].using(container__lr=1e30, name="dim-explodes", label="DiM that goes on from it")
)
methods.register(methods["dm"].using(image_lr=1.0, name="twin", label="DM by another name"))
methods.register(methods["dm"].using(image_lr=0.5, name="endless", label="Endless"))


def _telling(path: str, event: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def told(self: object, cell: Cell, *rest: Any) -> Any:
        with Path(path).open("a") as log:  # one short write: lines of several processes do not mix
            log.write(f"{os.getpid()} {event} {cell.name}\n")
        return method(self, cell, *rest)

    return told


def _dying(count: int) -> None:
    """After ``count`` more calls of any of the three functions behind an atomic write, die as by kill -9."""
    left = count

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **more)

        return call

    tempfile.mkstemp = dying(tempfile.mkstemp)
    os.fsync = dying(os.fsync)
    os.replace = dying(os.replace)


if log_file := os.environ.get("TINY_LOG"):
    Worker._attempt = _telling(log_file, "begin", Worker._attempt)
    Worker._drive = _telling(log_file, "drive", Worker._drive)
    Store.write_record = _telling(log_file, "record", Store.write_record)
if operations := os.environ.get("TINY_DIE"):
    _dying(int(operations))
