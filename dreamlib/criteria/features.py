"""Ridge regression on the features of one network: the neural feature regression of FRePo (Zhou et al. 2022).

One step: a network of the pool, whose weights are constants, gives features F of real images, also constants, and
features f of the set, through which the gradient goes. With the set's labels Y (C classes)::

    P = F f' (f f' + r I)^-1 Y
    loss = mean over rows of |P - (onehot(c) - 1/C)|^2 / 2  -  mean over labels of min(first - second, 1/C)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from ..containers import ImageContainer, OfImages
from ..core.errors import BadValue
from ..data import ClassData
from ..networks import embed
from ..samplers import Random, Sampler
from ..teachers import Scene, Teaching, Untaught
from .base import OfSteps, Stateless, StepResult, Tensors, register
from .kernels import Features
from .regression import Targets, check_batch, fits_batch, labels_of
from .ridge import REGULARISATION, centred, frepo_loss, margin_loss, predict, with_mirrored


def cosine(way: float, last: float) -> float:
    """From 1 to ``last`` along half a cosine; ``way`` is the fraction done, from 0 to 1."""
    return last + (1 - last) * (1 + math.cos(math.pi * way)) / 2


@register("feature-regression")
@dataclass(frozen=True)
class FeatureRegression(OfSteps):
    """The error of a ridge regression on a network's features, and the margin of learned labels.

    Attributes
    ----------
    sampler : Sampler
        Which real images are the targets.
    real_batch : int
        Real images of each class a step.
    regularisation : float
        In units of the mean diagonal of the kernel.
    mirrored : bool
        The regression is on the set and its mirror images (``use_flip``).
    last : float
        Rates fall along half a cosine, to this share of themselves.
    """

    sampler: Sampler = field(default_factory=Random)
    real_batch: int = 100
    regularisation: float = REGULARISATION
    mirrored: bool = False
    last: float = 0.1

    phases: tuple[str, ...] = ("clustering", "regression")

    def check(self) -> None:
        check_batch(self.real_batch, self.sampler)

    def suits(self, container: object, teacher: object) -> None:
        if not isinstance(container, OfImages) or isinstance(teacher, Untaught):
            raise BadValue(
                f"recipe: a regression on features with the container {type(container).__name__} and the teacher "
                f"{type(teacher).__name__}; expected images, and networks",
                "container=Answers(), teacher=Aging()",
            )

    def fits(self, data: ClassData) -> None:
        fits_batch(self.real_batch, data)

    def shown(self, classes: int, ipc: int) -> float:
        return float(classes * (self.real_batch + (1 + self.mirrored) * ipc))

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Predicting:
        return Predicting(self, scene, teaching)


class Predicting(Stateless):
    """Regression on features in one run."""

    def __init__(self, how: FeatureRegression, scene: Scene, teaching: Teaching) -> None:
        self.how, self.scene, self.teaching = how, scene, teaching
        self.targets = Targets(scene, how.sampler, how.real_batch)

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        how, scene, network = self.how, self.scene, self.teaching.network
        assert network is not None
        # Running statistics: features must not depend on the other images of a batch.
        network.eval()
        real, classes, weights = self.targets.at(step, network)
        with scene.stopwatch.phase("regression"), torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in stored.items()}
            images = cast(ImageContainer, scene.container).decode(leaves)
            labels = labels_of(scene, leaves, images.shape[1])
            images = scene.data.normalisation.enter(images, scene.container.space).flatten(0, 1)
            # Before mirroring, which repeats every label.
            margin = margin_loss(labels) if "labels" in leaves else 0.0
            if how.mirrored:
                images, labels = with_mirrored(images, labels)
            # (n, D) features with their graph; the solve is in float64.
            kernel, known = Features(), network.features(images).double()
            # ``embed`` has no graph: real features are constants.
            cross = kernel(embed(network, real).double(), known)
            # The pool's weights are constants: no graph goes through how they were trained (a truncation to one step).
            predictions = predict(cross, kernel(known, known), labels, how.regularisation)
            wanted = centred(classes, scene.data.num_classes).to(predictions)
            loss = frepo_loss(predictions, wanted, weights) + margin
            found = torch.autograd.grad(loss, list(leaves.values()))
        lr_factor = cosine(step / scene.steps, how.last)
        return StepResult(loss.detach(), dict(zip(leaves, found, strict=True)), lr_factor=lr_factor)

    def state(self) -> Tensors:
        return self.targets.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.targets.restore(state)
