"""Architecture search as cells: one proxy set for all networks, the data set itself as a set, both accuracies kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dreamlib.companion.cells import Cell, make_cell
from dreamlib.companion.forecast import expected_seconds
from dreamlib.companion.profiles import profiles
from dreamlib.companion.run import run_cells
from dreamlib.companion.search import search
from dreamlib.companion.store import Store
from dreamlib.companion.studies import study
from dreamlib.core.errors import BadValue
from dreamlib.data import ClassData, load
from dreamlib.distillation.evaluate import EvaluationRun
from dreamlib.distillation.loop import distill
from dreamlib.recipes import methods

pytestmark = pytest.mark.usefixtures("tiny")


def cells(*methods: str) -> list[Cell]:
    return [one for method in methods for one in search("tiny", method, "digits", 2, 0)]


def run(what: list[Cell], root: Path, **how: object) -> object:
    return run_cells(what, Store(root), **{"workers": 1, "device": "cpu", "progress": False, **how})


def test_a_proxy_is_distilled_once_for_all_architectures() -> None:
    found = cells("dm")
    assert [one.evaluation.network for one in found] == list(profiles["tiny"].search.space)
    assert len({one.set_key for one in found}) == len({one.lock_key for one in found}) == 1
    assert len({one.key for one in found}) == len(found) == 2
    assert {one.dataset for one in found} == {"digits@holdout"}
    assert {one.evaluation.also_on for one in found} == {"digits"}


def test_the_whole_set_has_no_budget_and_no_common_lock() -> None:
    found = cells("whole")
    assert [one.ipc for one in found] == [0, 0]
    assert len({one.lock_key for one in found}) == 2
    assert make_cell("tiny", "whole", "digits", 1, 0) == make_cell("tiny", "whole", "digits", 50, 0)
    two = study("dm/figureF1", profile="tiny", methods=("whole", "random"), ipcs=(1, 2))
    assert [(one.method, one.ipc) for one in two.cells] == [("whole", 0)] * 2 + [("random", 1)] * 2 + [
        ("random", 2)
    ] * 2


def test_all_proxies_are_trained_for_the_same_number_of_steps() -> None:
    data = load("digits")
    steps = {
        one.method: one.evaluation.stop(data.num_classes) for one in cells("random", "dm", "early-stopping")
    }
    assert set(steps.values()) == {3 * 1}  # 3 epochs of 20 images in batches of 32


def test_records_hold_both_accuracies_and_what_is_stored(tmp_path: Path) -> None:
    found = cells("whole", "random", "early-stopping")
    run(found, tmp_path)
    store, held_out = Store(tmp_path), load("digits@holdout")
    records = {one.name: store.record(one) for one in found}
    for record in records.values():
        assert record is not None
        assert len(record["accuracies"]) == len(record["accuracies_on"]["digits"]) == 2
        assert record["test_images"] == len(held_out.test_labels)
        assert record["data_fingerprint"] == held_out.fingerprint
        whole = record["method"] != "random"
        images = 10 * 20 if whole else 10 * 2  # the profile keeps 20 of each class
        assert (record["images_stored"], record["images_decoded"]) == (images, images)
        assert record["steps_trained"] == (2 * 7 if record["method"] == "whole" else 3)
        assert record["bytes_stored"] == images * 64 * (1 if whole else 4)
        assert (record["seconds"]["distill"] > 0) is not whole
    assert [path.name for path in (tmp_path / "tiny" / "sets").glob("*-whole-*")] == []
    assert len(list((tmp_path / "tiny" / "sets").glob("*-random-*.course.safetensors"))) == 1


def test_accuracies_are_those_of_the_same_networks_on_both_sets(tmp_path: Path) -> None:
    one = cells("whole")[1]
    run([one], tmp_path)
    record = Store(tmp_path).record(one)
    assert record is not None
    # Judged on the test set alone, the same networks have the same accuracy there.
    plain = replace(one, evaluation=replace(one.evaluation, also_on=""))
    data = load("digits@holdout")
    asked = replace(data, test_images=load("digits").test_images, test_labels=load("digits").test_labels)

    images = ClassData(data, per_class=20)
    alone = EvaluationRun(images, asked, plain.evaluation)
    while not alone.done:
        alone.advance()
    assert record["accuracies_on"]["digits"] == alone.accuracies


def test_an_architecture_that_diverges_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    first, second = cells("random")
    wild = replace(
        first, evaluation=replace(first.evaluation, learner=replace(first.evaluation.learner, lr=1e30))
    )
    summary = run([wild, second], tmp_path)
    assert (summary.computed, list(summary.failed)) == (1, [wild.name])
    assert "diverged" in summary.failed[wild.name]
    one = study("dm/figureF1", profile="tiny", methods=("random",), ipcs=(2,), store=Store(tmp_path))
    broken = replace(one, cells=(wild, second))
    assert list(broken.failures()) == [wild.name]
    assert one.failures() == {}


def test_two_workers_share_the_networks_of_the_whole_set(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = cells("whole")
    with store.lock(first) as mine, store.lock(second) as too:
        assert mine
        assert too
    proxy = cells("dm")
    with store.lock(proxy[0]) as mine, store.lock(proxy[1]) as too:
        assert mine
        assert not too


def test_the_time_left_counts_cells_of_a_method_as_their_mean(tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = cells("whole")
    for one, seconds in zip(whole, (2.0, 4.0), strict=True):
        store.write_record(one, {"accuracies": [1.0, 2.0], "seconds": {"distill": 0.0, "evaluate": seconds}})
    another = make_cell("tiny", "whole", "digits@holdout", 2, 1)
    assert expected_seconds([*whole, another], store) == 3.0


def test_the_whole_set_is_no_start_for_another() -> None:
    with pytest.raises(BadValue, match="none can start from it"):
        distill(ClassData(load("digits"), per_class=4), methods["whole"].recipe, 1)
