"""Numbers far from the paper's: which count as far, what is said of them, and what a broken file of causes does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from madeup import record

from dreamlib.companion.report.distances import UNKNOWN, distant, judged, load_causes
from dreamlib.companion.report.tables import Row, accuracy_table
from dreamlib.core.errors import DataError


def table(numbers: pd.DataFrame, **accuracies: list[float]) -> Any:
    """DC on CIFAR-10 at one image per class (28.3), at ten (44.9 ± 0.5), and on FashionMNIST (70.5 ± 0.6)."""
    places = {"one": ("cifar10", 1), "ten": ("cifar10", 10), "fashion": ("fashionmnist", 1)}
    records = [
        record(dataset=places[name][0], ipc=places[name][1], accuracies=found, profile="paper")
        for name, found in accuracies.items()
    ]
    return accuracy_table(records, [Row("dc", "DC", "DC")], ("cifar10", "fashionmnist"), (1, 10), numbers)


def test_two_printed_deviations_are_near_and_more_is_far(numbers: pd.DataFrame) -> None:
    found = distant(table(numbers, ten=[45.9], fashion=[71.9]), {})
    assert found.column.tolist() == ["FashionMNIST, IPC 1"]
    (line,) = found.to_dict("records")
    assert (line["measured"], line["reported"], line["apart"]) == ("71.9", "70.5 ± 0.6", "+1.4")
    assert line["printed deviations"] == pytest.approx(1.4 / 0.6)
    assert line["what was found"] == UNKNOWN


def test_the_farthest_comes_first_with_what_was_found(numbers: pd.DataFrame) -> None:
    causes = {
        ("paper", "cifar10", 10, "dc"): "a cause",
        ("cpu", "fashionmnist", 1, "dc"): "of another profile",
    }
    found = distant(table(numbers, ten=[41.9], fashion=[72.0]), causes)
    assert found.column.tolist() == ["CIFAR-10, IPC 10", "FashionMNIST, IPC 1"]
    assert found["what was found"].tolist() == ["a cause", UNKNOWN]


def test_a_number_without_a_printed_deviation_is_not_judged(numbers: pd.DataFrame) -> None:
    made = table(numbers, one=[90.0], ten=[44.9])
    assert distant(made, {}).empty
    assert judged(made) == 1


def test_what_was_found_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "causes.csv"
    assert load_causes(file) == {}
    file.write_text('profile,dataset,ipc,method,cause\npaper,mnist,10,herding,"greedy, here"\n')
    assert load_causes(file) == {("paper", "mnist", 10, "herding"): "greedy, here"}


@pytest.mark.parametrize(
    "text", ["dataset,ipc\nmnist,1\n", "profile,dataset,ipc,method,cause\npaper,mnist,ten,dc,x\n"]
)
def test_a_broken_file_of_causes_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "causes.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=r"causes\.csv is no table of causes"):
        load_causes(file)
