"""nbval notices what is broken: every mutation of a copy of the project fails the cheapest page that stands on it.

A mutation still gives finite numbers of the right shape, so that nothing but the numbers themselves can tell.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("dreamlib", "notebooks", "reports/reported", "reports/results/bench", "pyproject.toml")

pytestmark = pytest.mark.nightly


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project without its records: what nbval needs, and nothing computed."""
    folder = tmp_path / "project"
    for name in NEEDED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)
    return folder


def nbval(folder: Path, *pages: str, **more: str) -> subprocess.CompletedProcess[str]:
    """nbval over pages of a copy, by the code of the copy, with a fresh results folder; ``more`` of the environment."""
    environment = os.environ | {"PYTHONPATH": str(folder), "DREAMLIB_RESULTS": str(folder / "results")}
    environment |= {"MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1", **more}
    environment.pop("DREAMLIB_ROOT", None)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    # What is installed is the repository itself; these tests are worth nothing if that is what runs.
    assert run("-c", "import dreamlib; print(dreamlib.__file__)").stdout.startswith(str(folder))
    begun = time.monotonic()
    paths = [f"notebooks/{page}.ipynb" for page in pages]
    how = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout", "3000", "-p", "no:cacheprovider"]
    done = run("-m", "pytest", *how, *paths)
    print(f"{', '.join(pages)}: {time.monotonic() - begun:.0f} s")
    print(
        "\n".join(
            line for line in done.stdout.splitlines() if "measured, where" in line or "checksum" in line
        )
    )
    return done


def replaced(path: str, old: str, new: str) -> Callable[[Path], None]:
    """A mutation of one file; its text must be there, exactly once."""

    def mutate(folder: Path) -> None:
        file = folder / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} holds {text.count(old)} times: {old}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    return mutate


def misreported(paper: str, item: str) -> Callable[[Path], None]:
    """The first number of an item is reported one too high."""

    def mutate(folder: Path) -> None:
        file = folder / "reports" / "reported" / "reported.csv"
        with file.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        value = rows[0].index("value")
        row = next(row for row in rows if row[:2] == [paper, item])
        row[value] = f"{float(row[value]) + 1:g}"
        with file.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)

    return mutate


@dataclass(frozen=True)
class Mutation:
    """What is broken, how, and the cheapest page that must notice."""

    name: str
    page: str
    mutate: Callable[[Path], None]


# Text of the package, and what it becomes.
MATCH = "distance(self.metric, a, b)"
NEAREST = "distance.topk(each, dim=2, largest=False)"
FARTHEST = "distance.masked_fill(distance == _FAR, -1.0).topk(each, dim=2)"
CENTRES = "return Representative(pool=self.pool, space=self.space).choose(view)"
GREEDY = 'best = gap.masked_fill(~free, float("inf")).argmin(1, keepdim=True)'
ANY = "best = torch.rand(gap.shape, generator=view.generator).masked_fill(~free, 2.0).argmin(1, keepdim=True)"
RATE = "return self.lr * self.decay_by"

MUTATIONS = (
    Mutation(  # the mean features of the wrong class
        "feature matcher",
        "dm/section4",
        replaced("dreamlib/matchers/feature.py", MATCH, "distance(self.metric, a.roll(1, 0), b)"),
    ),
    Mutation(  # the opposite direction
        "gradient matcher",
        "dream/figure_comparison",
        replaced("dreamlib/matchers/gradient.py", MATCH, "distance(self.metric, -a, b)"),
    ),
    Mutation(
        "sampler",
        "dream/figure_gradnorm",
        replaced("dreamlib/samplers/clustering.py", NEAREST, FARTHEST),
    ),
    Mutation(  # the images of the wrong class
        "container",
        "dream/figure_comparison",
        replaced(
            "dreamlib/containers/pixels.py", 'return stored["images"]', 'return stored["images"].roll(1, 0)'
        ),
    ),
    Mutation(
        "evaluation protocol",
        "dream/figure_comparison",
        replaced("dreamlib/networks/training.py", RATE, "return 0.01 * self.lr * self.decay_by"),
    ),
    Mutation(
        "coreset of cluster centres",
        "dream/figure3",
        replaced("dreamlib/coresets/selection.py", CENTRES, "return Random().choose(view)"),
    ),
    Mutation(
        "coreset by herding",
        "dim/table2",
        replaced("dreamlib/coresets/selection.py", GREEDY, ANY),
    ),
    Mutation("reported number", "dim/table9", misreported("dim", "table9")),
)


@pytest.mark.parametrize("page", sorted({mutation.page for mutation in MUTATIONS}))
def test_the_unbroken_copy_passes(copy: Path, page: str) -> None:
    done = nbval(copy, page)
    assert done.returncode == 0, done.stdout[-5000:]


# Other vector instructions sum in another order, as another CPU does. Where these are the newest, nothing changes.
OLDER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


@pytest.mark.parametrize(
    "page", ["dream/figure_comparison", "dream/figure3", "dream/figure_gradnorm", "dim/figure5"]
)
def test_another_cpu_stays_in_the_bands(copy: Path, page: str) -> None:
    done = nbval(copy, page, **OLDER)
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_nbval_notices_what_is_broken(copy: Path, mutation: Mutation) -> None:
    mutation.mutate(copy)
    done = nbval(copy, mutation.page)
    assert done.returncode == 1, f"nothing noticed that the {mutation.name} is broken\n{done.stdout[-3000:]}"
    # By its numbers: a cell that stops with an error would prove little.
    assert "NbCellError" not in done.stdout, done.stdout[-5000:]
    assert "mismatch" in done.stdout, done.stdout[-5000:]
