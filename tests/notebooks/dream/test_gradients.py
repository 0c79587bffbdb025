"""Gradient norms of the batches of samplers."""

from dataclasses import replace

import gradients
import numpy as np
import pytest
import torch
from gradients import gradient_study, histogram_pair

from dreamlib.containers import Pixels
from dreamlib.core.errors import BadValue
from dreamlib.core.streams import Streams
from dreamlib.criteria import Matching
from dreamlib.data import ClassData, load
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import NetworkSpec
from dreamlib.samplers import Representative, View, WeightedRepresentative
from dreamlib.samplers.base import Weighted

RECIPE = Recipe(criterion=Matching(real_batch=20), network=NetworkSpec(depth=2, width=8), per_class=60)


def test_gradient_study_is_seeded_and_measures_whole_batches() -> None:
    digits = load("digits")
    one, two = (gradient_study(digits, RECIPE, label=3, batches=4, warm_up=3, seed=5) for _ in range(2))
    assert one.class_name == "3"
    assert one.norms_all.shape == (60,)
    assert one.norms_random.shape == one.norms_representative.shape == (80,)
    assert one.errors_random.shape == one.errors_representative.shape == (4,)
    assert np.array_equal(one.errors_representative, two.errors_representative)
    assert set(one.norms_random) <= set(one.norms_all)


def test_the_whole_class_as_a_batch_has_no_distance_to_its_mean_gradient() -> None:
    recipe = Recipe(criterion=Matching(real_batch=60), network=NetworkSpec(depth=2, width=8), per_class=60)
    study = gradient_study(load("digits"), recipe, batches=2, warm_up=0)
    assert study.errors_random == pytest.approx(0, abs=1e-5 * study.mean_norm)
    # Every image is a cluster of its own, and has its share.
    assert study.errors_weighted == pytest.approx(0, abs=1e-5 * study.mean_norm)
    assert study.errors_representative == pytest.approx(0, abs=1e-5 * study.mean_norm)


def test_shares_weigh_the_gradients_of_single_images() -> None:
    data = ClassData(load("digits"), per_class=20)
    network = gradients._warm_network(data, RECIPE, Streams(0), 2)
    images, labels = (
        data.take(torch.arange(4).expand(2, 4), torch.tensor([0, 1])).flatten(0, 1),
        torch.arange(8) // 4,
    )
    shares = torch.arange(1.0, 9) / 36
    each = [gradients._mean_gradient(network, images[i : i + 1], labels[i : i + 1]) for i in range(8)]
    expected = sum(share * one for share, one in zip(shares, each, strict=True))
    found = gradients._mean_gradient(network, images, labels, shares, chunk=3)
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, gradients._mean_gradient(network, images, labels), atol=1e-3)


@pytest.mark.parametrize("space", ["unit", "normalised"])
def test_batches_are_those_of_the_methods_own_sampler(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[View] = []
    choose = WeightedRepresentative.choose

    def watched(self: WeightedRepresentative, view: View) -> Weighted:
        assert (self.each, self.rounds) == (2, 7)
        seen.append(view)
        return choose(self, view)

    monkeypatch.setattr(WeightedRepresentative, "choose", watched)
    sampler = Representative(each=2, rounds=7)
    recipe = replace(
        RECIPE,
        container=Pixels(space=space),
        criterion=Matching(real_batch=20, sampler=sampler),
        per_class=60,
    )
    study = gradient_study(load("digits"), recipe, label=3, batches=1, warm_up=0)
    assert [(view.space, view.batch, view.data.num_classes) for view in seen] == [(space, 20, 1)]
    assert study.errors_weighted != pytest.approx(study.errors_representative, rel=1e-3)


def test_a_class_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BadValue, match=r"class 10 of digits; expected 0\.\.9"):
        gradient_study(load("digits"), RECIPE, label=10)


def test_histogram_pair() -> None:
    ax = histogram_pair([1, 2, 3], np.arange(10.0), ("a", "b"), bins=5, xlabel="norm")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a (n = 3)", "b (n = 10)"]
    for bars in ax.containers:
        assert sum(patch.get_height() for patch in bars) == pytest.approx(100)
    with pytest.raises(BadValue, match="b: 0 values"):
        histogram_pair([1.0], [], ("a", "b"))
