"""One row per method, one column per network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import architectures
import pandas as pd
import pytest
from training import along

from dreamlib.companion.report.reported import COLUMNS, load_reported
from dreamlib.companion.report.tables import Row

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


def test_numbers_of_another_data_set_are_in_no_row(make: Make, paper: pd.DataFrame) -> None:
    records = [judged(make, "convnet", [60.0, 62.0], dataset="digits")]
    shown = architectures.grid(table(records, paper, "digits"))
    assert shown["method"].tolist() == ["DiM", "DM"]
    assert shown["ConvNet"].tolist() == ["61.0 ± 1.4 (n=2)", "missing"]
    assert shown["VGG-11"].tolist()[:2] == ["not possible", "not possible"]


def test_a_place_that_only_the_paper_has_is_shown_as_reported(paper: pd.DataFrame) -> None:
    frame = architectures.by_network(
        [], ROWS, NETWORKS, paper, dataset="cifar10", ipc=10, paper="dim", item="table7", here=False
    )
    assert set(frame.status) == {"not on this page", "not implemented"}
    shown = architectures.grid(frame)
    assert shown[""].tolist() == ["reported", "reported (not implemented here)"]
    assert shown["ConvNet"].tolist() == ["66.2 ± 0.5", "47.6"]


def test_a_spread_is_that_of_one_set(make: Make) -> None:
    records = [
        judged(make, network, [value + seed], seed=seed, key=f"{network}{seed}")
        for network, value in (("convnet", 60.0), ("resnet18", 52.0), ("vgg11", 11.0))
        for seed in (0, 1)
    ]
    how = ("dim", "cifar10", 10)
    assert architectures.spreads(records, *how, NETWORKS) == {0: (49.0,), 1: (49.0,)}
    assert architectures.spreads(records[:-1], *how, NETWORKS) == {
        0: (49.0,)
    }  # one network did not judge the other
    assert architectures.spreads(records, *how, ["convnet"]) == {}
    assert architectures.by_seed(records, *how, "resnet18") == {0: (52.0,), 1: (53.0,)}


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
    frame = along([*records, judged(make, "resnet18", [50.0])])
    assert frame[["network", "step", "n"]].to_numpy().tolist() == [
        ["convnet", 7, 2],
        ["convnet", 9, 2],
        ["resnet18", 50, 1],
    ]
    assert along([]).empty
