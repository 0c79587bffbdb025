"""README says what the records give, points at what there is, and fits on two screens."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dreamlib import methods
from dreamlib.companion import overview
from dreamlib.companion.report.overview import block_of

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@pytest.mark.trains
def test_its_table_is_what_the_records_give() -> None:
    assert block_of(README, "table") == overview.summary(str(ROOT / "reports" / "results")), (
        "run: make picture"
    )


def test_its_picture_is_there_and_says_what_it_shows() -> None:
    block = block_of(README, "picture")
    files = re.findall(r'(?:src|srcset)="([^"]+)"', block)
    assert len(files) == 2
    for file in files:
        with Image.open(ROOT / file) as picture:
            assert picture.width >= 1000
    profile = re.search(r"profile (\w+)", block)
    assert profile is not None
    assert f"Profile {profile[1]}" in block, "the profile is named below the picture too"
    assert re.search(r'alt="Real images, images distilled by .+: \S+ \d\d?\.\d', block)


def test_it_says_how_many_systems_of_the_tables_run() -> None:
    rows = pd.read_csv(ROOT / "reports" / "reported" / "reported.csv")
    tables = (rows.paper + "/" + rows.item).isin(["dream/table1", "dim/table2", "dm/tableT1"])
    systems = set(rows[tables].method) - {"Whole dataset"}
    # KIP runs by another kernel, so its row is not the paper's; README says so.
    missing = systems - {methods[name].reported_as for name in methods} - {"KIP"}
    assert missing == {"CAFE", "CAFE+DSA", "HaBa", "RFAD"}
    assert (len(systems) - len(missing), len(systems)) == (20, 24)
    assert "Twenty of the twenty-four systems in their tables run" in " ".join(README.read_text().split())


def test_it_fits_on_two_screens() -> None:
    assert len(README.read_text().splitlines()) <= 125


@pytest.mark.parametrize("page", [README, *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name)
def test_what_it_points_at_is_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = [
        link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:|mailto:|#", link)
    ]
    for link in links:
        assert (page.parent / link.partition("#")[0]).exists(), link
