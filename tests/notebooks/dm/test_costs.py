"""Accuracy against what it costs."""

import numpy as np
import pandas as pd
import pytest
from costs import accuracy_seconds

from dreamlib.core.errors import BadValue


def test_accuracy_against_seconds_has_a_mark_for_every_method_and_a_line_for_every_report() -> None:
    frame = pd.DataFrame(
        {
            "method": ["dm", "dm", "dc"],
            "label": ["DM", "DM", "DC"],
            "seconds": [0.0, 40.0, 90.0],
            "mean": [50.0, 60.0, 55.0],
            "std": [1.0, 1.0, np.nan],
            "n": [3, 3, 1],
        }
    )
    ax = accuracy_seconds(frame, reported={"KIP, reported": 62.7})
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(labels) == ["DC (n = 1)", "DM (n = 3)", "KIP, reported"]
    assert ax.get_xlim()[1] == pytest.approx(1.3 * 90)
    for bad in (frame.drop(columns="n"), frame.iloc[:0]):
        with pytest.raises(BadValue, match="missing"):
            accuracy_seconds(bad)
