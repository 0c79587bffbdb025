"""k-means over all classes at once: the step that chooses DREAM's representative images.

Shapes: C classes, N points of a class (padded to the largest class), D features, k clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..compute.formats import formats_of
from ..core.errors import BadValue

# Fast mode only, ours: a class stops when a round lowers its inertia by less than this share (0.02 %).
GAIN = 2e-4
_FAR = 3.0e38  # larger than any squared distance and finite: infinity times zero would be NaN


@dataclass(frozen=True)
class Clusters:
    """Result of :func:`kmeans`.

    Attributes
    ----------
    centres : Tensor
        (C, k, D) float.
    assignment : Tensor
        (C, N) int64 in [0, k); padding points carry k.
    inertia : Tensor
        (C,) sum of squared distances of the points to their centres.
    rounds : int
        Rounds of Lloyd's algorithm that were run.
    """

    centres: Tensor
    assignment: Tensor
    inertia: Tensor
    rounds: int


def squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """Squared Euclidean distances, (C, N, D) x (C, k, D) -> (C, N, k), never negative."""
    # |p - c|^2 = |p|^2 + |c|^2 - 2 <p, c>: the cross term is one batched matrix product.
    cross = torch.bmm(points, centres.transpose(1, 2))
    norms = points.square().sum(2, keepdim=True) + centres.square().sum(2).unsqueeze(1)
    return (norms - 2 * cross).clamp_min_(0)


def kmeans(
    points: Tensor,
    k: int,
    generator: torch.Generator,
    *,
    mask: Tensor | None = None,
    rounds: int = 100,
    tolerance: float = 1e-4,
    fast: bool = False,
    short: torch.dtype | None = None,
) -> Clusters:
    """Lloyd's algorithm on every class at once, from k random points of each class.

    The random start, at most 100 rounds and the absolute tolerance of 1e-4 are those of DREAM's released code, which
    leaves the start unseeded; here it comes from ``generator``. A class that has converged does not change any more,
    so the result of a class does not depend on its neighbours. An empty cluster moves to the point that is
    farthest from its centre (as in scikit-learn; our choice), so a class that has converged has k clusters with at
    least one point each, provided it has k distinct points.

    Parameters
    ----------
    points : Tensor
        (C, N, D) float32 or float64.
    k : int
        Clusters per class, 1 <= k <= points of the smallest class.
    generator : torch.Generator
        Draws the start, on the device of ``points``.
    mask : Tensor, optional
        (C, N) bool, True for points and False for padding. Default: no padding.
    rounds : int
        Upper bound of the number of rounds.
    tolerance : float
        A class has converged when the squared movement of its centres, summed, is at most ``tolerance``. This is an
        absolute number, as in the released code; scikit-learn multiplies its own by the mean variance of the features.
    fast : bool
        Compare points and centres in ``short``, and stop a class also when a round has lowered its inertia by less
        than :data:`GAIN`: the last half of the rounds up to ``tolerance`` move single points. Centres are still
        averaged in the format of ``points``. The inertia ends within 1 % of that without ``fast``.
    short : torch.dtype, optional
        Without effect unless ``fast``. Default: what is faster on the machine, bfloat16 or float32
        (:func:`~dreamlib.compute.formats.formats_of`).

    Raises
    ------
    BadValue
        If k is below 1 or above the number of points of a class.
    """
    classes, count, width = points.shape
    if mask is None:
        mask = torch.ones(classes, count, dtype=torch.bool, device=points.device)
    sizes = mask.sum(1)
    smallest = int(sizes.min())
    if not 1 <= k <= smallest:
        at = int(sizes.argmin())
        raise BadValue(
            f"{k} clusters asked of class {at}, which has {smallest} images here; k must lie in 1..{smallest}",
            "a smaller real_batch (clusters times images of each), or more candidates (pool)",
        )

    def without_padding(values: Tensor) -> Tensor:
        """Padding set to zero. The points take much memory, so nothing is multiplied where there is no padding."""
        return values if smallest == count else values * mask.unsqueeze(2)

    # Centred on the class mean, distances are the same and numbers smaller: the expansion of |p - c|^2 cancels less.
    mean = without_padding(points).sum(1, keepdim=True) / sizes.view(-1, 1, 1)
    centred = without_padding(points - mean)
    # The points with the k largest random keys are k different points, a random start for every class. Keys are in
    # [0, 1), so padding with -1 is never among them.
    keys = torch.rand(classes, count, generator=generator, device=points.device)
    start = keys.masked_fill(~mask, -1).topk(k, dim=1).indices
    centres = centred.gather(1, start.unsqueeze(2).expand(-1, -1, width))
    if fast:
        if short is None:
            short = formats_of(points.device).dtype
        squares = centred.square().sum(2)
        threshold = squares.new_full((classes,), tolerance)
        # A CPU is fastest while one class stays in its cache; a GPU takes all at once.
        each = 1 if points.device.type == "cpu" else classes
        parts = [
            _lloyd_fast(centred[few], squares[few], centres[few], mask[few], threshold[few], rounds, short)
            for few in map(slice, range(0, classes, each), range(each, classes + each, each))
        ]
        found, assigned, inertias, took = zip(*parts, strict=True)
        return Clusters(torch.cat(found) + mean, torch.cat(assigned), torch.cat(inertias), max(took))
    done = 0
    active = torch.ones(classes, dtype=torch.bool, device=points.device)
    while done < rounds and bool(active.any()):
        # Only the classes that still move: a class's result does not depend on when the others stop.
        rows = active.nonzero().squeeze(1)
        moved = _lloyd_round(centred[rows], centres[rows], mask[rows])
        # The stopping rule of DREAM's released code: an absolute bound on the summed squared movement.
        shift = (moved - centres[rows]).square().sum((1, 2))
        centres[rows] = moved
        active[rows] = shift > tolerance
        done += 1
    # Once more, since the last round moved the centres after its assignment.
    distance, assignment = squared_distances(centred, centres).min(2)
    inertia = distance.masked_fill(~mask, 0).sum(1)
    return Clusters(centres + mean, assignment.masked_fill(~mask, k), inertia, done)


def _lloyd_fast(
    points: Tensor,
    squares: Tensor,
    centres: Tensor,
    mask: Tensor,
    threshold: Tensor,
    rounds: int,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Rounds of Lloyd's algorithm until every class has stopped: centres, assignment, inertia, and number of rounds.

    Points and centres are compared in ``dtype``. The inertia is computed in the format of the points all the same: it
    follows from the sum and the number of the points of every cluster, without distances.
    """
    k = centres.shape[1]
    short = points.to(dtype)
    sums = _ClusterSums(points, k)
    stopped = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    best = torch.full_like(threshold, torch.inf)
    done = 0
    while True:
        # Assign: |c|^2 - 2 <p, c> orders the centres of a point as |p - c|^2 does, so |p|^2 is added later, to the
        # least of them alone.
        cross = torch.bmm(short, centres.to(dtype).transpose(1, 2)).to(points.dtype)
        distance, nearest = torch.sub(centres.square().sum(2).unsqueeze(1), cross, alpha=2).min(2)
        nearest = nearest.masked_fill(~mask, k)
        total, number = sums.of(nearest)
        if done == rounds or bool(stopped.all()):
            # Inertia = sum |p|^2 - 2 sum <p, c> + sum |c|^2, with sum <p, c> = <sum of a cluster's points, c>.
            parts = (total * centres).sum((1, 2)), (number * centres.square().sum(2)).sum(1)
            return centres, nearest, (squares.sum(1) - 2 * parts[0] + parts[1]).clamp_min(0), done
        distance = (distance + squares).clamp_min_(0).masked_fill_(~mask, 0)
        # Update: means of the clusters, and empty ones moved to the farthest points.
        mean = total / number.clamp_min(1).unsqueeze(2)
        mean = _refill_empty(mean, number == 0, points, distance)
        inertia = distance.sum(1)
        shift = (mean - centres).square().sum((1, 2))
        # A class that has stopped keeps its centres while others go on. All stay in one tensor: picking the others out
        # would copy their points.
        centres = torch.where(stopped.view(-1, 1, 1), centres, mean)
        stopped = stopped | (shift <= threshold) | (best - inertia < GAIN * inertia)
        best = torch.minimum(best, inertia)
        done += 1


class _ClusterSums:
    """The sum and the number of the points (C, N, D) of every cluster, from one assignment to the next.

    A GPU multiplies all points by a matrix of zeros and ones. That is fast there, needs no synchronisation, and gives
    the same bits every time. A CPU keeps the sums, and moves only the points that have changed their cluster.
    """

    def __init__(self, points: Tensor, k: int) -> None:
        self.points, self.k = points, k
        self.kept = points.device.type == "cpu"
        # Slot c * (k + 1) + j holds cluster j of class c; slot k of each class collects its padding.
        self.offset = torch.arange(len(points), device=points.device).unsqueeze(1) * (k + 1)
        self.previous: Tensor | None = None
        self.total = points.new_zeros(len(points) * (k + 1), points.shape[2])

    def of(self, assignment: Tensor) -> tuple[Tensor, Tensor]:
        """Sums (C, k, D) and numbers (C, k); points that ``assignment`` (C, N) gives to cluster k are left out."""
        if not self.kept:
            # (C, N, k + 1) membership, of which the column of padding is dropped.
            members = self.points.new_zeros(*assignment.shape, self.k + 1)
            members = members.scatter_(2, assignment.unsqueeze(2), 1)[:, :, : self.k]
            return torch.bmm(members.transpose(1, 2), self.points), members.sum(1).long()
        flat, now = self.points.flatten(0, 1), (assignment + self.offset).flatten()
        if self.previous is None:
            self.total.index_add_(0, now, flat)
        else:
            # Late rounds move few points, so this costs far less than adding all of them up again.
            changed = (now != self.previous).nonzero().squeeze(1)
            moving = flat[changed]
            self.total.index_add_(0, self.previous[changed], moving, alpha=-1)
            self.total.index_add_(0, now[changed], moving)
        self.previous = now
        number = torch.bincount(now, minlength=len(self.total)).view(len(self.points), -1)[:, : self.k]
        return self.total.view(len(self.points), self.k + 1, -1)[:, : self.k], number


def _refill_empty(mean: Tensor, empty: Tensor, points: Tensor, distance: Tensor) -> Tensor:
    """``mean`` (C, k, D) with the i-th empty cluster of a class moved to its i-th farthest point."""
    if not bool(empty.any()):
        return mean
    # At most k clusters are empty, so k farthest points are enough; ``rank`` counts the empty ones up to each.
    far = distance.topk(mean.shape[1], dim=1).indices
    rank = (empty.cumsum(1) - 1).clamp_min(0)
    refill = points.gather(1, far.gather(1, rank).unsqueeze(2).expand(-1, -1, mean.shape[2]))
    return torch.where(empty.unsqueeze(2), refill, mean)


def _lloyd_round(points: Tensor, centres: Tensor, mask: Tensor) -> Tensor:
    """One round of Lloyd's algorithm: assign, average, and move empty clusters to the farthest points."""
    classes, k, width = centres.shape
    distance, nearest = squared_distances(points, centres).min(2)
    # Padding goes to cluster k, which is dropped below. ``slot`` numbers the clusters of all classes in one axis, so
    # that one index_add_ sums the points of all of them.
    nearest = nearest.masked_fill(~mask, k)
    slot = nearest + torch.arange(classes, device=points.device).unsqueeze(1) * (k + 1)
    total = points.new_zeros(classes * (k + 1), width).index_add_(0, slot.flatten(), points.flatten(0, 1))
    number = torch.bincount(slot.flatten(), minlength=classes * (k + 1)).view(classes, k + 1)[:, :k]
    mean = total.view(classes, k + 1, width)[:, :k] / number.clamp_min(1).unsqueeze(2)
    return _refill_empty(mean, number == 0, points, distance.masked_fill(~mask, -1))


def nearest_images(points: Tensor, clusters: Clusters, each: int = 1, mask: Tensor | None = None) -> Tensor:
    """The ``each`` points of the whole class nearest to every centre, whatever cluster they belong to.

    Two centres can have the same nearest point, which then counts twice (DREAM, released code).

    Parameters
    ----------
    points : Tensor
        (C, N, D), as given to :func:`kmeans`.
    clusters : Clusters
        Its result.
    each : int
        Points per cluster.
    mask : Tensor, optional
        (C, N) bool, False for padding.

    Returns
    -------
    Tensor
        (C, k * each) int64 positions in N; the points of a cluster are adjacent, the nearest first.
    """
    # (C, k, N), over all points of the class: a centre's nearest image need not belong to its cluster (released code).
    distance = squared_distances(points, clusters.centres).transpose(1, 2)
    if mask is not None:
        distance = distance.masked_fill(~mask.unsqueeze(1), _FAR)
    return distance.topk(each, dim=2, largest=False).indices.flatten(1)
