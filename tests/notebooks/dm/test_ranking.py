"""Rank correlations against scipy's, and what a search finds against a search by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import ranking
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from dreamlib.core.errors import BadValue
from dreamlib.core.registry import as_data
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import architecture

Make = Callable[..., dict[str, Any]]
few = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12)


@settings(max_examples=150, deadline=None)
@given(few)
def test_correlations_are_scipys_ties_included(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(ranking.spearman(x, y))
        assert np.isnan(ranking.kendall(x, y))
        return
    assert ranking.spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert ranking.kendall(x, y) == pytest.approx(kendalltau(x, y).statistic)


def test_rows_are_correlated_one_by_one() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.integers(5, size=(2, 7, 9)).astype(float)
    for measure in (ranking.spearman, ranking.kendall):
        assert measure(x, y) == pytest.approx([float(measure(a, b)) for a, b in zip(x, y, strict=True)])


def test_an_architecture_has_the_name_it_was_drawn_by() -> None:
    spec = NetworkSpec(depth=2, width=16, norm="none", pooling="max", activation="sigmoid")
    assert ranking.architecture(as_data(spec)) == architecture(spec) == "w16-d2-none-sigmoid-max"


WIDTHS = (4, 8, 12, 16, 20, 24)
HELD_OUT = {"whole": (10, 20, 30, 40, 50, 60), "dm": (12, 33, 31, 35, 30, 34)}
TESTED = {"whole": (11, 21, 31, 41, 51, 61), "dm": (12, 30, 31, 36, 33, 32)}


@pytest.fixture
def records(make: Make) -> list[dict[str, Any]]:
    """Six architectures, trained twice each on the whole data set and on DM's."""
    out = []
    for method in ("whole", "dm"):
        for place, width in enumerate(WIDTHS):
            one = make(method, "cifar10@holdout", 0 if method == "whole" else 50, key=f"{method}{width}")
            network = as_data(NetworkSpec(width=width))
            one["evaluation"] = {**one["evaluation"], "network": network}
            one["accuracies"] = [HELD_OUT[method][place] - 1.0, HELD_OUT[method][place] + 1.0]
            one["accuracies_on"] = {"cifar10": [TESTED[method][place] - 2.0, TESTED[method][place] + 2.0]}
            one["steps_trained"] = 36000 if method == "whole" else 400
            one["images_stored"] = 45000 if method == "whole" else 500
            out.append(one)
    return out


def names(*widths: int) -> list[str]:
    return [f"w{width}-d3-instance-relu-avg" for width in widths]


def test_a_frame_has_both_accuracies_of_every_architecture(records: list[dict[str, Any]]) -> None:
    frame = ranking.search_frame(records, 50)
    assert list(frame.columns) == list(ranking.COLUMNS)
    line = frame[(frame.method == "dm") & (frame.architecture == names(16)[0])].iloc[0]
    assert (line.validation, line.test, line.n) == (35.0, 36.0, 2)
    assert line.validation_std == pytest.approx(2**0.5)
    assert line.test_std == pytest.approx(8**0.5)
    assert (line.distill_seconds, line.train_seconds, line.images_stored) == (3.0, 4.0, 500)


def test_seconds_of_a_shared_machine_are_none_and_neither_is_their_sum(records: list[dict[str, Any]]) -> None:
    shared = {"device": "AMD EPYC, 1 thread", "seconds": {"distill": 3.0, "evaluate": 4.0, "core": 2.0}}
    one = next(place for place, found in enumerate(records) if found["method"] == "dm")
    records[one] |= shared
    frame = ranking.search_frame(records, 50)
    assert frame[["distill_seconds", "train_seconds"]].isna().sum().tolist() == [1, 1]
    summary = ranking.summary(ranking.Ranking(frame, "dm"), 3)
    assert np.isnan(summary["training (s)"])
    assert ranking.told(pd.DataFrame([summary])).training.tolist() == ["–"]


def test_a_frame_is_of_one_budget_and_the_whole_set_belongs_to_all(records: list[dict[str, Any]]) -> None:
    early = {**records[0], "method": "early-stopping"}
    early["evaluation"] = {**early["evaluation"], "stop_ipc": 10}
    assert set(ranking.search_frame([*records, early], 10).method) == {"whole", "early-stopping"}
    assert set(ranking.search_frame([*records, early], 50).method) == {"whole", "dm"}
    assert ranking.search_frame([], 50).empty


def test_two_records_of_one_architecture_are_refused(records: list[dict[str, Any]]) -> None:
    with pytest.raises(BadValue, match="dm has two records of w24-d3-instance-relu-avg"):
        ranking.search_frame([*records, {**records[-1], "seed": 1}], 50)


def test_the_best_are_chosen_on_held_out_images(records: list[dict[str, Any]]) -> None:
    dm = ranking.Ranking(ranking.search_frame(records, 50), "dm")
    assert [dm.architectures[place] for place in dm.top(3)] == names(16, 24, 8)
    measured = dm.correlation(3)
    # On test images 16, 24, 8 have 36, 32, 30 under DM and 41, 61, 21 under the whole set.
    assert measured["n"] == 3
    assert measured["spearman"] == pytest.approx(0.5)
    assert measured["kendall"] == pytest.approx(1 / 3)
    everything = dm.correlation()
    assert everything["n"] == 6
    assert everything["spearman"] == pytest.approx(spearmanr(TESTED["dm"], TESTED["whole"]).statistic)
    assert everything["kendall"] == pytest.approx(kendalltau(TESTED["dm"], TESTED["whole"]).statistic)
    assert dm.correlation(99) == everything


def test_of_equals_the_first_of_the_space_is_chosen(records: list[dict[str, Any]]) -> None:
    for one in records:
        one["accuracies"] = [10.0, 10.0]
    assert ranking.Ranking(ranking.search_frame(records, 50), "dm").top(2).tolist() == [0, 1]


def test_an_architecture_that_failed_takes_no_part(records: list[dict[str, Any]]) -> None:
    there = [one for one in records if one["key"] not in ("whole12", "dm20")]
    dm = ranking.Ranking(ranking.search_frame(there, 50), "dm")
    assert dm.architectures == names(4, 8, 16, 24)
    assert dm.whole.tolist() == [11.0, 21.0, 41.0, 61.0]
    shown = ranking.by_architecture(ranking.search_frame(there, 50))
    assert shown[shown.architecture == names(20)[0]].DM.tolist() == ["–"]


def test_proxies_are_compared_set_by_set(records: list[dict[str, Any]]) -> None:
    dm = ranking.Ranking(ranking.search_frame(records, 50), "dm")
    whole = ranking.Ranking(ranking.search_frame(records, 50), "whole")
    one = ranking.difference({0: dm}, {0: whole, 1: whole})
    assert one.difference == pytest.approx(dm.correlation()["spearman"] - 1)
    assert (one.sets, one.verdict) == (1, None)  # forty architectures are no more than one set
    gaps = [ranking.difference({0: dm}, {0: whole}, count).difference for count in (3, None)]
    assert gaps[0] == pytest.approx(-0.5)
    assert ranking.difference({0: dm}, {1: whole}).sets == 0
    dm.proxy = np.full(6, 10.0)  # nothing is ranked
    assert ranking.difference({0: dm}, {0: whole}).sets == 0
    whole.architectures = whole.architectures[1:]
    with pytest.raises(BadValue, match="different architectures"):
        ranking.difference({0: dm}, {0: whole})


def test_a_summary_is_what_the_search_finds_and_costs(records: list[dict[str, Any]]) -> None:
    frame = ranking.search_frame(records, 50)
    line = ranking.summary(ranking.Ranking(frame, "dm"), 3)
    assert line["found"] == names(16)[0]
    assert (line["held-out accuracy"], line["test accuracy"], line["place"]) == (35.0, 41.0, 3)
    assert (line["distilling (s)"], line["training (s)"], line["images stored"]) == (3.0, 24.0, 500)
    assert line["spearman, best 3"] == pytest.approx(0.5)
    best = ranking.summary(ranking.Ranking(frame, "whole"), 3)
    assert (best["found"], best["place"], best["spearman, all"]) == (names(24)[0], 1, pytest.approx(1.0))
    missing = ranking.summary(ranking.Ranking(frame, "dsa"), 3)
    shown = ranking.told(pd.DataFrame([line, best, missing]))
    assert shown["test accuracy (%)"].tolist()[:2] == ["41.0 ± 2.8 (3.)", "61.0 ± 2.8 (1.)"]
    assert shown["found"].tolist()[2] == "missing"
    assert shown["images stored"].tolist()[:2] == ["500", "45,000"]
    assert shown["Spearman, best 3"].tolist()[:2] == ["0.50", "1.00"]


def test_many_networks_are_counted_in_the_settings(records: list[dict[str, Any]]) -> None:
    merged = ranking.merged(records)
    assert {one["evaluation"]["network"] for one in merged} == {"6 architectures, listed above"}
    assert {one["evaluation"]["learner"]["epochs"] for one in merged} == {"36,000 steps", "400 steps"}
    assert records[0]["evaluation"]["network"]["width"] == 4


def test_a_ranking_is_drawn_with_the_chosen_ones_filled() -> None:
    axes = ranking.scatter([1, 2, 3], [10, 30, 20], [False, True, True], method="dm", title="DM")
    others, best = axes.collections
    assert best.get_offsets().tolist() == [[2, 30], [3, 20]]
    assert others.get_offsets().tolist() == [[1, 10]]
    assert best.get_label() == "best 2 on held-out images"
    assert len(best.get_facecolor())
    assert not len(others.get_facecolor())
    with pytest.raises(BadValue, match="3 and 2 scores"):
        ranking.scatter([1, 2, 3], [1, 2], [True, False, True], method="dm")
