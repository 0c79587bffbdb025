"""What is installed from a wheel: it works alone, and says in one sentence how to get what it does not carry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contents of the wheel, in a folder of their own."""
    source, wheels, installed = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "installed"))
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "dreamlib", source / "dreamlib", ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
    ]
    made = subprocess.run([*build, str(wheels), str(source)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    return installed


def ran(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "DREAMLIB_ROOT"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=installed,
        env=kept | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )


def test_the_wheel_carries_the_templates_of_pages(installed: Path) -> None:
    own = ROOT / "dreamlib/companion/report/templates"
    files = {path.relative_to(own) for path in own.rglob("*") if path.is_file()}
    assert files
    assert all((installed / "dreamlib/companion/report/templates" / file).is_file() for file in files)
    assert (installed / "dreamlib/py.typed").is_file()


@pytest.mark.nightly
def test_what_the_wheel_does_not_carry_is_said_before_anything_is_computed(installed: Path) -> None:
    page = ran(installed, "-m", "dreamlib", "notebook", "dream/table1", "--results", str(installed / "r"))
    assert page.returncode == 2
    assert "part of the repository, not of the installed package\n  try: clone the repository" in page.stderr
    assert "Traceback" not in page.stderr
    assert not (installed / "r").exists()
    code = "from dreamlib.companion.report.reported import load_reported\nload_reported()"
    assert "clone the repository" in ran(installed, "-c", code).stderr


def test_a_study_runs_from_the_wheel(installed: Path) -> None:
    chosen = "run dream/table1 --datasets digits --methods random --ipc 1 --seeds 1 --workers 1 --quiet"
    study = ran(installed, "-m", "dreamlib", *chosen.split())
    assert "computed 1" in study.stdout, study.stderr
    assert list((installed / "reports/results/quick").glob("*.json"))  # where one is, outside of a project
