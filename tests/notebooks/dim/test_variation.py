"""One setting of DiM varied: the rows are the paper's; its best value is held against the ends that were measured."""

from __future__ import annotations

from pathlib import Path

from variation import variants, worse_at_the_ends

from dreamlib.companion.plans import dim
from dreamlib.companion.session import Session


def test_rows_are_all_that_the_paper_prints_and_the_cells_are_the_profiles_own(tmp_path: Path) -> None:
    session = Session("dim/table10", results=str(tmp_path), reports=str(tmp_path / "reports"))
    how = {"published": dim.NOISES["paper"], "called": "DiM noise_dim={}"}
    named, table = variants(session, dim.noises, "100", **how)
    assert [row.label for row in table.rows] == [str(size) for size in dim.NOISES["paper"]]
    assert {row.label for row in table.rows if row.method} == set(named) < {row.label for row in table.rows}
    assert (session.folder / "table10.csv").is_file()


def test_the_best_value_is_not_held_against_itself(tmp_path: Path) -> None:
    """Figure 3a: "a large λ or a small λ is worse". Where the best is an end of what is measured, one claim is left."""
    session = Session("dim/figure3a", results=str(tmp_path), reports=str(tmp_path / "reports"))
    named, table = variants(session, dim.weights, "0.01")
    ends = sorted(named, key=float)
    told = [claim for claim, holds, _ in worse_at_the_ends(table, named, "0.01", "λ") if holds is None]
    assert told == [
        f"too {much} a λ is worse: λ = 0.01 above λ = {name}"
        for much, name in (("small", ends[0]), ("large", ends[-1]))
        if name != "0.01"
    ]
