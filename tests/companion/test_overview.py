"""Which numbers and images the README shows, decided by rule from whatever records there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from madeup import make as make
from PIL import Image

from dreamlib.companion import overview
from dreamlib.companion.cells import make_cell
from dreamlib.companion.report import overview as shown
from dreamlib.companion.report import tables
from dreamlib.companion.report.reported import load_reported
from dreamlib.companion.session import Session
from dreamlib.companion.store import Store
from dreamlib.core.errors import DataError, StoreError

Make = Callable[..., dict[str, Any]]
ROWS = [
    tables.Row(name.lower(), name, name) for name in ("Random", "Herding", "K-Center", "Forgetting", "DC")
]


def keep(results: Path, method: str, accuracy: float) -> None:
    """A made-up record of quick: all networks have this accuracy."""
    cell = make_cell("quick", method, "digits", 10, 0)
    accuracies = [accuracy] * cell.evaluation.networks
    Store(results).write_record(
        cell, {"accuracies": accuracies, "seconds": {"distill": 1.0}, "device": "made up"}
    )


def table(records: list[dict[str, Any]], **about: str) -> tables.AccuracyTable:
    """A table of made-up records, and of what the papers report."""
    return tables.accuracy_table(records, ROWS, ("cifar10", "mnist"), (10, 1), load_reported(), **about)


def test_the_table_is_of_the_first_profile_with_both_numbers(make: Make) -> None:
    nothing, own = table([]), table([make("random", "digits", 10)])
    with pytest.raises(StoreError, match="no measured number has a reported one"):
        shown.summary([nothing, own])
    small = table([make("random", "mnist", 1, accuracies=[61.0, 61.5], profile="cpu")])
    assert "| Random | 61.2 ± 0.4 (64.9 ± 3.5) |" in shown.summary([nothing, own, small])
    published = [
        make("random", "cifar10", 1, accuracies=[14.0], profile="paper"),
        make("dc", "cifar10", 10, accuracies=[40.0], profile="paper"),
    ]
    text = shown.summary([nothing, table(published, reading="Profile paper: as published."), small])
    assert text.splitlines()[0] == "|  | CIFAR-10, IPC 1 | CIFAR-10, IPC 10 |"
    assert "| Random | 14.0 (14.4 ± 2.0) |  |" in text
    assert "| DC |  | 40.0 (44.9" in text
    assert "MNIST" not in text, "a table never mixes profiles"
    assert "Herding" not in text, "it is not measured"
    assert text.rstrip().endswith("in DiM Table 2 and DREAM Table 1. Profile paper: as published.")
    assert "over 1 network on 1 synthetic set;" in text


def test_the_table_tells_how_far_the_order_is_the_papers(make: Make) -> None:
    found = {"random": 14.0, "herding": 21.0, "k-center": 22.0, "forgetting": 30.0}
    text = shown.summary(
        [table([make(method, "cifar10", 1, accuracies=[value]) for method, value in found.items()])]
    )
    # The paper has forgetting lowest, and herding and K-Center at one value: of five pairs three are turned.
    assert "| *rank agreement (Kendall)* | −0.18 [" in text


def test_the_table_has_the_columns_in_which_most_can_be_compared(make: Make) -> None:
    places = [(name, ipc) for name in ("mnist", "fashionmnist", "cifar10") for ipc in (1, 10, 50)]
    records = [make("herding", *place) for place in places] + [
        make("random", *place) for place in places[2:8]
    ]
    wide = tables.accuracy_table(
        records, ROWS, ("mnist", "fashionmnist", "cifar10"), (50, 10, 1), load_reported()
    )
    assert shown.compared(wide) == places[2:8]


def test_the_picture_needs_a_distilled_set(tmp_path: Path) -> None:
    keep(tmp_path, "dm", 80.0)
    only = [Session("dream/table1", results=str(tmp_path))]
    with pytest.raises(StoreError, match="no distilled set is there to show"):
        overview.shown(only)


def test_a_picture_shows_images_and_accuracies(tmp_path: Path) -> None:
    for method, accuracy in (("random", 60.0), ("dm", 80.0)):
        keep(tmp_path, method, accuracy)
    session = Session("dream/table1", results=str(tmp_path))
    found = overview.table_of(session)
    cells = [found.entries[found.index(label), ("digits", 10)] for label in ("Random", "DM")]
    images = np.full((2, 10, 8, 8, 1), 0.5)
    figure = shown.picture(images, images, cells, label="DM", told="Digits", ink="#123456")
    charts = [axes for part in figure.subfigs for axes in part.axes]
    assert [axes.get_title(loc="left") for axes in charts] == ["Real images", "Distilled by DM", "Digits"]
    assert [bar.get_width() for bar in charts[2].patches] == [60.0, 80.0]
    assert [label.get_text() for label in charts[2].get_yticklabels()] == ["Random", "DM"]
    assert charts[2].get_xlim() == (0, 100)
    path = shown.save(figure, tmp_path / "a.png")
    with Image.open(path) as picture:
        assert picture.width >= 1000
        assert picture.convert("RGBA").getpixel((2, picture.height - 2))[3] == 0, "the ground is the page's"
    assert "Digits: DM 80.0, Random 60.0." in shown.described(cells, "DM", "Digits")


def test_a_place_in_a_page_is_filled_and_nothing_else_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table: made -->\nold\n<!-- end of table -->\nb\n<!-- tables -->\n")
    assert shown.put(page, "table", "| new \\1 |\n")
    assert (
        page.read_text()
        == "a\n<!-- table: made -->\n\n| new \\1 |\n\n<!-- end of table -->\nb\n<!-- tables -->\n"
    )
    assert shown.block_of(page, "table") == "| new \\1 |\n"
    assert not shown.put(page, "table", "| new \\1 |")
    with pytest.raises(DataError, match=r"page\.md has 0 places <!-- picture -->"):
        shown.put(page, "picture", "")
