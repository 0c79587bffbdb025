"""Gradient norms of the batches that samplers choose, and how well a batch stands for its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.pyplot import subplots
from torch import Tensor

from dreamlib.companion.report.style import PALETTE
from dreamlib.core.errors import BadValue
from dreamlib.core.streams import Streams
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import Network
from dreamlib.networks.training import SGD, Stack, Training, module_from
from dreamlib.samplers import Random, View, WeightedRepresentative, gradient_norms
from dreamlib.samplers.representative import Clustered


@dataclass(frozen=True)
class GradientStudy:
    """Gradient norms of one class, and how well batches stand for its mean gradient.

    Attributes
    ----------
    class_name : str
    batch : int
        Images of a batch.
    norms_all, norms_random, norms_representative : ndarray
        Norms of the images of the class, of the random batches and of the representative ones (float32).
    errors_random, errors_representative, errors_weighted : ndarray
        For each batch, the distance of its mean gradient from that of the class. *Weighted*: the images of the
        representative batches, each counted by its cluster's share of the class.
    bias_random, bias_representative, bias_weighted : float
        That distance for all batches of a sampler taken together: what averaging over steps does not remove. Batches
        without a bias of their own leave about ``errors / sqrt(batches)`` by chance.
    mean_norm : float
        Norm of the class's mean gradient, to compare the distances with.
    """

    class_name: str
    batch: int
    norms_all: np.ndarray
    norms_random: np.ndarray
    norms_representative: np.ndarray
    errors_random: np.ndarray
    errors_representative: np.ndarray
    errors_weighted: np.ndarray
    bias_random: float
    bias_representative: float
    bias_weighted: float
    mean_norm: float

    def rows(self) -> list[dict[str, Any]]:
        """One row for each sampler; the norms of its images have five digits, which is what a picture shows.

        Weighting changes what images count, not which are chosen: that row has no norms of its own.
        """
        shared = {"class": self.class_name, "batch": self.batch, "mean_norm": self.mean_norm}
        return [
            shared
            | {
                "sampler": sampler,
                "distances": errors.tolist(),
                "bias": bias,
                "spread": None if norms is None else float(norms.std(ddof=1)),
                "norms": [] if norms is None else [float(f"{norm:.5g}") for norm in norms],
            }
            for sampler, errors, bias, norms in (
                ("random", self.errors_random, self.bias_random, self.norms_random),
                (
                    "representative",
                    self.errors_representative,
                    self.bias_representative,
                    self.norms_representative,
                ),
                ("weighted", self.errors_weighted, self.bias_weighted, None),
            )
        ]


def gradient_study(
    dataset: Dataset,
    recipe: Recipe,
    *,
    label: int = 0,
    batches: int = 20,
    warm_up: int = 20,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> GradientStudy:
    """Compare random with representative batches of one class under one network (DREAM README, figure a).

    Parameters
    ----------
    dataset : Dataset
        The data.
    recipe : Recipe
        Gives the network, the real batch and ``per_class``.
    label : int
        The class.
    batches : int
        Batches of each sampler; k-means starts again for each.
    warm_up : int
        SGD steps on real images before the measurement, as IDC trains its networks between matching steps.
    seed : int
        Of everything drawn.
    device : torch.device or str
        Where to compute.
    """
    if not 0 <= label < dataset.num_classes:
        raise BadValue(
            f"class {label} of {dataset.name}; expected 0..{dataset.num_classes - 1}", "-p label=0"
        )
    data, streams = ClassData(dataset, device, per_class=recipe.per_class), Streams(seed, device)
    network = _warm_network(data, recipe, streams, warm_up)
    # The samplers see this class alone: to cluster the others would take most of the time, for nothing.
    alone = ClassData(_one_class(data, label), device)
    index = torch.arange(int(alone.sizes[0]), device=data.device).unsqueeze(0)
    images, labels = alone.take(index)[0], torch.full_like(index[0], label)
    norms = gradient_norms(network, images, labels)
    target = _mean_gradient(network, images, labels)

    def view(stream: str) -> View:
        # Images are clustered as the method holds them, which is not as the network sees them: see Clustered.space.
        how = recipe.container.space
        return View(alone, network, recipe.matching.real_batch, streams[stream], space=how)

    def gaps(chosen: Sequence[Tensor], weights: Sequence[Tensor | None]) -> Tensor:
        """What each batch's mean gradient is off by, (batches, weights of the network)."""
        found = zip(chosen, weights, strict=True)
        return torch.stack([_mean_gradient(network, images[i], labels[i], w) - target for i, w in found])

    at_random = [Random().choose(view("random"))[0] for _ in range(batches)]
    # Each batch counted both ways, so that nothing but the weights lies between them.
    own = recipe.matching.sampler
    clustered = (
        WeightedRepresentative(**{f.name: getattr(own, f.name) for f in fields(own)})
        if isinstance(own, Clustered)
        else WeightedRepresentative()
    )
    found = [clustered.choose(view("representative")) for _ in range(batches)]
    central, shares = [one.choice[0] for one in found], [one.shares[0] for one in found]
    plain: list[Tensor | None] = [None] * batches
    random, representative, weighted = gaps(at_random, plain), gaps(central, plain), gaps(central, shares)
    return GradientStudy(
        class_name=dataset.classes[label],
        batch=recipe.matching.real_batch,
        norms_all=norms.cpu().numpy(),
        norms_random=norms[torch.cat(at_random)].cpu().numpy(),
        norms_representative=norms[torch.cat(central)].cpu().numpy(),
        errors_random=random.norm(dim=1).cpu().numpy(),
        errors_representative=representative.norm(dim=1).cpu().numpy(),
        errors_weighted=weighted.norm(dim=1).cpu().numpy(),
        bias_random=float(random.mean(0).norm()),
        bias_representative=float(representative.mean(0).norm()),
        bias_weighted=float(weighted.mean(0).norm()),
        mean_norm=float(target.norm()),
    )


def _one_class(data: ClassData, label: int) -> Dataset:
    """The images of one class as a data set of their own, for training and, of no matter here, for tests."""
    index = torch.arange(int(data.sizes[label]), device=data.device).unsqueeze(0)
    images = (data.unit(index, index.new_tensor([label]))[0] * 255).round().to(torch.uint8).cpu()
    labels = torch.zeros(len(images), dtype=torch.int64)
    return replace(
        data.dataset,
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
        classes=(data.classes[label],),
    )


def _warm_network(data: ClassData, recipe: Recipe, streams: Streams, steps: int) -> Network:
    """A network after ``steps`` SGD steps on real batches of 64."""
    stack = Stack(recipe.network, data.shape, data.num_classes, 1, streams["network"])
    if not steps:
        return module_from(stack)

    def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = data.draw_flat(index.shape[1], streams["training"])
        return images.unsqueeze(0), labels.unsqueeze(0)

    training = Training(stack, fetch, 64, SGD(epochs=steps, batch=64, decay_at=()), streams["training"])
    while not training.done:
        training.advance()
    return module_from(stack)


def _mean_gradient(
    network: Network, images: Tensor, labels: Tensor, shares: Tensor | None = None, chunk: int = 512
) -> Tensor:
    """Gradient of the mean cross-entropy over all weights, flattened; ``shares`` (N,) add up to 1, else all alike."""
    weights = list(network.parameters())
    total: list[Tensor] = [torch.zeros_like(weight) for weight in weights]
    counted = torch.full_like(images[:, 0, 0, 0], 1 / len(labels)) if shares is None else shares
    for x, y, share in zip(images.split(chunk), labels.split(chunk), counted.split(chunk), strict=True):
        with torch.enable_grad():
            loss = (F.cross_entropy(network(x), y, reduction="none") * share).sum()
        for part, gradient in zip(total, torch.autograd.grad(loss, weights), strict=True):
            part += gradient
    return torch.cat([part.flatten() for part in total])


def histogram_pair(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    labels: tuple[str, str],
    *,
    bins: int = 30,
    xlabel: str = "",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Two distributions over the same bins, as shares of their own number, with their means marked.

    Parameters
    ----------
    a, b : sequence of float
        The values; NaN and infinity are an error.
    labels : (str, str)
        What they are; the legend adds how many.
    bins : int
        Bins over the range of both.

    Raises
    ------
    BadValue
        Empty or not finite.
    """
    first, second = np.asarray(a, dtype=float).ravel(), np.asarray(b, dtype=float).ravel()
    for values, label in ((first, labels[0]), (second, labels[1])):
        if not len(values) or not np.isfinite(values).all():
            raise BadValue(f"{label}: {len(values)} values, expected at least one and all finite", "")
    if ax is None:
        _, ax = subplots(figsize=(6.4, 3.4))
    edges = np.histogram_bin_edges(np.concatenate([first, second]), bins=bins)
    for values, label, tone in ((first, labels[0], PALETTE[0]), (second, labels[1], PALETTE[1])):
        weights = np.full(len(values), 100 / len(values))
        text = f"{label} (n = {len(values)})"
        ax.hist(values, list(edges), weights=weights, color=tone, alpha=0.28)
        ax.hist(values, list(edges), weights=weights, color=tone, histtype="step", linewidth=1.5, label=text)
        ax.axvline(values.mean(), color=tone, linewidth=1.4, linestyle=(0, (4, 2)))
    ax.set_xlabel(xlabel)
    ax.set_ylabel("share (%)")
    if title:
        ax.set_title(title)
    ax.legend(loc="best")
    return ax
