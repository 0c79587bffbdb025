"""A thousand kills, spread over run, workers, notebook and make: nothing finished is lost, and nothing stays behind.

``DREAMLIB_KILLS`` says how many in all (1000); with ``-n 4``, one process a way, they took 16 minutes on two cores.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tinyruns import PLUGIN, Command, leftovers, numbers, run_words, words

pytestmark = pytest.mark.nightly

ROOT = Path(__file__).resolve().parents[2]
METHODS = "dm,dc,dream"
KILLS = int(os.environ.get("DREAMLIB_KILLS", "1000"))
SHARES = {"run": 0.5, "workers": 0.25, "notebook": 0.15, "make": 0.1}
# Seconds within which a command is killed: from its very start to after its end.
WITHIN = {"run": 3.0, "workers": 6.0, "notebook": 12.0, "make": 15.0}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert Command(run_words(folder, METHODS), folder / "log").end() == 0
    return numbers(folder)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout of its own, whose pages nobody minds."""
    tree = tmp_path / "tree"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("dreamlib", "notebooks", "reports/reported"):
        shutil.copytree(ROOT / name, tree / name, ignore=ignore)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    return tree


def start(way: str, tree: Path, results: Path, private: Path) -> subprocess.Popen[bytes]:
    """A command on a tiny study in a group of its own, which keeps its temporary files in ``private``."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "TMPDIR": str(private),
        "DREAMLIB_CHECKPOINT_SECONDS": "0",
    }
    python = [sys.executable, "-m", "dreamlib"]
    choice = ["--methods", METHODS, "--datasets", "digits", "--device", "cpu"]
    commands = {
        "run": [*python, *run_words(results, METHODS)],
        "workers": [*python, *run_words(results, METHODS, workers=2)],
        "notebook": [*python, *words(results, *choice, "--workers", "1", command="notebook")],
        "make": [
            *("make", "--no-print-directory", "-o", f"{sys.prefix}/.installed", "table1"),
            *(f"VENV={sys.prefix}", "PROFILE=tiny", f"PLUGINS={PLUGIN}", f"METHODS={METHODS}"),
            *("DATASETS=digits", "DEVICE=cpu", "WORKERS=1", f"RESULTS={results}"),
        ],
    }
    with (tree / "said").open("wb") as said:
        return subprocess.Popen(
            commands[way],
            cwd=tree,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@pytest.mark.parametrize("way", sorted(SHARES))
def test_nothing_is_lost_and_nothing_stays(
    tmp_path: Path, tree: Path, undisturbed: dict[str, Any], way: str
) -> None:
    dice, wanted, kills, finished = random.Random(way), max(1, round(KILLS * SHARES[way])), 0, 0
    results, private = tmp_path / "results", tmp_path / "private"
    private.mkdir()
    while kills < wanted or not finished:
        command = start(way, tree, results, private)
        if kills < wanted:
            # The longer, the more is done between two kills; some come at the very start.
            with suppress(subprocess.TimeoutExpired):
                command.wait(dice.uniform(0, WITHIN[way]))
        else:
            command.wait(300)
        if (code := command.poll()) is None:
            kill(command.pid)
            command.wait()
            kills += 1
            # What was finished before is still there, whole.
            found = numbers(results)
            assert found == {name: undisturbed[name] for name in found}
            continue
        kill(command.pid)  # workers that outlive their parent for a moment
        assert code == 0, f"after {kills} kills:\n{(tree / 'said').read_text()[-4000:]}"
        assert numbers(results) == undisturbed
        assert not leftovers(results)
        end = time.monotonic() + 10
        while left := [path for path in private.iterdir() if path.name.startswith("dreamlib")]:
            assert time.monotonic() < end, left
            time.sleep(0.1)
        finished += 1
        shutil.rmtree(results)
