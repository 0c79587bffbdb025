"""Accuracies by two properties of their records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from crosstable import crossed, grid

from dreamlib.core.errors import BadValue

Make = Callable[..., dict[str, Any]]


def test_a_cross_table_pools_networks_and_shows_what_is_missing(make: Make) -> None:
    def record(learned: str, tested: str, accuracies: list[float], **more: Any) -> dict[str, Any]:
        return make(
            accuracies=accuracies, learned=learned, tested=tested, key=f"{learned}{tested}{more}", **more
        )

    records = [
        record("a", "a", [50.0, 52.0]),
        record("a", "a", [54.0], seed=1),
        record("a", "b", [40.0]),
        record("b", "b", [45.0, 47.0]),
        record("b", "b", [99.0], iteration=1),  # along the way: no final set
    ]
    frame = crossed(records, lambda one: str(one["learned"]), lambda one: str(one["tested"]))
    assert frame[["row", "column", "n"]].to_numpy().tolist() == [["a", "a", 3], ["a", "b", 1], ["b", "b", 2]]
    assert frame["mean"].tolist() == [52.0, 40.0, 46.0]
    assert frame["std"].iloc[0] == pytest.approx(2.0)
    shown = grid(frame, "learned")
    assert list(shown.columns) == ["learned", "a", "b"]
    assert shown.to_numpy().tolist() == [["a", "52.0 ± 2.0", "40.0"], ["b", "missing", "46.0 ± 1.4"]]
    with pytest.raises(BadValue, match="2 different"):
        crossed([*records, record("a", "a", [1.0], dataset="svhn")], lambda _: "", lambda _: "")
