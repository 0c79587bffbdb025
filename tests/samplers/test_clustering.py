"""k-means over all classes at once, against scikit-learn and against the plain loop."""

from __future__ import annotations

import pytest
import reference
import torch
from sklearn.cluster import KMeans
from tiny import generator
from torch import Tensor

from dreamlib.core.errors import BadValue
from dreamlib.samplers import Clusters, kmeans, nearest_images
from dreamlib.samplers.clustering import _ClusterSums, squared_distances

SIZES = (60, 41, 25)


def clouds(sizes: tuple[int, ...] = SIZES, width: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points (C, max, D) in float64 with a mask; the padding is far away and must not matter."""
    points = torch.randn(len(sizes), max(sizes), width, generator=generator(seed), dtype=torch.float64)
    mask = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
    return points.masked_fill(~mask[:, :, None], 1e3), mask


@pytest.mark.parametrize("tolerance", [1e-4, 0.05, 0.5])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_every_class_is_clustered_as_by_scikit_learn(k: int, tolerance: float) -> None:
    points, mask = clouds()
    start = kmeans(points, k, generator(1), mask=mask, rounds=0).centres
    found = kmeans(points, k, generator(1), mask=mask, tolerance=tolerance)
    for label, size in enumerate(SIZES):
        # scikit-learn's tolerance is relative to the mean variance of the features.
        spread = float(points[label, :size].var(0, unbiased=False).mean())
        theirs = KMeans(
            k, init=start[label].numpy(), n_init=1, algorithm="lloyd", max_iter=100, tol=tolerance / spread
        )
        theirs.fit(points[label, :size].numpy())
        torch.testing.assert_close(found.centres[label], torch.from_numpy(theirs.cluster_centers_))
        assert float(found.inertia[label]) == pytest.approx(theirs.inertia_, rel=1e-9)
        assert found.assignment[label, :size].tolist() == theirs.labels_.tolist()


def test_every_class_is_clustered_as_if_it_were_alone() -> None:
    points, mask = clouds()
    start = kmeans(points, 6, generator(2), mask=mask, rounds=0).centres
    found = kmeans(points, 6, generator(2), mask=mask)
    for label, size in enumerate(SIZES):
        centres, assignment = reference.kmeans(points[label, :size], start[label])
        torch.testing.assert_close(found.centres[label], centres)
        assert found.assignment[label, :size].tolist() == assignment


def test_neighbours_that_need_more_rounds_change_nothing() -> None:
    points, mask = clouds()
    first = kmeans(points, 5, generator(3), mask=mask)
    shuffled = points.clone()
    shuffled[1:] = shuffled[1:] * torch.linspace(1, 9, 4, dtype=torch.float64)
    second = kmeans(shuffled, 5, generator(3), mask=mask)
    torch.testing.assert_close(first.centres[0], second.centres[0])
    assert first.assignment[0].equal(second.assignment[0])
    assert not first.assignment[1].equal(second.assignment[1])


def test_the_start_is_k_different_points_of_the_generator() -> None:
    points, mask = clouds()
    start = kmeans(points, 9, generator(4), mask=mask, rounds=0).centres
    nearest = torch.cdist(start, points).min(2)
    torch.testing.assert_close(nearest.values, torch.zeros_like(nearest.values))
    assert all(len(set(row.tolist())) == 9 for row in nearest.indices)
    assert bool(mask.gather(1, nearest.indices).all())
    assert start.equal(kmeans(points, 9, generator(4), mask=mask, rounds=0).centres)
    assert not start.equal(kmeans(points, 9, generator(5), mask=mask, rounds=0).centres)


def test_padding_belongs_to_no_cluster() -> None:
    points, mask = clouds()
    found = kmeans(points, 4, generator(), mask=mask)
    assert bool((found.assignment[~mask] == 4).all())
    assert bool((found.assignment[mask] < 4).all())
    assert float(found.centres.abs().max()) < 10


def test_inertia_is_that_of_the_assignment() -> None:
    points, mask = clouds()
    found = kmeans(points, 4, generator(), mask=mask)
    for label, size in enumerate(SIZES):
        centres = found.centres[label, found.assignment[label, :size]]
        torch.testing.assert_close((points[label, :size] - centres).square().sum(), found.inertia[label])


def test_inertia_is_on_average_scikit_learns() -> None:
    points = torch.randn(40, 80, 6, generator=generator(6))
    ours = float(kmeans(points, 8, generator(7)).inertia.mean())
    theirs = [
        KMeans(8, init="random", n_init=1, random_state=seed).fit(p.numpy()).inertia_
        for seed, p in enumerate(points)
    ]
    assert ours <= 1.01 * sum(theirs) / len(theirs)


def test_float32_far_from_the_origin_agrees_with_float64() -> None:
    points, mask = clouds()
    exact = kmeans(points, 5, generator(8), mask=mask, rounds=0)
    assert exact.centres.dtype == torch.float64
    far = (points + 50).float()
    found = kmeans(far, 5, generator(8), mask=mask)
    assert found.centres.dtype == torch.float32
    # The same start in both precisions: scikit-learn in float64 from the points float32 started from.
    start = kmeans(far, 5, generator(8), mask=mask, rounds=0).centres
    for label, size in enumerate(SIZES):
        theirs = KMeans(5, init=start[label].double().numpy(), n_init=1, max_iter=100, tol=1e-4)
        theirs.fit(far[label, :size].double().numpy())
        assert float(found.inertia[label]) == pytest.approx(theirs.inertia_, rel=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_empty_clusters_are_refilled(seed: int) -> None:
    """k distinct points, one of them repeated 30 times: a random start nearly always leaves clusters empty."""
    distinct = torch.randn(2, 6, 3, generator=generator(seed)) * 10
    points = torch.cat([distinct, distinct[:, :1].expand(-1, 30, -1)], dim=1)
    found = kmeans(points, 6, generator(seed))
    assert [len(set(row.tolist())) for row in found.assignment] == [6, 6]
    assert float(found.inertia.max()) < 1e-3
    members = nearest_images(points, found)
    chosen = points.gather(1, members[:, :, None].expand(-1, -1, 3))
    assert all(len({tuple(p.tolist()) for p in row}) == 6 for row in chosen)


def test_the_refill_takes_the_points_farthest_from_their_centres() -> None:
    points = torch.zeros(1, 12, 1, dtype=torch.float64)
    points[0, 9:, 0] = torch.tensor([1.0, 5.0, 9.0])
    for seed in range(50):
        start = kmeans(points, 3, generator(seed), rounds=0).centres
        if start.unique().numel() == 1 and float(start.abs().max()) < 1e-9:
            break
    else:
        pytest.fail("no seed starts from three copies of zero")
    found = kmeans(points, 3, generator(seed), rounds=1)
    # All points belong to the first centre, which moves to the mean; the others go to the farthest points.
    assert sorted(found.centres.flatten().tolist()) == pytest.approx([15 / 12, 5.0, 9.0])


def test_more_clusters_than_distinct_points_is_no_error() -> None:
    found = kmeans(torch.ones(1, 7, 2), 3, generator())
    torch.testing.assert_close(found.centres, torch.ones(1, 3, 2))
    assert float(found.inertia) == 0


@pytest.mark.parametrize("k", [0, -1, 26])
def test_k_outside_the_smallest_class_is_an_error(k: int) -> None:
    points, mask = clouds()
    with pytest.raises(BadValue, match=rf"{k} clusters asked of class 2, which has 25 images.*1\.\.25"):
        kmeans(points, k, generator(), mask=mask)


def test_as_many_clusters_as_points_gives_every_point() -> None:
    points, mask = clouds()
    found = kmeans(points, 25, generator(), mask=mask)
    assert sorted(nearest_images(points, found, mask=mask)[2].tolist()) == list(range(25))


@pytest.mark.parametrize("each", [1, 2, 3])
def test_nearest_images_are_those_of_the_whole_class(each: int) -> None:
    points, mask = clouds()
    found = kmeans(points, 5, generator(9), mask=mask)
    chosen = nearest_images(points, found, each, mask)
    assert chosen.shape == (3, 5 * each)
    for label, size in enumerate(SIZES):
        assert chosen[label].tolist() == reference.nearest(points[label, :size], found.centres[label], each)


def test_the_nearest_image_need_not_be_a_member_and_can_serve_two_centres() -> None:
    """A cluster of two far points has its centre between them, where a point of another cluster lies."""
    points = torch.tensor([[[-10.0], [10.0], [0.1], [0.2]]]).double()
    centres = torch.tensor([[[0.0], [0.12]]]).double()
    assignment = torch.tensor([[0, 0, 1, 1]])
    found = Clusters(centres, assignment, torch.zeros(1), 0)
    assert nearest_images(points, found).tolist() == [[2, 2]]


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_tolerance_is_an_absolute_number(scale: float) -> None:
    """A class rests when its centres have moved by at most 1e-4 in all, however large its features are."""
    points, mask = clouds()

    def centres(rounds: int) -> Tensor:
        return kmeans(points * scale, 5, generator(3), mask=mask, rounds=rounds, tolerance=1e-4).centres

    def moved(rounds: int) -> float:
        """Of the class whose centres move most in this round."""
        return float((centres(rounds) - centres(rounds - 1)).square().sum((1, 2)).max())

    last = kmeans(points * scale, 5, generator(3), mask=mask, tolerance=1e-4).rounds
    assert last > 1
    assert moved(last) <= 1e-4 < moved(last - 1)


def test_fast_clustering_is_as_good_repeats_itself_and_leaves_neighbours_alone() -> None:
    source = torch.Generator().manual_seed(3)
    means = torch.randn(4, 12, 32, generator=source) * 2
    points = means.repeat_interleave(30, dim=1) + torch.randn(4, 360, 32, generator=source)
    mask = torch.ones(4, 360, dtype=torch.bool)
    mask[1, 200:] = False
    # Padding that would ruin every average it got into.
    points[1, 200:] = 1e4

    def run(fast: bool, seed: int = 0) -> Clusters:
        return kmeans(points, 20, torch.Generator().manual_seed(seed), mask=mask, fast=fast)

    plain, fast, again = run(False), run(True), run(True)
    assert torch.equal(fast.centres, again.centres)
    assert (fast.assignment[mask] < 20).all()
    assert (fast.assignment[~mask] == 20).all()
    for row in range(4):
        used = torch.bincount(fast.assignment[row][mask[row]], minlength=20)
        assert int(used.sum()) == int(mask[row].sum())
    totals = [sum(float(run(kind, seed).inertia.sum()) for seed in range(5)) for kind in (True, False)]
    assert totals[0] == pytest.approx(totals[1], rel=0.01)
    assert plain.rounds >= fast.rounds
    own = squared_distances(points, fast.centres).min(2).values.masked_fill(~mask, 0).sum(1)
    torch.testing.assert_close(fast.inertia, own, rtol=1e-3, atol=1e-2)


def test_sums_of_clusters_are_the_same_moved_on_and_made_anew() -> None:
    points, mask = clouds()
    kept, anew = _ClusterSums(points.masked_fill(~mask[:, :, None], 0), 5), _ClusterSums(points, 5)
    anew.kept = False  # as on a GPU
    for seed in range(3):
        assignment = torch.randint(5, mask.shape, generator=generator(seed)).masked_fill(~mask, 5)
        found, expected = kept.of(assignment), anew.of(assignment)
        torch.testing.assert_close(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
        assert found[1].sum(1).tolist() == list(SIZES)
