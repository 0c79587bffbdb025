"""Machines with little on them: a user without an account, no home folder. Each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tinyruns import run_words

pytestmark = pytest.mark.processes

# What a container has whose user is a bare number: nobody can say what it is called.
NOBODY = """
import pwd, sys
def missing(uid): raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = missing
"""
RUN = """
from dreamlib.companion.cli import main
status = main(sys.argv[1:])
assert "torch._inductor" not in sys.modules, "nothing is compiled here, and importing the compiler takes seconds"
sys.exit(status)
"""


def python(code: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    unknown = ("USER", "LOGNAME", "LNAME", "USERNAME", "HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR")
    kept = {name: value for name, value in os.environ.items() if name not in unknown}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, env=kept | environment
    )


def test_a_user_without_an_account_runs_what_compiles_nothing(tmp_path: Path) -> None:
    choice = run_words(tmp_path, "random,dm", "--no-forecast")
    ran = python(NOBODY + RUN, *choice, HOME=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert "computed 2, found 0" in ran.stdout


@pytest.mark.parametrize("given", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_no_home_folder(tmp_path: Path, given: bool) -> None:
    for part in ("train", "test"):
        for word in "ab":
            (tmp_path / part / word).mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / part / word / "0.png")
    cache = (
        {"DREAMLIB_CACHE": str(tmp_path / "cache")}
        if given
        else {"DREAMLIB_CACHE": "", "TMPDIR": str(tmp_path)}
    )
    code = "from dreamlib.data import load\nprint(load(f'folder:{sys.argv[1]}').shape)"
    ran = python(NOBODY + code, tmp_path, **cache)
    assert ran.stdout == "(1, 8, 8)\n", ran.stderr
    assert list(tmp_path.rglob("*.safetensors"))
