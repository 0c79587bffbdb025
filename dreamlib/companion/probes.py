"""Measurements that stand behind a figure but are no cell.

Gradient norms of batches, variety and texture of a synthetic set, what batch norm leaves of the classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import BadValue
from ..core.streams import Streams
from ..data import ClassData, Dataset
from ..distillation.recipe import Recipe
from ..distillation.sets import DistilledSet
from ..matchers import Feature
from ..networks import Network, NetworkSpec, build, initialise
from ..networks.training import SGD, Stack, Training, module_from
from ..samplers import Random, Representative, Sampler, View, gradient_norms
from .lastlayer import image_gradient


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
    errors_random, errors_representative : ndarray
        For each batch, the distance of its mean gradient from that of the class.
    bias_random, bias_representative : float
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
    bias_random: float
    bias_representative: float
    mean_norm: float


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
        Batches of each sampler; k-means starts anew for each.
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
    size = int(data.sizes[label])
    index = torch.arange(size, device=data.device).unsqueeze(0)
    images = data.take(index, index.new_tensor([label]))[0]
    labels = index.new_full((size,), label)
    norms = gradient_norms(network, images, labels)
    target = _mean_gradient(network, images, labels)

    def draw(sampler: Sampler, stream: str) -> tuple[Tensor, Tensor, float]:
        found, gaps = [], []
        for _ in range(batches):
            chosen = sampler.choose(View(data, network, recipe.matching.real_batch, streams[stream]))[label]
            found.append(norms[chosen])
            gaps.append(_mean_gradient(network, images[chosen], labels[chosen]) - target)
        every = torch.stack(gaps)
        return torch.cat(found), every.norm(dim=1), float(every.mean(0).norm())

    random_norms, random_errors, random_bias = draw(Random(), "random")
    rep_norms, rep_errors, rep_bias = draw(
        Representative(pool=getattr(recipe.matching.sampler, "pool", None)), "representative"
    )
    return GradientStudy(
        class_name=dataset.classes[label],
        batch=recipe.matching.real_batch,
        norms_all=norms.cpu().numpy(),
        norms_random=random_norms.cpu().numpy(),
        norms_representative=rep_norms.cpu().numpy(),
        errors_random=random_errors.cpu().numpy(),
        errors_representative=rep_errors.cpu().numpy(),
        bias_random=random_bias,
        bias_representative=rep_bias,
        mean_norm=float(target.norm()),
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


def _mean_gradient(network: Network, images: Tensor, labels: Tensor, chunk: int = 512) -> Tensor:
    """Gradient of the mean cross-entropy over all weights, flattened."""
    weights = list(network.parameters())
    total: list[Tensor] = [torch.zeros_like(weight) for weight in weights]
    for x, y in zip(images.split(chunk), labels.split(chunk), strict=True):
        with torch.enable_grad():
            loss = F.cross_entropy(network(x), y, reduction="sum") / len(labels)
        for part, gradient in zip(total, torch.autograd.grad(loss, weights), strict=True):
            part += gradient
    return torch.cat([part.flatten() for part in total])


def variety(distilled: DistilledSet, real: ClassData, sample: int = 100) -> float:
    """Mean distance between images of a class, relative to that of real images of the class.

    Distances are Euclidean between the features of an untrained ConvNet of width 32 (seed 0), where a shift by a
    pixel weighs less than between raw pixels. 1 means as varied as the data; 0, all images of a class alike.

    Parameters
    ----------
    distilled : DistilledSet
        Its decoded training images are compared.
    real : ClassData
        The data set it was distilled from.
    sample : int
        Real images of each class.
    """
    depth = 2 if real.shape[1] < 16 else 3
    streams = Streams(0, real.device)
    network = build(NetworkSpec(depth=depth, width=32), real.shape, real.num_classes, device=real.device)
    initialise(network, streams["network"]).eval()

    def spread(images: Tensor) -> Tensor:
        with torch.no_grad():
            points = network.features(images.to(real.device))
        count = len(points)
        return torch.cdist(points, points).sum() / max(1, count * (count - 1))

    index = real.draw(min(sample, real.smallest), streams["real"])
    ratios = []
    for label in range(real.num_classes):
        mine = distilled.normalised[distilled.labels == label]
        theirs = real.take(index[label : label + 1], index.new_tensor([label]))[0]
        ratios.append(spread(mine) / spread(theirs))
    return float(torch.stack(ratios).mean())


def reach(images: Tensor, real: ClassData) -> float:
    """How far real images are from the nearest image of their class, relative to one another: small where a set covers.

    Distances are Euclidean between normalised pixels. 0 if every real image is in the set; random images leave more
    than as many images near the centres of clusters do.

    Parameters
    ----------
    images : Tensor
        (C, M, c, h, w), normalised; M >= 1 images of each class.
    real : ClassData
        The data set, all of whose images are asked.
    """
    ratios = []
    for label, size in enumerate(real.sizes.tolist()):
        every = torch.arange(size, device=real.device).unsqueeze(0)
        points = real.take(every, every.new_tensor([label]))[0].flatten(1)
        nearest = torch.cdist(points, images[label].to(points).flatten(1)).min(1).values.mean()
        ratios.append(nearest / torch.cdist(points, points).mean())
    return float(torch.stack(ratios).mean())


@dataclass(frozen=True)
class Texture:
    """What a set of images looks like, in numbers; see :func:`texture`.

    Attributes
    ----------
    contrast : float
        Standard deviation of an image's pixels, mean over the images.
    fine : float
        Share of the spectral power above a quarter cycle per pixel: small where images are blurred. White noise in
        large images has 3/4.
    checkerboard : float
        Share above three eighths of a cycle per pixel, the patterns that change from pixel to pixel. White noise in
        large images has 7/16.
    colour : float
        Standard deviation between the channels of a pixel, mean over the pixels; NaN for images of one channel.
    """

    contrast: float
    fine: float
    checkerboard: float
    colour: float


def texture(images: Tensor) -> Texture:
    """Contrast, fineness and colour of images (N, c, h, w) in unit space; values outside [0, 1] count as they are.

    Frequencies are those of the larger of the two directions; the mean of an image has no part in the shares.
    """
    images = images.double()
    power = torch.fft.fft2(images).abs().square()
    power[..., 0, 0] = 0
    rows, columns = (torch.fft.fftfreq(size, device=images.device).abs() for size in images.shape[2:])
    frequency = torch.maximum(rows.unsqueeze(1), columns.unsqueeze(0))

    def share(above: float) -> float:
        return float((power * (frequency > above)).sum() / power.sum())

    grey = images.shape[1] == 1
    return Texture(
        contrast=float(images.flatten(1).std(1).mean()),
        fine=share(1 / 4),
        checkerboard=share(3 / 8),
        colour=float("nan") if grey else float(images.std(1).mean()),
    )


@dataclass(frozen=True)
class ClassSignal:
    """What the mean features of classes say about them, under networks of one architecture; see :func:`class_signal`.

    Attributes
    ----------
    network : NetworkSpec
    joint, per_class : ndarray
        (K,) for each network: the mean distance between the mean features of two classes, over that between two
        batches of one class. About 1 where matching a class's mean feature says nothing about the class.
    """

    network: NetworkSpec
    joint: np.ndarray
    per_class: np.ndarray


@torch.no_grad()
def class_signal(
    spec: NetworkSpec, data: ClassData, *, batch: int = 32, networks: int = 10, seed: int = 0
) -> ClassSignal:
    """Compare mean features with all classes in one batch and with one class at a time, at untrained networks.

    The networks are in training mode, so a batch norm takes its statistics from what it is given.

    Parameters
    ----------
    spec : NetworkSpec
        The architecture.
    data : ClassData
        The real images.
    batch : int
        Images of each class.
    networks : int
        K.
    seed : int
        Of networks and draws.
    """
    streams = Streams(seed, data.device)
    network = build(spec, data.shape, data.num_classes, device=data.device).train()
    found: dict[str, list[float]] = {"joint": [], "per class": []}
    for _ in range(networks):
        initialise(network, streams["network"])
        pair = [data.take(data.draw(min(batch, data.smallest), streams["images"])) for _ in range(2)]
        for kind, values in found.items():
            first, second = (_class_means(network, images, together=kind == "joint") for images in pair)
            gaps = torch.cdist(first, second)
            classes = len(gaps)
            own = gaps.diagonal().mean()
            values.append(float((gaps.sum() - gaps.trace()) / (classes * (classes - 1)) / own))
    return ClassSignal(spec, np.array(found["joint"]), np.array(found["per class"]))


def gradient_texture(
    spec: NetworkSpec, data: ClassData, *, batch: int = 32, each: int = 10, networks: int = 10, seed: int = 0
) -> list[Texture]:
    """How smooth the gradient is that reaches synthetic images, at untrained networks: feature matching, real images.

    Parameters
    ----------
    spec : NetworkSpec
        The architecture; its batch norms see all classes together.
    data : ClassData
        The real images; ``each`` of every class play the synthetic set.
    batch, each : int
        Real and synthetic images of each class.
    networks : int
        K: one entry of the answer for each.
    seed : int
        Of networks and draws.
    """
    streams = Streams(seed, data.device)
    network = build(spec, data.shape, data.num_classes, device=data.device).train().requires_grad_(False)
    labels = torch.arange(data.num_classes, device=data.device)
    out = []
    for _ in range(networks):
        initialise(network, streams["network"])
        real, synthetic = (
            data.take(data.draw(min(count, data.smallest), streams["images"])) for count in (batch, each)
        )
        out.append(texture(image_gradient(Feature(), network, real, synthetic, labels).flatten(0, 1)))
    return out


def _class_means(network: Network, images: Tensor, *, together: bool) -> Tensor:
    """Mean features (C, D) of images (C, B, c, h, w), all classes in one batch or each in its own."""
    if together:
        return network.features(images.flatten(0, 1)).view(*images.shape[:2], -1).mean(1)
    return torch.stack([network.features(part).mean(0) for part in images])
