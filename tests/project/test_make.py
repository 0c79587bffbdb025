"""The Makefile names every item, and passes on what it is given."""

import subprocess
from pathlib import Path

from dreamlib.companion.plans import PLANS

ROOT = Path(__file__).parents[2]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_lists_every_target_and_item() -> None:
    text = make("help").stdout
    for target in ("dream", "all", "test", "status", "install", "clean", "sync", "lint", "index"):
        assert f"\n{target} " in text, target
    for item in PLANS:
        assert f"\n{item.removeprefix('dream/').replace('/', '-')} " in text, item


def test_a_target_runs_its_notebook_with_the_choices() -> None:
    plan = make("-n", "-o", ".venv/.installed", "table1", "PROFILE=cpu", "DATASETS=mnist,fashionmnist", "IPC=1,10",
                "METHODS=dm,dream", "SEEDS=5").stdout  # fmt: skip
    for words in ("notebook dream/table1", '--profile "cpu"', '--datasets "mnist,fashionmnist"', '--ipc "1,10"',
                  '--methods "dm,dream"', '--seeds "5"'):  # fmt: skip
        assert words in plan, words


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
