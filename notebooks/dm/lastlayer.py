"""The gradient of the last layer is a weighted feature: DM's link to gradient matching (its supplement, section 4).

For a network with features e and a linear last layer, the logits of an image are ``W e + b`` and its loss is the
cross-entropy (Eq. 1). The gradient of that loss with respect to the row w_j is ``(p_j - [j = y]) e`` (Eq. 2 and 3), its
mean over a batch a weighted mean feature (Eq. 4), and where all probabilities are 1/C the mean feature times a constant
(Eq. 5). The first half of this file says so in code; the second measures how far a network at work is from Eq. 5.

Legend: N images, C classes, D features, M synthetic images of a class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlib.companion.report.statistics import deviation
from dreamlib.core.errors import BadValue
from dreamlib.core.streams import Streams
from dreamlib.data import ClassData
from dreamlib.distillation.recipe import Recipe
from dreamlib.matchers import Feature, Gradient, Matcher
from dreamlib.networks import Network, NetworkSpec, build, initialise
from dreamlib.networks.training import SGD, Stack, Training, module_from

# The equations


def coefficients(logits: Tensor, labels: Tensor) -> Tensor:
    """The weights of Eq. 3, (N, C): the probability of a class, minus one for the true class.

    Parameters
    ----------
    logits : Tensor
        (N, C), any real numbers; a bias of the last layer is part of them.
    labels : Tensor
        (N,) int64, 0 to C - 1.
    """
    return logits.softmax(1) - F.one_hot(labels, logits.shape[1]).to(logits.dtype)


def sample_gradients(features: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Gradient of each image's loss with respect to the last layer's weight, (N, C, D): Eq. 3.

    ``features`` are (N, D), what the last layer sees; the others are those of :func:`coefficients`.
    """
    return coefficients(logits, labels).unsqueeze(2) * features.unsqueeze(1)


def mean_gradient(features: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of :func:`sample_gradients` over the images, (C, D): Eq. 4, the weighted mean feature."""
    return coefficients(logits, labels).T @ features / len(features)


def uniform_coefficients(label: int, classes: int) -> Tensor:
    """The constants of Eq. 5, (C,) float64: (1 - C) / C for the class ``label`` itself, 1 / C for every other.

    Their squares add up to (C - 1) / C. That is the constant between the two matching losses, if both are squared
    distances: the paper leaves it at "a constant".

    Raises
    ------
    BadValue
        If ``label`` is none of the classes.
    """
    if not 0 <= label < classes:
        raise BadValue(f"class {label} of {classes}; expected 0..{classes - 1}", "label=0")
    out = torch.full((classes,), 1 / classes, dtype=torch.float64)
    out[label] -= 1
    return out


def uniform_gradient(features: Tensor, label: int, classes: int) -> Tensor:
    """:func:`mean_gradient` of images (N, D) of one class when every probability is 1 / C, (C, D): Eq. 5."""
    constants = uniform_coefficients(label, classes).to(features)
    return constants.unsqueeze(1) * features.mean(0)


@dataclass(frozen=True)
class WeightedFeature:
    """Last-layer gradient matching with the probabilities held constant: a matcher for measuring, not for tables.

    Eq. 4 read literally, as matching of weighted mean features. The gradient of a real network's last layer also
    changes with the images through the weights themselves; what lies between this matcher and ``Gradient("mse",
    "classifier")`` is that part.
    """

    def measure(self, network: Network, images: Tensor, labels: Tensor, differentiable: bool) -> list[Tensor]:
        groups, each = images.shape[:2]
        with torch.set_grad_enabled(differentiable):
            features = network.features(images.flatten(0, 1))
            weights = coefficients(network.classifier(features).detach(), labels.repeat_interleave(each))
            return [
                torch.einsum("gnc,gnd->gcd", *(x.view(groups, each, -1) for x in (weights, features))) / each
            ]

    def distance(self, real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
        return (real[0] - synthetic[0]).square().sum()


def image_gradient(
    matcher: Matcher, network: Network, real: Tensor, synthetic: Tensor, labels: Tensor
) -> Tensor:
    """Gradient of a matching loss with respect to the synthetic images, in their shape.

    Parameters
    ----------
    matcher : Matcher
        Gives the loss.
    network : Network
        In the mode it is to be used in; its weights' ``requires_grad`` does not matter.
    real, synthetic : Tensor
        Normalised images (G, B, c, h, w) and (G, M, c, h, w) of the classes ``labels`` (G,).
    """
    target = [value.detach() for value in matcher.measure(network, real, labels, differentiable=False)]
    images = synthetic.detach().clone().requires_grad_()
    loss = matcher.distance(target, matcher.measure(network, images, labels, differentiable=True))
    return torch.autograd.grad(loss, images)[0]


def check_equations(
    network: Network, images: Tensor, label: int, synthetic: Tensor | None = None
) -> dict[str, float]:
    """Compare each equation with automatic differentiation, on images of one class.

    Parameters
    ----------
    network : Network
        Any; it is copied, and the copy computes in float64.
    images : Tensor
        Normalised (N, c, h, w), all of the class ``label``.
    label : int
        Their class.
    synthetic : Tensor, optional
        Normalised (M, c, h, w) of that class, for the last line; by default the first half of the images plays them.

    Returns
    -------
    dict
        Largest absolute difference relative to the largest absolute value, by equation: ``"(1)"``, ``"(3)"``,
        ``"(4)"``, ``"(5)"`` and ``"losses"``. The last two are taken with the last layer set to zero, where every
        probability is 1/C; ``"losses"`` compares the gradients of both matching losses with respect to the synthetic
        images, after division by their constant (C - 1) / C.
    """
    network = deepcopy(network).double().requires_grad_(True)
    images, labels = images.double(), torch.full((len(images),), label, device=images.device)
    weight, classes = network.classifier.weight, network.classifier.out_features

    def autograd() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits = network(images)
        losses = F.cross_entropy(logits, labels, reduction="none")
        every = [torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in losses]
        mean = torch.autograd.grad(losses.mean(), weight)[0]
        return losses.detach(), logits.detach(), torch.stack(every), mean

    with torch.no_grad():
        features = network.features(images)
    losses, logits, every, mean = autograd()
    errors = {
        "(1)": _gap(losses, -logits.softmax(1)[:, label].log()),
        "(3)": _gap(every, sample_gradients(features, logits, labels)),
        "(4)": _gap(mean, mean_gradient(features, logits, labels)),
    }
    with torch.no_grad():
        weight.zero_()
        network.classifier.bias.zero_()
    errors["(5)"] = _gap(autograd()[3], uniform_gradient(features, label, classes))

    half = len(images) // 2
    if synthetic is None:
        images, synthetic = images[half:], images[:half]
    pair = images.unsqueeze(0), synthetic.double().unsqueeze(0)
    one = labels[:1]
    by_features = image_gradient(Feature(), network, *pair, one)
    by_gradients = image_gradient(Gradient("mse", "classifier"), network, *pair, one)
    errors["losses"] = _gap(by_gradients, (classes - 1) / classes * by_features)
    return errors


def _gap(measured: Tensor, expected: Tensor) -> float:
    return float((measured - expected).abs().max() / measured.abs().max())


def fitting(
    specs: Sequence[NetworkSpec], shape: tuple[int, int, int], classes: int
) -> tuple[list[NetworkSpec], dict[NetworkSpec, str]]:
    """The architectures that images of ``shape`` (c, h, w) are large enough for, and why the others are not."""
    fits, refused = [], {}
    for spec in specs:
        try:
            build(spec, shape, classes, device="meta")
        except BadValue as error:
            refused[spec] = error.message
        else:
            fits.append(spec)
    return fits, refused


def untrained(spec: NetworkSpec, data: ClassData, seed: int = 0) -> Network:
    """A freshly drawn network for the images of ``data``, on its device and in training mode."""
    network = build(spec, data.shape, data.num_classes, device=data.device)
    initialise(network, Streams(seed, data.device)["network"])
    return network.train()


def some_images(data: ClassData, each: int, seed: int = 0) -> Tensor:
    """Normalised real images (C, ``each``, c, h, w), drawn at random; of a small class, all there are."""
    return data.take(data.draw(min(each, data.smallest), Streams(seed, data.device)["images"]))


# How far a network is from equal probabilities


@dataclass(frozen=True)
class Uniformity:
    """Probabilities that untrained networks of one architecture give to images; every array is (K, N).

    Attributes
    ----------
    network : NetworkSpec
    largest : ndarray
        The largest probability; 1/C when uniform.
    entropy : ndarray
        In units of log C; 1 when uniform.
    distance : ndarray
        Total variation distance from the uniform distribution, 0 to 1 - 1/C: the share of the probability that lies
        at the wrong class.
    weight_gap : ndarray
        Largest relative error of a weight of Eq. 5: ``max_j |p_j - 1/C| / (1/C)``.
    image_gap : ndarray
        The part of it that changes from image to image: the same with the network's own mean probabilities in place
        of 1/C. Weights that are wrong alike for all images still come out of the sum of Eq. 4 as constants.
    """

    network: NetworkSpec
    largest: np.ndarray
    entropy: np.ndarray
    distance: np.ndarray
    weight_gap: np.ndarray
    image_gap: np.ndarray

    def rows(self) -> list[dict[str, float]]:
        """One row for each network: every number as the mean over its images."""
        names = ("largest", "entropy", "distance", "weight_gap", "image_gap")
        means = {name: getattr(self, name).mean(1).tolist() for name in names}
        return [dict(zip(names, values, strict=True)) for values in zip(*means.values(), strict=True)]


def probabilities_far_from_uniform(logits: Tensor) -> dict[str, np.ndarray]:
    """The fields of :class:`Uniformity` for logits (N, C)."""
    log, classes = logits.double().log_softmax(1), logits.shape[1]
    p = log.exp()
    gap = p - 1 / classes
    return {
        "largest": p.amax(1).cpu().numpy(),
        "entropy": (-(p * log).sum(1) / math.log(classes)).cpu().numpy(),
        "distance": (gap.abs().sum(1) / 2).cpu().numpy(),
        "weight_gap": (gap.abs().amax(1) * classes).cpu().numpy(),
        "image_gap": ((p - p.mean(0)).abs().amax(1) * classes).cpu().numpy(),
    }


@torch.no_grad()
def uniformity(
    spec: NetworkSpec, images: Tensor, classes: int, *, networks: int = 20, seed: int = 0
) -> Uniformity:
    """What freshly drawn networks predict.

    Parameters
    ----------
    spec : NetworkSpec
        The architecture.
    images : Tensor
        Normalised (N, c, h, w) of all classes; a batch norm takes its statistics from all of them together.
    classes : int
        C.
    networks : int
        K, how many networks are drawn.
    seed : int
        Of their weights.

    Raises
    ------
    BadValue
        For no network, or images the architecture cannot take.
    """
    if networks < 1:
        raise BadValue(f"{networks} networks; expected at least 1", "networks=20")
    channels, height, width = images.shape[1:]
    network = build(spec, (channels, height, width), classes, device=images.device).train()
    stream = Streams(seed, images.device)["network"]
    found = [probabilities_far_from_uniform(initialise(network, stream)(images)) for _ in range(networks)]
    return Uniformity(spec, **{name: np.stack([one[name] for one in found]) for name in found[0]})


# How far the two losses are from one

LOSSES: dict[str, Matcher] = {
    "last layer": Gradient("mse", "classifier"),
    "last layer, weights held": WeightedFeature(),
    "last layer, DC's metric": Gradient("cosine", "classifier"),
    "all layers, DC's metric": Gradient("cosine", "weights"),
}


@dataclass(frozen=True)
class Agreement:
    """Gradients of matching losses with respect to the synthetic images, and that of feature matching.

    Attributes
    ----------
    step : int
        Training steps of the networks.
    accuracy : ndarray
        (K,) percent of the real images that each network classifies correctly.
    largest : ndarray
        (K,) mean largest probability of the real images.
    cosine : dict of str to ndarray
        (K,) by loss: the cosine between its gradient and that of feature matching, each class's images as one vector,
        mean over the classes. 1: both move the images in the same direction.
    ratio : dict of str to ndarray
        (K,) by loss: the norm of its gradient over that of feature matching, of all classes together.
    """

    step: int
    accuracy: np.ndarray
    largest: np.ndarray
    cosine: dict[str, np.ndarray]
    ratio: dict[str, np.ndarray]

    def rows(self) -> list[dict[str, float]]:
        """One row for each network; losses have a column ``"cosine: last layer"`` and one for the ratio each."""
        columns = {"accuracy": self.accuracy, "largest": self.largest}
        columns |= {f"cosine: {loss}": values for loss, values in self.cosine.items()}
        columns |= {f"ratio: {loss}": values for loss, values in self.ratio.items()}
        return [
            {"step": self.step} | {name: float(values[index]) for name, values in columns.items()}
            for index in range(len(self.accuracy))
        ]


def agreement(
    data: ClassData,
    recipe: Recipe,
    synthetic: Tensor,
    *,
    steps: Sequence[int] = (0,),
    networks: int = 3,
    losses: Mapping[str, Matcher] = LOSSES,
    seed: int = 0,
) -> list[Agreement]:
    """Follow both gradients while the networks are trained on real images (SGD .01, momentum .9, batches of 64).

    Parameters
    ----------
    data : ClassData
        The real images.
    recipe : Recipe
        Gives the architecture and how many real images of each class are matched. No augmentation is used: both losses
        see the very same images.
    synthetic : Tensor
        Normalised (C, M, c, h, w), on the device of ``data``.
    steps : sequence of int
        Training steps after which to look; 0 is the random network.
    networks : int
        K, trained together.
    losses : mapping of str to Matcher
        What to compare with feature matching.
    seed : int
        Of networks and draws. The real images compared are the same at every step and for every ``synthetic``.

    Raises
    ------
    BadValue
        For steps below 0, or no network.
    """
    if not steps or min(steps) < 0:
        raise BadValue(f"steps {tuple(steps)}; expected training steps of 0 or more", "steps=(0, 10)")
    streams = Streams(seed, data.device)
    real = data.take(data.draw(min(recipe.matching.real_batch, data.smallest), streams["real"]))
    stack = Stack(recipe.network, data.shape, data.num_classes, networks, streams["network"])

    def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = data.draw_flat(index.shape[1], streams["training"])
        return images.expand(networks, *images.shape), labels.expand(networks, -1)

    settings = SGD(epochs=max(steps), batch=64, decay_at=())
    training = Training(stack, fetch, 64, settings, streams["training"])
    out = []
    for step in sorted(set(steps)):
        while training.step < step:
            training.advance()
        training.check()
        out.append(_agreement(stack, real, synthetic, losses, step))
    return out


def _agreement(
    stack: Stack, real: Tensor, synthetic: Tensor, losses: Mapping[str, Matcher], step: int
) -> Agreement:
    labels = torch.arange(len(real), device=real.device)
    cosine: dict[str, list[float]] = {name: [] for name in losses}
    ratio: dict[str, list[float]] = {name: [] for name in losses}
    accuracy, largest = [], []
    for index in range(stack.count):
        network = module_from(stack, index).train()
        with torch.no_grad():
            logits = network(real.flatten(0, 1))
        accuracy.append(
            100 * float((logits.argmax(1) == labels.repeat_interleave(real.shape[1])).float().mean())
        )
        largest.append(float(probabilities_far_from_uniform(logits)["largest"].mean()))
        feature = image_gradient(Feature(), network, real, synthetic, labels).flatten(1)
        for name, matcher in losses.items():
            other = image_gradient(matcher, network, real, synthetic, labels).flatten(1)
            cosine[name].append(float(F.cosine_similarity(feature, other).mean()))
            ratio[name].append(float(other.norm() / feature.norm()))
    return Agreement(
        step,
        np.array(accuracy),
        np.array(largest),
        {name: np.array(values) for name, values in cosine.items()},
        {name: np.array(values) for name, values in ratio.items()},
    )


def rows(found: Sequence[Agreement]) -> list[dict[str, float]]:
    """One row for each network at each step."""
    return [row for one in found for row in one.rows()]


def averaged(found: pd.DataFrame, dataset: str, of: str) -> pd.DataFrame:
    """The means over networks of :func:`rows`, step by step; ``of`` says which steps those are."""
    shown = {"step": of, "accuracy": "accuracy (%)", "largest": "largest probability"}
    columns = [*shown, *(f"cosine: {loss}" for loss in LOSSES), "ratio: last layer"]
    by_step = found.groupby("step", as_index=False)
    means = by_step[columns[1:]].mean().rename(columns=shown)
    means.insert(0, "data set", dataset)
    return means.assign(n=by_step.size()["size"])


def cosines(found: pd.DataFrame) -> dict[str, tuple[list[int], list[float], list[float]]]:
    """Steps, means and standard deviations of the cosine in :func:`rows`, by loss."""
    by_step = found.groupby("step")
    return {
        loss: (
            sorted(found["step"].unique().tolist()),
            by_step[f"cosine: {loss}"].mean().tolist(),
            by_step[f"cosine: {loss}"].agg(deviation).tolist(),
        )
        for loss in LOSSES
    }


def same_change(one: Mapping[int, Tensor], other: Mapping[int, Tensor]) -> float:
    """Cosine between what two distillations did to the same start, each class as one vector; mean over classes.

    Parameters
    ----------
    one, other : mapping of int to Tensor
        Images (C, M, c, h, w) by matching step; the first and the last step count.

    Raises
    ------
    BadValue
        If the two did not start from the same images.
    """
    if not torch.equal(one[min(one)], other[min(other)]):
        raise BadValue(
            "the two sets start from different images; expected the same", "the same seed and start"
        )
    first, second = ((run[max(run)] - run[min(run)]).flatten(1) for run in (one, other))
    return float(F.cosine_similarity(first, second).mean())
