"""The samplers as parts: what they choose, what they refuse, and a new one in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import reference
import torch
import torch.nn.functional as F
from tiny import NETWORK, generator, recipe
from torch import Tensor

from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.data import ClassData
from dreamlib.distillation.loop import distill
from dreamlib.networks import Network, build, initialise
from dreamlib.recipes import methods
from dreamlib.samplers import (
    SAMPLERS,
    GradientNormBand,
    Random,
    Representative,
    Sampler,
    View,
    WeightedRepresentative,
    gradient_norms,
    register,
)

ALL = [
    Random(),
    Representative(),
    Representative(each=2),
    Representative(pool=40),
    GradientNormBand(pool=None),
]


def network(data: ClassData, seed: int = 0) -> Network:
    net = build(NETWORK, data.shape, data.num_classes)
    initialise(net, generator(seed))
    return net.requires_grad_(False).eval()


def view(data: ClassData, batch: int = 8, seed: int = 0) -> View:
    return View(data, network(data), batch, generator(seed))


@pytest.mark.parametrize("sampler", ALL, ids=str)
def test_a_choice_is_different_images_of_each_class_by_the_views_generator(
    data: ClassData, sampler: Sampler
) -> None:
    before = torch.get_rng_state()
    chosen = sampler.choose(view(data))
    assert chosen.shape == (10, 8)
    assert chosen.dtype == torch.int64
    assert all(len(set(row.tolist())) == 8 for row in chosen)
    assert bool((chosen < data.sizes[:, None]).all())
    assert chosen.equal(sampler.choose(view(data)))
    assert not chosen.equal(sampler.choose(view(data, seed=1)))
    assert before.equal(torch.get_rng_state())


def test_random_reaches_every_image(few: ClassData) -> None:
    source = generator()
    seen = torch.cat([Random().choose(View(few, network(few), 4, source)) for _ in range(20)], dim=1)
    assert all(set(row.tolist()) == set(range(12)) for row in seen)


def embedding(data: ClassData, net: Network, label: int) -> Tensor:
    with torch.no_grad():
        index = torch.arange(int(data.sizes[label]))[None]
        return net.features(data.take(index, torch.tensor([label]))[0])


def test_representative_is_the_image_nearest_to_each_centre(data: ClassData) -> None:
    """DREAM: cluster the embeddings of a class, take the image nearest to each centre."""
    look = view(data, batch=6)
    chosen = Representative(rounds=0).choose(look)
    assert Representative(rounds=0).choose(view(data, batch=6)).equal(chosen)
    full = Representative().choose(view(data, batch=6))
    for label in (8, 3):  # the smallest class and the largest
        points = embedding(data, look.network, label)
        # With no round of k-means the centres are the random points it starts from, and those are what it takes.
        centres, _ = reference.kmeans(points, points[chosen[label]])
        expected = reference.nearest(points, centres)
        assert full[label].tolist() == expected


def test_representative_space_decides_what_the_network_sees(data: ClassData) -> None:
    own, unit, normalised = (Representative(space=name) for name in ("stored", "unit", "normalised"))
    assert not unit.choose(view(data)).equal(normalised.choose(view(data)))
    # As the method's own code holds its images: DC's, DSA's and DM's are normalised, IDC's and DREAM's are not.
    for space, same in (("unit", unit), ("normalised", normalised)):
        assert own.choose(replace(view(data), space=space)).equal(same.choose(view(data)))
    with pytest.raises(UnknownName, match="unknown space of an embedding 'pixel'"):
        Representative(space="pixel").choose(view(data))
    seen: list[Tensor] = []
    look = view(data)
    look.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    original = look.network.features
    look.network.features = lambda images: (seen.append(images), original(images))[1]
    Representative(space="unit").choose(look)
    assert min(float(images.min()) for images in seen) == 0
    assert max(float(images.max()) for images in seen) == 1


def test_representative_pool_bounds_what_is_embedded(data: ClassData) -> None:
    look = view(data)
    counted: list[int] = []
    original = look.network.features
    look.network.features = lambda images: (counted.append(len(images)), original(images))[1]
    Representative(pool=20).choose(look)
    assert counted == [20] * 10


def test_a_pool_is_drawn_anew_at_every_choice(data: ClassData) -> None:
    look = view(data)
    first, mask = look.candidates(20)
    second, _ = look.candidates(20)
    assert bool(mask.all())
    assert first.shape == (10, 20)
    assert not first.sort(1).values.equal(second.sort(1).values)


@pytest.mark.parametrize("most", [None, 137, 1000])
def test_candidates_above_the_largest_class_are_all_of_it(data: ClassData, most: int | None) -> None:
    index, mask = view(data).candidates(most)
    assert mask.sum(1).tolist() == data.sizes.tolist()
    assert all(len(set(row[keep].tolist())) == int(keep.sum()) for row, keep in zip(index, mask, strict=True))


def test_candidates_between_the_smallest_and_the_largest_class_are_as_many_as_the_smallest_has(
    data: ClassData,
) -> None:
    index, _ = view(data).candidates(135)
    assert index.shape == (10, 130)


def test_fewer_candidates_than_the_batch_are_an_error(data: ClassData) -> None:
    with pytest.raises(BadValue, match="5 candidates of each class, and 8 are to be chosen of them"):
        Representative(pool=5).choose(view(data))


def test_each_must_divide_the_batch(data: ClassData) -> None:
    with pytest.raises(BadValue, match="each=3 does not divide the real batch 8"):
        Representative(each=3).choose(view(data))


def test_each_takes_neighbours(data: ClassData) -> None:
    look = view(data, batch=8)
    chosen = Representative(each=4).choose(look)
    centres = Representative(each=4, rounds=0).choose(view(data, batch=8))
    assert chosen.shape == centres.shape == (10, 8)
    points = embedding(data, look.network, 3)
    pairs = points[chosen[3]].view(2, 4, -1)
    within = (pairs - pairs.mean(1, keepdim=True)).square().sum()
    across = (pairs - pairs.mean((0, 1))).square().sum()
    assert float(within) < float(across)


@pytest.mark.parametrize("each", [1, 2])
def test_shares_are_those_of_the_clusters_among_the_images_of_the_class(data: ClassData, each: int) -> None:
    choice, shares = WeightedRepresentative(each=each).choose(view(data))
    assert choice.equal(Representative(each=each).choose(view(data)))
    assert shares.shape == choice.shape
    assert shares.sum(1).allclose(torch.ones(data.num_classes))
    for label, size in enumerate(data.sizes.tolist()):
        members = shares[label] * each * size
        assert members.allclose(members.round(), atol=1e-3)
        assert members.min() > 0.9  # no cluster is empty
    assert shares.std() > 0


def plain_norm(net: Network, image: Tensor, label: Tensor) -> float:
    net.requires_grad_(True)
    loss = F.cross_entropy(net(image[None]), label[None])
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    net.requires_grad_(False)
    return float(torch.cat([gradient.flatten() for gradient in gradients]).norm())


def test_gradient_norms_are_those_of_single_images(data: ClassData) -> None:
    net = network(data)
    images = data.take(torch.arange(3).expand(10, 3)).flatten(0, 1)
    labels = torch.arange(10).repeat_interleave(3)
    expected = [plain_norm(net, image, label) for image, label in zip(images, labels, strict=True)]
    for chunk in (7, 64):
        assert gradient_norms(net, images, labels, chunk).tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.5), (0.25, 0.75), (0.6, 1.0)])
def test_the_band_holds_images_of_the_quantiles_it_names(data: ClassData, low: float, high: float) -> None:
    look = view(data)
    chosen = GradientNormBand(low, high, pool=None).choose(look)
    for label in (8, 3):  # the smallest class and the largest
        size = int(data.sizes[label])
        images = data.take(torch.arange(size)[None], torch.tensor([label]))[0]
        norms = gradient_norms(look.network, images, torch.full((size,), label))
        rank = {int(n): place for place, n in enumerate(norms.argsort())}
        shares = [(rank[n] + 0.5) / size for n in chosen[label].tolist()]
        assert low <= min(shares)
        assert max(shares) <= high


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.5), (0.5, 0.5), (0.8, 0.2), (0.5, 1.1)])
def test_a_band_that_is_none_is_an_error(data: ClassData, low: float, high: float) -> None:
    with pytest.raises(BadValue, match="expected 0 <= low < high <= 1"):
        GradientNormBand(low, high).choose(view(data))


def test_a_band_too_narrow_for_the_batch_is_an_error(data: ClassData) -> None:
    with pytest.raises(
        BadValue, match=r"the band 0.5..0.52 holds [0-9] images of some class, fewer than the real batch 8"
    ):
        GradientNormBand(0.5, 0.52).choose(view(data))


def test_an_unknown_sampler_lists_the_known() -> None:
    with pytest.raises(UnknownName, match="unknown sampler 'representativ'") as caught:
        SAMPLERS["representativ"]
    assert all(name in caught.value.message for name in ("random", "representative", "gradient-norm"))
    assert caught.value.hint == "did you mean 'representative'?"
    assert [SAMPLERS.name_of(sampler) for sampler in (Random(), Representative())] == [
        "random",
        "representative",
    ]


@pytest.fixture
def brightest() -> Iterator[type]:
    """A sampler of a user's own: the whole of what has to be written."""

    @register("brightest")
    @dataclass(frozen=True)
    class Brightest:
        """The brightest of some candidates drawn at random."""

        every: int = 1
        pool: int = 10

        def choose(self, view: View) -> Tensor:
            index, mask = view.candidates(self.pool)
            light = view.data.unit(index).mean((2, 3, 4)).masked_fill(~mask, -1)
            return index.gather(1, light.topk(view.batch, dim=1).indices)

    yield Brightest
    del SAMPLERS._parts["brightest"]


def test_a_users_sampler_works_in_a_published_method(few: ClassData, brightest: type) -> None:
    method = methods["dm"].using(sampler=brightest(), name="dm+brightest")
    resolved, _ = method.resolve("digits", 1)
    assert resolved.matching.sampler == brightest()
    run = distill(few, recipe("dm", sampler=brightest(pool=12)), ipc=1)
    light = few.unit(torch.arange(12).expand(10, 12)).mean((2, 3, 4))
    assert run.criterion.choice.equal(light.topk(4, dim=1).indices)
    assert not run.stored["images"].equal(distill(few, recipe("dm"), ipc=1).stored["images"])
