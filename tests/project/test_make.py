"""The Makefile names every item, and passes on what it is given."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dreamlib.companion.cells import make_cell
from dreamlib.companion.plans import PLANS

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_lists_every_target_and_item() -> None:
    text = make("help").stdout
    for target in (
        "dream",
        "all",
        "test",
        "status",
        "install",
        "clean",
        "sync",
        "lint",
        "index",
        "claims",
        "picture",
    ):
        assert f"\n{target} " in text, target
    for item in PLANS:
        assert f"\n{item.removeprefix('dream/').replace('/', '-')} " in text, item


def stand_in(folder: Path, script: str) -> None:
    """An environment whose Python is a shell script."""
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    (folder / ".installed").touch()


def given(folder: Path, *words: str) -> list[str]:
    """What Python is given by ``make table1`` with these words."""
    stand_in(folder, f"printf '%s\\0' \"$@\" > {folder}/told")
    done = make("table1", f"VENV={folder}", *words)
    assert done.returncode == 0, done.stderr
    return (folder / "told").read_text().split("\0")[:-1]


def test_a_target_runs_its_notebook_with_the_choices(tmp_path: Path) -> None:
    told = given(
        tmp_path, "PROFILE=cpu", "DATASETS=mnist,fashionmnist", "IPC=1,10", "METHODS=dm,dream", "SEEDS=5"
    )
    assert told[:3] == ["-m", "dreamlib", "notebook"]
    assert told[3] == "dream/table1"
    expected = {
        "profile": "cpu",
        "datasets": "mnist,fashionmnist",
        "ipc": "1,10",
        "methods": "dm,dream",
        "seeds": "5",
    }
    for flag, value in (expected | {"workers": "0", "device": "auto"}).items():
        assert told[told.index(f"--{flag}") + 1] == value


@pytest.mark.parametrize(
    "text",
    ["$(touch broken)", "`touch broken`", "50$ imgs", "a b", '";touch broken;"', "$$HOME", "#x", "'", "\\"],
)
def test_what_is_typed_is_passed_on_and_never_run(tmp_path: Path, text: str) -> None:
    told = given(tmp_path, f"METHODS={text}", f"RESULTS={text}")
    assert told[told.index("--methods") + 1] == text
    assert told[told.index("--results") + 1] == text
    assert not (ROOT / "broken").exists()


def test_a_signal_to_make_reaches_the_work(tmp_path: Path) -> None:
    """A shell between the two would die of it, and leave the work to go on without anybody."""
    stand_in(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    words = ["make", "--no-print-directory", "table1", f"VENV={tmp_path}"]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL) as running:
        end = time.monotonic() + 30
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            assert time.monotonic() < end
            time.sleep(0.01)
        work = int((tmp_path / "pid").read_text())
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) != 0
    while time.monotonic() < end:
        try:
            os.kill(work, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("the work goes on")


def test_empty_choices_are_left_to_the_profile() -> None:
    plan = make("-n", "-o", ".venv/.installed", "figure1").stdout
    assert "--datasets" not in plan
    assert "--methods" not in plan


def test_a_misspelt_parameter_stops_at_once_with_the_valid_ones() -> None:
    done = make("-n", "-o", ".venv/.installed", "table1", "METHOD=dm")
    assert done.returncode == 2
    assert "unknown parameter METHOD; valid: PROFILE DATASETS IPC METHODS" in done.stderr


def test_the_readmes_example_is_the_file_it_names() -> None:
    text, code = (ROOT / "README.md").read_text(), (ROOT / "examples" / "farthest.py").read_text()
    assert f"```python\n{code}```" in text
    assert len(code.splitlines()) < 30


def test_the_generator_that_the_page_on_sets_loads_is_that_of_quick() -> None:
    named = re.findall(r"quick/sets/(\S+)\.safetensors", (ROOT / "docs" / "sets.md").read_text())
    assert named == [make_cell("quick", "dim", "digits", 10, 0).set_name]
