"""The search space of the papers, its seeded subsets, and the published protocol of the search."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from dreamlib.augment import Siamese
from dreamlib.companion.profiles import profiles
from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.data import load
from dreamlib.distillation.evaluate import Evaluation
from dreamlib.networks import NetworkSpec, build
from dreamlib.networks.training import SGD
from dreamlib.recipes import Search, SearchSpace, apply, architecture

SMALL = SearchSpace(
    width=(8, 16), depth=(1, 2), norm=("none", "batch"), activation=("relu",), pooling=("avg",)
)
# Records name what was drawn: another draw would leave them behind.
PINNED = ["w32-d2-batch-sigmoid-max", "w256-d2-batch-leakyrelu-max", "w256-d2-instance-relu-none"]
DSA = "color_crop_cutout_flip_scale_rotate"


def test_the_papers_space_has_720_different_networks() -> None:
    space = SearchSpace()
    specs = list(space)
    assert len(space) == len(specs) == len(set(specs)) == len(set(map(architecture, specs))) == 720
    for axis, kinds in (("width", 4), ("depth", 4), ("norm", 5), ("activation", 3), ("pooling", 3)):
        counts = Counter(getattr(spec, axis) for spec in specs)
        assert set(counts.values()) == {720 // kinds}, axis
    assert {spec.width for spec in specs} == {32, 64, 128, 256}
    assert {spec.depth for spec in specs} == {1, 2, 3, 4}


def test_an_architecture_in_one_word() -> None:
    assert architecture(NetworkSpec()) == "w128-d3-instance-relu-avg"


def test_a_sample_is_in_order_and_contains_every_smaller_one() -> None:
    space, order = SearchSpace(), {spec: place for place, spec in enumerate(SearchSpace())}
    for count in (1, 7, 40, 720):
        sample = space.sample(count)
        assert len(set(sample)) == count
        assert sorted(sample, key=order.__getitem__) == list(sample)
    assert set(space.sample(7)) < set(space.sample(40))
    assert space.sample(40, seed=1) != space.sample(40)
    assert space.sample(720) == tuple(space)


def test_what_two_spaces_share_has_one_fate() -> None:
    large = set(SearchSpace(width=(8, 16, 32), depth=(1, 2)).sample(60))
    small = SearchSpace(width=(8, 16), depth=(1, 2))
    shared = [spec for spec in small if spec in large]
    assert set(small.sample(len(shared))) == set(shared)


def test_samples_are_the_ones_that_were_measured() -> None:
    assert [architecture(spec) for spec in SearchSpace().sample(3)] == PINNED


def test_samples_favour_nothing() -> None:
    drawn = Counter(spec.norm for seed in range(40) for spec in SearchSpace().sample(18, seed))
    assert all(144 * 0.7 < count < 144 * 1.3 for count in drawn.values())


@pytest.mark.parametrize(
    ("axes", "error", "says"),
    [
        ({"norm": ()}, BadValue, "empty search space: it has no norm"),
        ({"width": ()}, BadValue, "it has no width"),
        ({"depth": (1, 1)}, BadValue, r"depth is \(1, 1\); expected every value once"),
        ({"width": (0,)}, BadValue, "width of convnet is 0"),
        ({"activation": ("rellu",)}, UnknownName, "did you mean 'relu'"),
    ],
)
def test_a_space_that_cannot_be_is_named(axes: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        SearchSpace(**axes)


@pytest.mark.parametrize("count", [0, -1, 9])
def test_a_sample_that_cannot_be_is_named(count: int) -> None:
    with pytest.raises(BadValue, match=f"{count} architectures of a search space of 8; expected 1 to 8"):
        SMALL.sample(count)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"count": 9}, "9 architectures of a search space of 8"),
        ({"networks": 0}, "networks is 0; expected at least 1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"top": 0.0}, "top is 0.0; expected a share above 0"),
        ({"top": 1.5}, "top is 1.5"),
    ],
)
def test_a_search_that_cannot_be_is_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(BadValue, match=says):
        Search(**{"space": SMALL, **values})


def test_the_published_protocol() -> None:
    search = profiles["paper"].search
    assert search == Search()
    assert (len(search.architectures()), search.selected()) == (720, 36)

    def judged(method: str, dataset: str = "cifar10") -> Evaluation:
        facts = {"dataset": dataset, "ipc": 50}
        return apply(Evaluation(), search.judging(method, dataset, 50), facts)[0]

    proxy, early, whole = judged("dm"), judged("early-stopping"), judged("whole")
    for one in (proxy, early, whole):
        assert (one.networks, one.also_on, one.learner.batch) == (5, "cifar10", 250)
        assert (one.learner.lr, one.learner.momentum, one.learner.weight_decay) == (0.01, 0.9, 5e-4)
    assert proxy == early
    assert proxy.learner == SGD(epochs=200, batch=250, augment=Siamese(DSA))
    assert (
        proxy.stop(10) == 2 * 200
    )  # "one training epoch on the small (50 images/class) proxy sets includes 2 batches"
    assert whole.stop(10) is None
    assert whole.learner == SGD(epochs=200, batch=250)
    assert judged("dsa", "mnist").learner.augment.strategy == DSA.replace("_flip", "")


@pytest.mark.parametrize("profile", ["quick", "cpu"])
def test_smaller_searches_fit_their_data(profile: str) -> None:
    search = profiles[profile].search
    specs = search.architectures()
    assert 2 <= search.selected() <= len(specs) == search.count < len(search.space)
    shape = load("digits").shape if profile == "quick" else (3, 32, 32)
    for spec in search.space:
        build(spec, shape, 10, device="meta")
