"""The last layer's gradient is a weighted feature: against automatic differentiation, and where it stops being so."""

import lastlayer
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import generator

from dreamlib.core.errors import BadValue
from dreamlib.criteria import Matching
from dreamlib.data import ClassData
from dreamlib.distillation.recipe import Recipe
from dreamlib.matchers import Feature, Gradient
from dreamlib.networks import NetworkSpec

CONVNET = NetworkSpec(depth=2, width=8)
SPECS = [
    CONVNET,
    NetworkSpec(depth=2, width=8, norm="batch"),
    NetworkSpec("resnet10", width=8, norm="batch"),
    NetworkSpec("resnet10ap", width=8, norm="batch"),
    NetworkSpec("alexnet", width=8),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}-{spec.norm}")
@pytest.mark.parametrize("label", [0, 7])
def test_every_equation_holds_to_the_last_digits(few: ClassData, spec: NetworkSpec, label: int) -> None:
    images = lastlayer.some_images(few, 8)[label]
    errors = lastlayer.check_equations(lastlayer.untrained(spec, few), images, label)
    assert set(errors) == {"(1)", "(3)", "(4)", "(5)", "losses"}
    assert max(errors.values()) < 1e-12


def test_the_check_sees_a_wrong_equation(few: ClassData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lastlayer, "coefficients", lambda logits, labels: logits.softmax(1))
    errors = lastlayer.check_equations(lastlayer.untrained(CONVNET, few), lastlayer.some_images(few, 8)[1], 1)
    assert errors["(3)"] > 0.1
    assert errors["(4)"] > 0.1


def test_equal_probabilities_are_needed_for_equation_5(few: ClassData) -> None:
    network, images = lastlayer.untrained(CONVNET, few), lastlayer.some_images(few, 8)[2]
    features = network.features(images).detach()
    labels = torch.full((8,), 2)
    mean = lastlayer.mean_gradient(features, network.classifier(features).detach(), labels)
    gap = (mean - lastlayer.uniform_gradient(features, 2, 10)).norm() / mean.norm()
    assert 0.01 < gap < 1
    equal = lastlayer.mean_gradient(features, torch.zeros(8, 10), labels)
    torch.testing.assert_close(equal, lastlayer.uniform_gradient(features, 2, 10))


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_weights_add_up_to_nothing_and_their_squares_to_the_constant(classes: int) -> None:
    constants = lastlayer.uniform_coefficients(classes - 1, classes)
    assert float(constants.sum()) == pytest.approx(0, abs=1e-12)
    assert float(constants.square().sum()) == pytest.approx((classes - 1) / classes)
    logits, labels = torch.randn(6, classes, generator=generator()), torch.arange(6) % classes
    weights = lastlayer.coefficients(logits.double(), labels)
    torch.testing.assert_close(weights.sum(1), torch.zeros(6, dtype=torch.float64))
    assert (weights.gather(1, labels.unsqueeze(1)) < 0).all()
    with pytest.raises(BadValue, match=f"class {classes} of {classes}; expected 0"):
        lastlayer.uniform_coefficients(classes, classes)


def test_holding_the_weights_changes_the_gradient_but_not_the_loss(few: ClassData) -> None:
    network, labels = lastlayer.untrained(CONVNET, few).requires_grad_(False), torch.arange(10)
    real, synthetic = lastlayer.some_images(few, 6), lastlayer.some_images(few, 3, seed=1)
    held, whole = lastlayer.WeightedFeature(), Gradient("mse", "classifier")
    values = [
        m.distance(*(m.measure(network, x, labels, differentiable=False) for x in (real, synthetic)))
        for m in (held, whole)
    ]
    torch.testing.assert_close(*values)
    one, other = (lastlayer.image_gradient(m, network, real, synthetic, labels) for m in (held, whole))
    cosine = float(F.cosine_similarity(one.flatten(), other.flatten(), dim=0))
    assert 0.9 < cosine < 0.99999


def test_probabilities_that_are_equal_have_no_distance_from_equal() -> None:
    equal = lastlayer.probabilities_far_from_uniform(torch.full((3, 4), 2.5))
    assert equal["largest"] == pytest.approx(0.25)
    assert equal["entropy"] == pytest.approx(1)
    for name in ("distance", "weight_gap", "image_gap"):
        assert equal[name] == pytest.approx(0, abs=1e-12)
    sure = lastlayer.probabilities_far_from_uniform(torch.tensor([[100.0, 0, 0, 0]] * 2))
    assert sure["distance"] == pytest.approx(0.75)
    assert sure["weight_gap"] == pytest.approx(3)
    assert sure["image_gap"] == pytest.approx(0, abs=1e-12)


def test_uniformity_is_seeded_and_counts_every_prediction(few: ClassData) -> None:
    images = lastlayer.some_images(few, 4).flatten(0, 1)
    one, two, three = (lastlayer.uniformity(CONVNET, images, 10, networks=3, seed=s) for s in (0, 0, 1))
    assert one.largest.shape == one.entropy.shape == (3, 40)
    assert [row["entropy"] for row in one.rows()] == pytest.approx(one.entropy.mean(1).tolist())
    assert np.array_equal(one.largest, two.largest)
    assert not np.array_equal(one.largest, three.largest)
    assert (one.largest > 0.1).all()
    with pytest.raises(BadValue, match="0 networks"):
        lastlayer.uniformity(CONVNET, images, 10, networks=0)


def test_agreement_of_a_loss_with_itself_is_perfect_and_networks_learn(few: ClassData) -> None:
    recipe = Recipe(criterion=Matching(real_batch=8), network=CONVNET)
    found = lastlayer.agreement(
        few,
        recipe,
        lastlayer.some_images(few, 2),
        steps=(30, 0),
        networks=2,
        losses={"itself": Feature(), "last": Gradient("mse", "classifier")},
    )
    assert [one.step for one in found] == [0, 30]
    for one in found:
        assert one.cosine["itself"] == pytest.approx(1, abs=1e-6)
        assert one.ratio["itself"] == pytest.approx(1)
        assert one.accuracy.shape == (2,)
        assert [row["ratio: last"] for row in one.rows()] == one.ratio["last"].tolist()
    assert found[1].accuracy.mean() > found[0].accuracy.mean() + 20
    assert found[0].cosine["last"].mean() > 0.98
    assert found[0].ratio["last"].mean() == pytest.approx(0.9, abs=0.05)
    with pytest.raises(BadValue, match="steps"):
        lastlayer.agreement(few, recipe, lastlayer.some_images(few, 2), steps=(-1,))


def test_images_too_small_for_an_architecture_are_named() -> None:
    fits, refused = lastlayer.fitting([CONVNET, NetworkSpec("vgg11", width=8)], (1, 8, 8), 10)
    assert fits == [CONVNET]
    assert "8x8 is too small" in refused[NetworkSpec("vgg11", width=8)]


def test_changes_are_compared_from_a_common_start() -> None:
    start, move = torch.zeros(2, 3, 1, 4, 4), torch.randn(2, 3, 1, 4, 4, generator=generator())
    one = {0: start, 5: start + move}
    assert lastlayer.same_change(one, {0: start, 9: start + 3 * move}) == pytest.approx(1)
    assert lastlayer.same_change(one, {0: start, 9: start - move}) == pytest.approx(-1)
    with pytest.raises(BadValue, match="start from different images"):
        lastlayer.same_change(one, {0: start + 1, 5: start})
