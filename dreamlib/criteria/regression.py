"""Kernel regression as a criterion: the loss of a ridge regression on the set that predicts real images (KIP, LS).

One step, with real images X of classes c, stored images S and their labels Y (``K`` is the kernel)::

    P = K(X, S) (K(S, S) + r I)^-1 Y        loss = mean over rows of |P - (onehot(c) - 1/C)|^2 / 2C

No gradient goes through X: real images are only the targets of the regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from ..containers import Answers, ImageContainer, OfImages
from ..core.errors import BadValue
from ..data import ClassData
from ..samplers import Random, Sampler, View, Weighted
from ..teachers import Scene, Teaching, Untaught
from .base import OfSteps, Stateless, StepResult, Tensors, register
from .kernels import FullyConnected, Kernel
from .ridge import REGULARISATION, centred, kip_loss, predict, solved_labels

CHUNK = 1000  # real images whose kernel is computed at once, where all of them are targets


class AsSeen(nn.Module):
    """Takes the place of a network where there is none: the features of an image are its pixels."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.feature_size = size

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Targets:
    """The real batch of a ridge regression: its images and, if the sampler gives them, the weights of the rows.

    Parameters
    ----------
    scene : Scene
        Of the run.
    sampler : Sampler
        Chooses ``batch`` images of each class, for ``sampler.every`` steps.
    batch : int
        Images of each class.
    """

    def __init__(self, scene: Scene, sampler: Sampler, batch: int) -> None:
        self.scene, self.sampler, self.batch = scene, sampler, batch
        self.choice = torch.empty(0, dtype=torch.int64, device=scene.device)
        self.shares: Tensor | None = None

    def at(self, step: int, network: nn.Module) -> tuple[Tensor, Tensor, Tensor | None]:
        """Normalised images (t, c, h, w), classes (t,) and, if there are any, weights (t,) of the rows of a step."""
        scene = self.scene
        data = scene.data
        # One choice is kept for ``every`` steps, as in matching: any sampler is a plug here too.
        if step % self.sampler.every == 0:
            with scene.stopwatch.phase("clustering"):
                view = View(
                    data,
                    network,  # type: ignore[arg-type]  # of a network, a sampler asks for its features alone
                    self.batch,
                    scene.streams["sampler"],
                    scene.engine,
                    turn=step // self.sampler.every,
                    fresh=scene.fresh("sampler"),
                    space=scene.container.space,
                )
                chosen = self.sampler.choose(view)
                self.choice, self.shares = chosen if isinstance(chosen, Weighted) else (chosen, None)
        # ``take`` gives a row of images for every class, in order.
        classes = torch.arange(data.num_classes, device=scene.device).repeat_interleave(self.batch)
        images = data.take(self.choice).flatten(0, 1)
        return images, classes, None if self.shares is None else self.shares.flatten()

    def state(self) -> Tensors:
        return {"choice": self.choice, **({} if self.shares is None else {"shares": self.shares})}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        held = {name: value.to(self.scene.device) for name, value in state.items()}
        self.choice, self.shares = held["choice"], held.get("shares")


def labels_of(scene: Scene, stored: Mapping[str, Tensor], each: int) -> Tensor:
    """Labels of the stored images, (n, C) floats: learned ones, or one-hot minus 1 / C."""
    if "labels" in stored:
        return stored["labels"].flatten(0, 1)
    classes = torch.arange(scene.data.num_classes, device=scene.device).repeat_interleave(each)
    # Labels that stay are those that real images have as targets: one-hot minus 1 / C.
    return centred(classes, scene.data.num_classes)


def check_batch(real_batch: int, sampler: Sampler) -> None:
    """Raise :class:`BadValue` for numbers outside their range."""
    if real_batch < 1 or sampler.every < 1:
        raise BadValue(
            f"recipe: real_batch is {real_batch} and sampler.every {sampler.every}; expected at least 1 of each",
            "real_batch=500",
        )


def fits_batch(real_batch: int, data: ClassData) -> None:
    """Raise :class:`BadValue` where a class has fewer images than a batch takes of it."""
    if real_batch > data.smallest:
        raise BadValue(
            f"real_batch {real_batch} exceeds the smallest class of {data.name} ({data.smallest} images)",
            f"real_batch={data.smallest} or less",
        )


class _WithoutNetwork(OfSteps):
    taught = False
    phases: tuple[str, ...] = ("clustering", "regression")

    def suits(self, container: object, teacher: object) -> None:
        if not isinstance(container, OfImages) or not isinstance(teacher, Untaught):
            raise BadValue(
                f"recipe: a kernel regression with the container {type(container).__name__} and the teacher "
                f"{type(teacher).__name__}; expected images, and no network",
                "container=Answers(), teacher=Untaught()",
            )

    def shown(self, classes: int, ipc: int) -> float:
        return 0.0


@register("regression")
@dataclass(frozen=True)
class Regression(_WithoutNetwork):
    """The error of a kernel ridge regression on the set for a batch of real images (KIP).

    Attributes
    ----------
    kernel : Kernel
        Computed in float64.
    sampler : Sampler
        Which real images are the targets; it sees pixels, since there is no network.
    real_batch : int
        Real images of each class a step.
    regularisation : float
        In units of the mean diagonal of the kernel; see :func:`~dreamlib.criteria.ridge.solve`.
    """

    kernel: Kernel = field(default_factory=FullyConnected)
    sampler: Sampler = field(default_factory=Random)
    real_batch: int = 500
    regularisation: float = REGULARISATION

    def check(self) -> None:
        check_batch(self.real_batch, self.sampler)

    def fits(self, data: ClassData) -> None:
        fits_batch(self.real_batch, data)

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Regressing:
        return Regressing(self, scene)


class Regressing(Stateless):
    """Kernel regression in one run."""

    def __init__(self, how: Regression, scene: Scene) -> None:
        self.how, self.scene = how, scene
        self.targets = Targets(scene, how.sampler, how.real_batch)
        self.pixels = AsSeen(scene.data.shape[0] * scene.data.shape[1] * scene.data.shape[2])

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        how, scene = self.how, self.scene
        real, classes, weights = self.targets.at(step, self.pixels)
        with scene.stopwatch.phase("regression"), torch.enable_grad():
            # Stored tensors -> images (n, c, h, w) and labels (n, C). In float64: a regularisation of 1e-6 needs its
            # digits.
            leaves = {name: value.detach().requires_grad_() for name, value in stored.items()}
            images = cast(ImageContainer, scene.container).decode(leaves)
            labels = labels_of(scene, leaves, images.shape[1])
            images = scene.data.normalisation.enter(images, scene.container.space).flatten(0, 1).double()
            # K(X, S) (t, n) and K(S, S) (n, n): predictions (t, C) for the real images (KIP).
            predictions = predict(
                how.kernel(real.double(), images), how.kernel(images, images), labels, how.regularisation
            )
            # Targets are one-hot minus 1/C, so that every row sums to 0 (released code).
            wanted = centred(classes, scene.data.num_classes).to(predictions)
            loss = kip_loss(predictions, wanted, weights)
            found = torch.autograd.grad(loss, list(leaves.values()))
        return StepResult(loss.detach(), dict(zip(leaves, found, strict=True)))

    def state(self) -> Tensors:
        return self.targets.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.targets.restore(state)


@register("label-solve")
@dataclass(frozen=True)
class LabelSolve(_WithoutNetwork):
    """The best labels for images that stay as they are, in one step and in closed form (Nguyen et al. 2021).

    All real images are its targets. ``kernel`` and ``regularisation`` are those of :class:`Regression`.
    """

    kernel: Kernel = field(default_factory=FullyConnected)
    regularisation: float = REGULARISATION

    def suits(self, container: object, teacher: object) -> None:
        super().suits(container, teacher)
        if not isinstance(container, Answers):
            raise BadValue(
                f"recipe: labels are to be solved for, and the container {type(container).__name__} holds none",
                "container=Answers()",
            )

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Solving:
        return Solving(self, scene)


class Solving(Stateless):
    """Label Solve in one run."""

    def __init__(self, how: LabelSolve, scene: Scene) -> None:
        self.how, self.scene = how, scene

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        how, scene = self.how, self.scene
        data = scene.data
        with scene.stopwatch.phase("regression"), torch.no_grad():
            images = data.normalisation.enter(stored["images"], scene.container.space).flatten(0, 1).double()
            numbers = torch.arange(data.total, device=scene.device).split(CHUNK)
            # K(X, S) of all real images, in chunks: (N, n) numbers fit into memory, the images in float64 may not.
            cross = torch.cat([how.kernel(data.at(part)[0].double(), images) for part in numbers])
            kernel = how.kernel(images, images)
            wanted = centred(data.labels, data.num_classes).to(cross)
            labels = solved_labels(cross, kernel, wanted, how.regularisation)
            loss = kip_loss(predict(cross, kernel, labels, how.regularisation), wanted)
        # Set, not moved: the labels are the solution, so there is no gradient.
        return StepResult(loss, {}, {"labels": labels.view_as(stored["labels"])})
