"""The committed list of claims says of each what its report says."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamlib.companion.claims import KEPT, rewrite
from dreamlib.companion.report.cards import card
from dreamlib.companion.report.layouts import MARKDOWN
from dreamlib.companion.report.reported import PAPERS

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "reports"
PAGES = [
    (profile, file.parent.name, file.stem)
    for profile in KEPT
    for file in sorted((REPORTS / profile).glob("*/*.ipynb"))
    if file.parent.name in PAPERS
]


@pytest.mark.parametrize("name", PAGES, ids="/".join)
def test_every_claim_of_a_committed_report_is_in_the_list(name: tuple[str, str, str]) -> None:
    rows = (REPORTS / "claims.md").read_text().splitlines()
    for claim in card(REPORTS, *name).claims:
        mine = [row for row in rows if row.startswith(f"| {MARKDOWN(claim.text)} | ")]
        told = f"[{claim.verdict}]({'/'.join(name)}.html) (`{name[0]}`)"
        # What `cpu` says is not shown where the published protocol decides.
        decided = any("holds](paper/" in row or "hold](paper/" in row for row in mine)
        assert mine, f"{claim.text}: run make claims"
        assert claim.holds is None or decided or any(told in row for row in mine), (
            f"{claim.text}: run make claims"
        )


@pytest.mark.nightly
def test_every_page_is_made_where_nothing_is_measured(tmp_path: Path) -> None:
    """All notebooks of the papers under `cpu`, without a record: each says what is missing, and none fails."""
    written = rewrite(ROOT, tmp_path)
    text = written[0].read_text()
    # Figures of images have no claim that a number decides.
    assert text.count("\n## ") >= 28
    assert "[holds]" not in text
    assert "not measured" in text
