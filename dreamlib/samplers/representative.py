"""DREAM's sampler: the real images nearest to the cluster centres of their class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import BadValue
from .base import View, Weighted, register
from .clustering import Clusters, kmeans, nearest_images


@dataclass(frozen=True)
class Clustered:
    """The images nearest to the cluster centres of their class.

    All images of a class are embedded by the current network and clustered into ``batch / each`` clusters; the
    ``each`` images of the class nearest to every centre are matched for the next ``every`` steps. Such an image need
    not be a member of the cluster, and one image can be nearest to two centres (released code).

    Parameters
    ----------
    every : int
        Matching steps between two clusterings. 10 in the paper (supplement, section 6).
    each : int
        Images taken of a cluster (the released code's sub-clusters; 1 is its default). Divides the batch.
    pool : int, optional
        Candidates of each class, which are embedded; drawn again for every clustering. None, the paper's, is all of
        them.
    space : str
        How images are embedded: ``"normalised"`` as the network sees them in training, ``"unit"`` without
        normalisation, ``"stored"`` as the code of the method holds them. IDC's and DREAM's hold images without
        normalisation, and so DREAM clusters them; DC's, DSA's and DM's hold normalised ones.
    rounds : int
        Upper bound of the rounds of k-means (100 in the released code).
    """

    every: int = 10
    each: int = 1
    pool: int | None = None
    space: str = "stored"
    rounds: int = 100

    def __post_init__(self) -> None:
        for name, least in (("each", 1), ("rounds", 0)):
            if getattr(self, name) < least:
                raise BadValue(
                    f"sampler: {name} is {getattr(self, name)}; expected at least {least}",
                    f"{name}={getattr(Clustered, name)}",
                )

    def found(self, view: View) -> tuple[Tensor, Clusters]:
        """Positions of the images within each class, (C, B) int64, and the clusters they stand for."""
        if view.batch % self.each:
            raise BadValue(
                f"each={self.each} does not divide the real batch {view.batch}",
                f"use a divisor of {view.batch}",
            )
        # 1. Embed all images of every class by the current network: (C, N, D), D = 2048 for ConvNet-3 on 32x32 images.
        index, mask = view.candidates(self.pool)
        points = view.embed(index, space=self.space)
        # 2. Cluster each class into as many clusters as real images are wanted (sub-clusters: divided by ``each``).
        clusters = kmeans(
            points,
            view.batch // self.each,
            view.generator,
            mask=mask,
            rounds=self.rounds,
            fast=view.fast,
            short=view.short,
        )
        # 3. Match the images nearest to the centres, for the next ``every`` steps.
        return index.gather(1, nearest_images(points, clusters, self.each, mask)), clusters


@register("representative")
@dataclass(frozen=True)
class Representative(Clustered):
    """Representative matching (DREAM; supplement sections 3 and 6): all images count alike, as published."""

    def choose(self, view: View) -> Tensor:
        return self.found(view)[0]


@register("weighted-representative")
@dataclass(frozen=True)
class WeightedRepresentative(Clustered):
    """Representative matching in which an image counts by its cluster's share of the class (ours).

    One image of each cluster estimates the mean over clusters. The mean over the class's images, which the matching
    loss asks for, counts a cluster by how many images it has.
    """

    def choose(self, view: View) -> Weighted:
        index, clusters = self.found(view)
        classes, k, _ = clusters.centres.shape
        # Padding carries the label k, and falls into a column of its own that is dropped.
        held = torch.zeros(classes, k + 1, device=index.device)
        held.scatter_add_(1, clusters.assignment, torch.ones_like(clusters.assignment, dtype=held.dtype))
        shares = held[:, :k] / held[:, :k].sum(1, keepdim=True) / self.each
        return Weighted(index, shares.repeat_interleave(self.each, dim=1))
