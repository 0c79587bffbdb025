"""Distributions as boxes."""

import pytest
from boxes import boxes

from dreamlib.core.errors import BadValue


def test_boxes_name_their_distributions_from_top_to_bottom() -> None:
    ax = boxes({"a": [1, 2, 3], "b": [5.0]}, xlabel="x", reference=2, reference_label="two")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    low, high = ax.get_ylim()
    assert low > high
    assert ax.get_legend().get_texts()[0].get_text() == "two"
    for bad in ({"a": []}, {"a": [float("nan")]}, {}):
        with pytest.raises(BadValue):
            boxes(bad, xlabel="x")
