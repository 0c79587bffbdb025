"""One row per method, one column per network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dreamlib.report import architectures
from dreamlib.report.reported import COLUMNS, load_reported
from dreamlib.report.tables import Row

Make = Callable[..., dict[str, Any]]
PAPER = f"""{",".join(COLUMNS)}
dim,table7,cifar10,inpc,10,DiM,convnet3,top1_percent,66.2,0.5,
dim,table7,cifar10,inpc,10,DiM,resnet18,top1_percent,69.2,0.3,
dim,table7,cifar10,ipc,10,KIP,convnet3,top1_percent,47.6,,
"""
ROWS = [Row("dim", "DiM", "DiM"), Row(None, "KIP", "KIP"), Row("dm", "DM", None)]
NETWORKS = ("convnet", "resnet18", "vgg11")


@pytest.fixture
def paper(tmp_path: Path) -> pd.DataFrame:
    file = tmp_path / "paper.csv"
    file.write_text(PAPER, encoding="utf-8")
    return load_reported(file)


def judged(make: Make, network: str, accuracies: list[float], **changes: Any) -> dict[str, Any]:
    record = make(method="dim", label="DiM", accuracies=accuracies, **changes)
    record["evaluation"]["network"] = {"name": network}
    return record


def table(records: list[dict[str, Any]], paper: pd.DataFrame, dataset: str = "cifar10") -> pd.DataFrame:
    return architectures.by_network(
        records,
        ROWS,
        NETWORKS,
        paper,
        dataset=dataset,
        ipc=10,
        paper="dim",
        item="table7",
        reported_dataset="cifar10",
        impossible={"vgg11"},
    )


def test_a_place_is_measured_missing_impossible_or_not_implemented(make: Make, paper: pd.DataFrame) -> None:
    records = [
        judged(make, "convnet", [60.0, 62.0]),
        judged(make, "resnet18", [1.0], iteration=7),
        judged(make, "resnet18", [2.0], ipc=1),
    ]
    frame = table(records, paper).set_index(["label", "network"])
    assert frame.status.loc["DiM"].tolist() == ["measured", "missing", "not possible"]
    assert set(frame.status.loc["KIP"]) == {"not implemented"}
    assert frame.loc[("DiM", "convnet"), ["mean", "n", "reported"]].tolist() == [61, 2, 66.2]
    assert frame.reported.loc["DM"].isna().all()


def test_the_grid_says_of_which_data_a_reported_number_is(make: Make, paper: pd.DataFrame) -> None:
    records = [judged(make, "convnet", [60.0, 62.0], dataset="digits")]
    shown = architectures.grid(table(records, paper, "digits"))
    assert shown["method"].tolist() == ["DiM", "DiM", "KIP", "DM"]
    assert shown["ConvNet"].tolist() == ["61.0 ± 1.4 (n=2)", "66.2 ± 0.5", "47.6", "missing"]
    assert shown["VGG-11"].tolist()[:2] == ["not possible", "–"]
    assert shown[""].tolist()[1:3] == ["reported, CIFAR-10", "reported, CIFAR-10 (not implemented here)"]


def test_stability_compares_with_the_first_network(make: Make, paper: pd.DataFrame) -> None:
    records = [
        judged(make, "convnet", [60.0]),
        judged(make, "resnet18", [52.0]),
        judged(make, "vgg11", [11.0]),
    ]
    steady = architectures.stability(table(records, paper)).set_index(["method", ""])
    measured = steady.loc[("DiM", "measured")]
    assert measured.tolist() == [3, 60, pytest.approx(-28.5), -49, 49]
    assert steady.loc[("DiM", "reported")]["worst to best"] == pytest.approx(3.0)
    assert "KIP" not in steady.index.get_level_values(0)


def test_a_network_that_nothing_teaches_can_be_left_out(make: Make, paper: pd.DataFrame) -> None:
    records = [
        judged(make, "convnet", [60.0]),
        judged(make, "resnet18", [52.0]),
        judged(make, "vgg11", [11.0]),
    ]
    frame = table(records, paper)
    assert architectures.at_chance(frame, 10) == ["vgg11"]
    assert architectures.at_chance(frame, 100) == []
    steady = architectures.stability(frame, without=["vgg11"]).set_index(["method", ""])
    assert steady.loc[("DiM", "measured")]["worst to best"] == 8


def test_along_a_training_keeps_steps_and_networks_apart(make: Make) -> None:
    records = [
        judged(make, "convnet", [60.0], iteration=step, seed=seed) for step in (7, 9) for seed in (0, 1)
    ]
    frame = architectures.along([*records, judged(make, "resnet18", [50.0])])
    assert frame[["network", "step", "n"]].to_numpy().tolist() == [
        ["convnet", 7, 2],
        ["convnet", 9, 2],
        ["resnet18", 50, 1],
    ]
    assert architectures.along([]).empty
