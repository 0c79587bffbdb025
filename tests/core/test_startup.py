"""Collections are put off until a process computes, and are never put off where nobody asked for it."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import suppress

import pytest

from dreamlib.core.startup import uncollected

pytestmark = pytest.mark.processes
SEEN = "import gc; from dreamlib.core.startup import started, starting; "


def ran(code: str) -> list[str]:
    found = subprocess.run([sys.executable, "-c", SEEN + code], capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_nothing_is_collected_from_its_start_until_it_computes() -> None:
    seen = "print(gc.isenabled(), gc.get_freeze_count() > 0); "
    assert ran(f"starting(); {seen} started(); {seen}") == ["False", "False", "True", "True"]


def test_a_process_of_somebody_elses_is_left_as_it_is() -> None:
    assert ran("started(); print(gc.isenabled(), gc.get_freeze_count())") == ["True", "0"]


@pytest.mark.parametrize(("begun", "said"), [("", ["searched"]), ("starting()", [])])
def test_what_is_left_at_the_end_is_not_searched(begun: str, said: list[str]) -> None:
    code = """
class Circle:
    def __init__(self):
        self.me = self
    def __del__(self, say=print):
        say("searched")
circle = Circle()
"""
    assert ran(f"{begun}\n{code}") == said


def test_what_compiles_collects_nothing_and_what_comes_after_does() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with suppress(ValueError), uncollected():
            raise ValueError("nested, and with an error")
        assert not gc.isenabled()
    assert gc.isenabled()
