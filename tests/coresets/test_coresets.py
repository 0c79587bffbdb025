"""Coresets against greedy loops over single images, and forgetting against a sequence made by hand."""

from __future__ import annotations

import math

import pytest
import reference
import torch
from runs import finish
from tiny import NETWORK, generator, recipe
from torch import Tensor

from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.coresets import (
    CORESETS,
    Coreset,
    Forgetting,
    Herding,
    History,
    KCenter,
    Nearest,
    Noise,
    RealImages,
    RepresentativeImages,
)
from dreamlib.criteria.embedding import Embedding, EmbeddingTraining
from dreamlib.data import ClassData
from dreamlib.distillation.loop import Distillation, distill
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import build, initialise
from dreamlib.samplers import Random, Representative, View
from dreamlib.teachers.base import BESIDE

EMPTY = History(torch.zeros(10, 137, dtype=torch.int64))
ALL = [RealImages(), RepresentativeImages(), Herding(), Nearest(), KCenter(), Forgetting()]


def view(data: ClassData, batch: int = 6, seed: int = 0) -> View:
    network = build(NETWORK, data.shape, data.num_classes)
    initialise(network, generator(seed))
    return View(data, network.eval(), batch, generator(seed))


def embedding(data: ClassData, asked: Recipe) -> Distillation:
    """The training of the network that a recipe's coreset is chosen by, at its start."""
    assert asked.embedded is not None
    return Distillation(data, asked.embedded, ipc=1, seed=0)


@pytest.mark.parametrize("coreset", ALL, ids=str)
@pytest.mark.parametrize("batch", [1, 7, 130])
def test_a_choice_is_different_images_of_each_class(data: ClassData, coreset: Coreset, batch: int) -> None:
    chosen = coreset.choose(view(data, batch), EMPTY)
    assert chosen is not None
    assert chosen.shape == (10, batch)
    assert all(len(set(row.tolist())) == batch for row in chosen)
    assert bool((chosen < data.sizes[:, None]).all())
    again = coreset.choose(view(data, batch), EMPTY)
    assert again is not None
    assert chosen.equal(again)


def nearest_to_the_mean(of_class: Tensor, count: int) -> list[int]:
    return reference.nearest(of_class, of_class.mean(0, keepdim=True), count)


def points(data: ClassData, look: View, label: int) -> Tensor:
    with torch.no_grad():
        images = data.take(torch.arange(int(data.sizes[label]))[None], torch.tensor([label]))[0]
        return look.network.features(images)


@pytest.mark.parametrize("label", [8, 3])  # the smallest class and the largest
@pytest.mark.parametrize(
    ("coreset", "loop"),
    [(Herding(), reference.herding), (Nearest(), nearest_to_the_mean), (KCenter(), reference.k_center)],
)
def test_choices_in_an_embedding_are_those_of_the_loop(
    data: ClassData, coreset: Coreset, loop: object, label: int
) -> None:
    look = view(data, 9)
    chosen = coreset.choose(look, EMPTY)
    assert chosen is not None
    assert chosen[label].tolist() == loop(points(data, look, label), 9)


@pytest.mark.parametrize("coreset", [Herding(), KCenter()], ids=str)
def test_greedy_choices_grow_by_appending(data: ClassData, coreset: Coreset) -> None:
    small, large = (coreset.choose(view(data, batch), EMPTY) for batch in (3, 8))
    assert small is not None
    assert large is not None
    assert large[:, :3].equal(small)


def test_real_images_are_the_random_samplers(data: ClassData) -> None:
    chosen = RealImages().choose(view(data), EMPTY)
    assert chosen is not None
    assert chosen.equal(Random().choose(view(data)))


@pytest.mark.parametrize("space", ["normalised", "unit"])
def test_representative_images_are_the_representative_samplers(data: ClassData, space: str) -> None:
    chosen = RepresentativeImages(pool=50, space=space).choose(view(data), EMPTY)
    assert chosen is not None
    assert chosen.equal(Representative(pool=50, space=space).choose(view(data)))


def test_noise_chooses_no_image(data: ClassData) -> None:
    assert Noise().choose(view(data), EMPTY) is None


def test_noise_is_standard_normal_in_normalised_space(data: ClassData) -> None:
    start = Distillation(data, recipe("dc"), ipc=20, seed=0)
    start.advance()
    images = start.stored["images"]
    assert images.shape == (10, 20, 1, 8, 8)
    assert float(images.mean()) == pytest.approx(0, abs=0.05)
    assert float(images.std()) == pytest.approx(1, abs=0.05)
    clamped = Distillation(data, recipe("idc", initial=Noise()), ipc=2, seed=0)
    clamped.advance()
    assert 0 <= float(clamped.stored["images"].min()) < float(clamped.stored["images"].max()) <= 1


def test_forgetting_takes_what_was_forgotten_most(data: ClassData) -> None:
    counts = torch.zeros(10, 137, dtype=torch.int64)
    counts[:, 5], counts[:, 3], counts[:, 9] = 4, 3, 2
    counts[8, 130:] = 99  # padding of the smallest class
    chosen = Forgetting().choose(view(data, 3), History(counts))
    assert chosen is not None
    assert chosen.tolist() == [[5, 3, 9]] * 10


@pytest.mark.parametrize(("first", "expected"), [(False, [3, 9]), (True, [5, 3])])
def test_what_was_never_learned_is_forgotten_least_or_most(
    data: ClassData, first: bool, expected: list[int]
) -> None:
    counts = torch.zeros(10, 137, dtype=torch.int64)
    counts[:, 5], counts[:, 3], counts[:, 9] = -1, 3, 2
    coreset = Forgetting(unlearned_first=first)
    chosen = coreset.choose(view(data, 2), History(counts))
    assert chosen is not None
    assert chosen.tolist() == [expected] * 10
    fewest = int(data.padded_index()[1].sum(1).min())  # the others of such a class are padding
    whole = coreset.choose(view(data, fewest), History(counts))
    assert whole is not None
    assert (5 in whole[8].tolist()[-1:]) != first
    assert whole[8].sort().values.tolist() == list(range(fewest))


def test_what_was_never_learned_carries_no_count() -> None:
    with pytest.raises(BadValue, match="carry 0, like a count"):
        Embedding(unlearned=0).check()


def test_ties_in_forgetting_are_broken_by_the_views_generator(data: ClassData) -> None:
    first, second = (Forgetting().choose(view(data, 6, seed), EMPTY) for seed in (0, 1))
    assert first is not None
    assert second is not None
    assert not first.equal(second)


def test_forgetting_counts_a_sequence_made_by_hand(few: ClassData) -> None:
    """Twelve images of each class, four visits each; every class has the same four histories."""
    learning = embedding(few, recipe("forgetting")).criterion
    assert isinstance(learning, EmbeddingTraining)
    patterns = [(0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 1, 1), (1, 1, 0, 0)]
    for visit in range(4):
        order = torch.randperm(120, generator=generator(visit))
        for part in order.split(50):
            right = torch.tensor([bool(patterns[int(n) % 12 % 4][visit]) for n in part])
            learning.count_forgetting(part[None], right[None])
    expected = [reference.forgetting([bool(right) for right in pattern]) for pattern in patterns]
    assert expected == [math.inf, 2, 0, 1]
    # Images that were never right are told apart.
    assert learning.forgotten.tolist() == [[-1, 2, 0, 1] * 3] * 10


def test_forgetting_follows_the_training_of_the_embedding(data: ClassData) -> None:
    """Record every visit of a real training, classes of different sizes included, and count again by hand."""
    run = embedding(data, recipe("forgetting", initial__epochs=3, embedding__lr=0.05))
    learning = run.criterion
    assert isinstance(learning, EmbeddingTraining)
    training = learning.training
    assert training.watch is not None
    visits: dict[int, list[bool]] = {n: [] for n in range(data.total)}
    told = training.watch

    def record(index: Tensor, correct: Tensor) -> None:
        for n, right in zip(index[0].tolist(), correct[0].tolist(), strict=True):
            visits[n].append(right)
        told(index, correct)

    training.watch = record
    finish(run)
    assert {len(seen) for seen in visits.values()} == {3}
    counts = [reference.forgetting(visits[n]) for n in range(data.total)]
    most = max(count for count in counts if count < math.inf)
    assert most >= 1
    _, mask = data.padded_index()
    found = run.snapshots[3][f"{BESIDE}forgotten"][mask].tolist()
    assert found == [count if count < math.inf else -1 for count in counts]
    assert -1 in found


def test_the_nearest_image_is_herdings_first_choice_and_the_second_is_not(data: ClassData) -> None:
    chosen = [coreset.choose(view(data, 9), EMPTY) for coreset in (Herding(), Nearest(), KCenter())]
    herding, nearest, k_center = (rows for rows in chosen if rows is not None)
    assert herding[:, 0].equal(nearest[:, 0])
    assert k_center[:, 0].equal(nearest[:, 0])
    assert not herding.sort(1).values.equal(nearest.sort(1).values)


@pytest.mark.parametrize("method", ["herding", "k-center"])
def test_a_coreset_is_chosen_under_the_trained_embedding(few: ClassData, method: str) -> None:
    trained = distill(few, recipe(method, initial__epochs=4), ipc=2)
    untrained = distill(few, recipe(method, initial__epochs=1), ipc=2)
    assert trained.step == trained.steps == 1, "the network has a run of its own"
    assert trained.stored["images"].shape == (10, 2, 1, 8, 8)
    assert not trained.stored["images"].equal(untrained.stored["images"])


def test_an_unknown_coreset_lists_the_known() -> None:
    with pytest.raises(UnknownName, match=r"unknown coreset 'kcenter'.*k-center"):
        CORESETS["kcenter"]
