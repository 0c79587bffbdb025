"""Exports are read by those that they are written for, each in an environment of its own.

``datasets`` is in no list of ours, and ``ddranking`` pins numpy below 2. ``DREAMLIB_READERS`` is the folder that keeps
the two environments (build/readers); what is not there is installed, and without a package index its tests are skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import generator

from dreamlib.companion.library import export
from dreamlib.data import statistics
from dreamlib.distillation.sets import DistilledSet

pytestmark = pytest.mark.nightly

ROOT = Path(__file__).resolve().parents[2]
READERS = Path(os.environ.get("DREAMLIB_READERS") or ROOT / "build" / "readers")
PACKAGES = {"datasets": ("datasets", "pillow"), "ddranking": ("ddranking==0.2.0",)}
NAMES = ("owl", "cat/dog", *map(str, range(8)))  # not in the order of their names


def python_with(what: str) -> Path:
    """The interpreter of an environment that has a package, made now where it is not there."""
    python = READERS / what / "bin" / "python"
    packages = PACKAGES[what]
    if (
        python.exists()
        and subprocess.run([python, "-c", f"import {what}"], capture_output=True).returncode == 0
    ):
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(READERS / what)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{' '.join(packages)} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return python


def read(what: str, script: str, folder: Path, home: Path) -> Any:
    """What a reader printed of an export, as JSON in its last line."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    done = subprocess.run(
        [python_with(what), Path(__file__).parent / "readers" / script, folder],
        capture_output=True,
        text=True,
        env={**os.environ, **offline, "PYTHONPATH": ""},
        cwd=folder.parent,  # not here: DD-Ranking may leave its random images where it runs
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def made(labels: str) -> DistilledSet:
    """Two images of each of ten classes whose values are bytes, as of CIFAR-10."""
    images = torch.randint(0, 256, (10, 2, 3, 32, 32), generator=generator()).float() / 255
    numbers = torch.randn(20, 10, generator=generator())
    kinds = {
        "classes": torch.arange(10).repeat_interleave(2),
        "probabilities": numbers.softmax(1),
        "real": numbers,
    }
    rates = torch.tensor(0.0123) if labels == "real" else None
    about = {"dataset": "cifar10", "method": "dm", "label": "DM", "ipc": 2, "seed": 0, "profile": "quick"}
    flat = images.flatten(0, 1)
    return DistilledSet(flat, kinds[labels], images, NAMES, statistics("cifar10"), about, rates)


@pytest.mark.parametrize("labels", ["classes", "probabilities", "real"])
def test_hugging_face_reads_parquet_and_folders(tmp_path: Path, labels: str) -> None:
    first = made(labels)
    for target in ("set.parquet", "images"):
        export(first, tmp_path / target, results=tmp_path / "results")
    found = read("datasets", "hugging_face.py", tmp_path, tmp_path / "home")
    pictures = first.bytes().permute(0, 2, 3, 1).contiguous().numpy()
    pixels = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    assert found["parquet"]["names"] == list(NAMES)
    for kind in ("parquet", "imagefolder", "folder"):
        assert found[kind]["labels"] == first.hard_labels.tolist()
        assert found[kind]["pixels"] == pixels
        assert found[kind]["sizes"] == [[32, 32]]
        soft = found[kind]["soft"]
        assert (soft is None) == (labels == "classes")
        assert soft is None or torch.tensor(soft).equal(first.labels)
    if labels == "classes":
        assert found["folder"]["names"][:3] == ["000-owl", "001-cat_dog", "002-0"]


@pytest.mark.parametrize("labels", ["classes", "probabilities", "real"])
def test_dd_ranking_judges_its_tensors(tmp_path: Path, labels: str) -> None:
    first = made(labels)
    folder = export(first, tmp_path / "set", "ddranking", results=tmp_path / "results")
    found = read("ddranking", "dd_ranking.py", folder, tmp_path / "home")
    assert found["metric"] == ("LabelRobustScoreHard" if labels == "classes" else "LabelRobustScoreSoft")
    assert found["images"] == [20, 3, 32, 32]
    assert found["labels"] == ([20] if labels == "classes" else [20, 10])
    assert found["lr"] == pytest.approx(0.0123 if labels == "real" else 0.01)
    assert len(found["scores"]["hard_label_recovery"]) == 1
