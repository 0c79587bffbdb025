"""Made-up records and made-up reported numbers; nothing here was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from dreamlib.companion.report.reported import COLUMNS, load_reported

REPORTED = f"""{",".join(COLUMNS)}
dream,table1,cifar10,ipc,1,DC,convnet3,top1_percent,28.3,,
dream,table1,cifar10,ipc,10,DC,convnet3,top1_percent,44.9,0.5,
dream,table1,cifar10,ipc,10,KIP,convnet3,top1_percent,62.7,,
dim,table2,cifar10,ipc,10,DC,convnet3,top1_percent,1.0,,a fallback never wins over the item itself
dim,table2,fashionmnist,ipc,1,DC,convnet3,top1_percent,70.5,0.6,
dim,table2,cifar10,whole,,Whole dataset,convnet3,top1_percent,84.8,0.1,
dim,table2,cifar10,inpc,10,DiM,convnet3,top1_percent,66.2,,conditional GAN; budget is INPC
dim,fig1d,cifar10,ipc,1 to 10,DiM,convnet3,redeploy_gpu_hours,3,,"less, more or less"
"""


def record(
    method: str = "dc", dataset: str = "cifar10", ipc: int = 10, seed: int = 0, **changes: Any
) -> dict[str, Any]:
    """A record with every key that experiments write."""
    return {
        "schema": 1,
        "key": f"{method}-{dataset}-{ipc}-{seed}",
        "profile": "quick",
        "method": method,
        "label": method.upper(),
        "base": "",
        "dataset": dataset,
        "ipc": ipc,
        "seed": seed,
        "iteration": 50,
        "iterations": 50,
        "accuracies": [44.0, 46.0],
        "evaluation": {
            "part": "Evaluation",
            "protocol": "dc",
            "learner": {
                "epochs": 300,
                "batch": 256,
                "cutmix": 0.0,
                "augment": {"strategy": "crop", "family": "dsa"},
            },
            "network": {"name": "convnet", "depth": 3},
            "networks": 2,
        },
        "recipe": {"real_batch": 256, "iterations": 5},
        "seconds": {"distill": 3.0, "evaluate": 4.0},
        "peak_memory_bytes": 2**20,
        "device": "CPU",
        "versions": {"python": "3.11", "torch": "2.11"},
        "revision": "0123456789abcdef",
        "normalisation": {"name": "pixels"},
        "images_stored": 10 * ipc,
        "bytes_stored": 3072 * ipc,
        **changes,
    }


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    return record


def reported(folder: Path) -> pd.DataFrame:
    file = folder / "reported.csv"
    file.write_text(REPORTED, encoding="utf-8")
    return load_reported(file)


@pytest.fixture
def numbers(tmp_path: Path) -> pd.DataFrame:
    return reported(tmp_path)


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")
