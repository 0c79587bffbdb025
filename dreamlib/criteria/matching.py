"""Matching: synthetic images learn to give the same measurements as real ones, class by class (DC, DM, IDC, DREAM).

One step: the sampler chooses real images X of every class c, the container decodes synthetic images S, both get the
same augmentation, and a network with weights w measures them::

    loss = sum over c of distance(measure_w(X_c), measure_w(S_c))        and its gradient by the stored tensors
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from ..augment import Siamese
from ..containers import ImageContainer, OfImages
from ..core.errors import BadValue, unknown
from ..data import ClassData
from ..matchers import Feature, Matcher, measure_under, weighs
from ..networks import Network, batch_norms
from ..samplers import Random, Sampler, View, Weighted
from ..teachers import Networks, Scene, Teaching
from .base import OfSteps, Stateless, StepResult, Tensors, register
from .classwise import Augmented, Classwise

STATISTICS = ("joint", "frozen", "per class")
STATISTICS_IMAGES = 16  # real images of each class that frozen batch norms have seen (DC, released code)


@register("matching")
@dataclass(frozen=True)
class Matching(OfSteps):
    """The distance between measurements of real and synthetic images under one network.

    Attributes
    ----------
    sampler : Sampler
        Chooses the real images of a step.
    matcher : Matcher
        What is compared.
    augment : Siamese
        Drawn once per class and step, the same for the real and the synthetic images.
    real_batch : int
        Real images of each class per step.
    synthetic_batch : int, optional
        At most this many decoded synthetic images of each class per step, drawn again each step (IDC: 128). None: all
        of them.
    statistics : str
        The source of batch norms' mean and variance; without effect on networks without batch norm.
        ``"joint"``: from all classes of a batch together, real and synthetic images apart (DM, released code).
        ``"frozen"``: from a few real images of every class, for real and synthetic images alike (DC and DSA, released
        code). ``"per class"``: from one class at a time, as a simple loop over classes does.
    """

    sampler: Sampler = field(default_factory=Random)
    matcher: Matcher = field(default_factory=Feature)
    augment: Siamese = field(default_factory=lambda: Siamese("none"))
    real_batch: int = 256
    synthetic_batch: int | None = None
    statistics: str = "joint"

    phases = ("clustering", "matching")

    def check(self) -> None:
        for name in ("real_batch", "synthetic_batch"):
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise BadValue(f"recipe: {name} is {value}; expected at least 1", f"{name}=64")
        if self.statistics not in STATISTICS:
            raise unknown("choice of batch-norm statistics", self.statistics, STATISTICS)
        if self.sampler.every < 1:
            raise BadValue(f"recipe: sampler.every is {self.sampler.every}; expected at least 1", "")

    def suits(self, container: object, teacher: object) -> None:
        if not isinstance(container, OfImages):
            raise BadValue(
                f"recipe: a matching criterion, but the container {type(container).__name__} holds no images",
                "criterion=Generative(), or container=Pixels()",
            )
        if not isinstance(teacher, Networks):
            raise BadValue(
                f"recipe: a teacher {type(teacher).__name__}; images are matched under networks of one architecture",
                "teacher=Networks()",
            )

    def fits(self, data: ClassData) -> None:
        if self.real_batch > data.smallest:
            raise BadValue(
                f"real_batch {self.real_batch} exceeds the smallest class of {data.name} ({data.smallest} images)",
                f"real_batch={data.smallest} or less",
            )

    def shown(self, classes: int, ipc: int) -> float:
        return float(classes * (self.real_batch + ipc))

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Comparison:
        return Comparison(self, scene, teaching)


class Comparison(Stateless):
    """Matching in one run: it keeps the chosen real images between steps and takes the gradient of each step.

    Attributes
    ----------
    choice : Tensor
        (C, B) positions of the real images of the step.
    shares : tuple of Tensor
        (C, B): how much each counts, where the sampler says so. Empty: all alike.
    """

    def __init__(self, how: Matching, scene: Scene, teaching: Teaching) -> None:
        self.how, self.scene, self.teaching = how, scene, teaching
        self.matcher, self.augment = how.matcher, how.augment
        self.container = cast(ImageContainer, scene.container)
        self.choice = torch.empty(0, dtype=torch.int64, device=scene.device)
        self.shares: tuple[Tensor, ...] = ()
        self.decoded = 0  # images of each class, known from the first step on
        inseparable = how.statistics == "joint" and bool(batch_norms(self.network))
        self.classwise = Classwise(self, scene, 1 if how.statistics == "per class" else None, inseparable)

    @property
    def network(self) -> Network:
        """The network of the step."""
        return cast(Network, self.teaching.network)

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        how, scene, classes = self.how, self.scene, self.scene.data.num_classes
        # 1. Which real images (DREAM's contribution): chosen again every ``every`` steps, by the current network.
        if step % how.sampler.every == 0:
            with scene.stopwatch.phase("clustering"):
                # Running statistics: an embedding must not depend on the other images of its batch.
                self.network.eval()
                chosen = how.sampler.choose(self._view(step))
                # Shares: the part of its class that an image stands for, where the sampler counts clusters by their
                # size.
                self.choice, *shares = chosen if isinstance(chosen, Weighted) else (chosen,)
                self.shares = tuple(shares)
                if shares and not weighs(self.matcher):
                    raise BadValue(
                        f"the sampler {type(how.sampler).__name__} counts images by shares, and the matcher "
                        f"{type(self.matcher).__name__} cannot; expected one whose measure takes shares",
                        "matcher=Gradient() or Feature(), or sampler=Representative()",
                    )
        with scene.stopwatch.phase("matching"):
            # Decoding can make more images than are stored (IDC: one of each tile), so their number is counted once, on
            # images.
            if not self.decoded:
                with torch.no_grad():
                    self.decoded = self.container.decode(stored).shape[1]
            # Training mode, as in the released code of DC and DM: batch norms normalise by the batch they see.
            self.network.train()
            if how.statistics == "frozen":
                self.freeze_statistics()
            # 2. One augmentation per class, shared by its real and synthetic images (DSA).
            transform = self.augment.draw(classes, scene.streams["augment"])
            # 3. The weights as arguments: an engine compiles the step once, and every later network runs the same code.
            weights = {name: weight.detach() for name, weight in self.network.named_parameters()}
            real = self.choice, *self.shares
            loss, gradients = self.classwise.gradient(weights, real, stored, self._subset(), transform)
        return StepResult(loss, gradients)

    # The mathematics, as pure functions of tensors that an engine can compile. G classes go through a network together.

    def measured(self, weights: Tensors, real: Tensor, classes: Tensor, *shares: Tensor) -> list[Tensor]:
        """The matcher's measurements of real images (G, B, c, h, w), each of which counts by its share (G, B)."""
        # ``lower`` casts to fast mode's number format; measurements come back in that of the images.
        low = self.scene.engine.lower
        found = measure_under(low(weights), self.matcher, self.network, low(real), classes, False, *shares)
        # The real side is a constant target: only the synthetic images learn.
        return [value.detach().to(real.dtype) for value in found]

    def matching_gradient(
        self, weights: Tensors, images: Tensor, classes: Tensor, target: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Distance of synthetic images (G, B, c, h, w) from the measurements ``target``, and its gradient."""
        low, matcher = self.scene.engine.lower, self.matcher
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            found = measure_under(low(weights), matcher, self.network, low(images), classes, True)
            # The distance in float32: small differences of large sums would be lost in bfloat16.
            loss = matcher.distance(target, [value.to(images.dtype) for value in found])
            (gradient,) = torch.autograd.grad(loss, images)
        return loss.detach(), gradient

    def stored_gradient(
        self,
        matching_gradient: Callable[..., tuple[Tensor, Tensor]],
        augment: Augmented,
        weights: Tensors,
        classes: Tensor,
        stored: Tensors,
        subset: tuple[Tensor, ...],
        target: list[Tensor],
    ) -> tuple[Tensor, Tensors]:
        """The loss of decoded and augmented images of G classes, and its gradient by the stored tensors.

        ``subset`` holds the positions (G, B) of the decoded images that take part, or nothing for all of them.
        """
        with torch.enable_grad():
            # Forwards: stored tensors -> decoded images -> normalised -> subset -> augmented, (G, B, c, h, w).
            leaves = {name: value.detach().requires_grad_() for name, value in stored.items()}
            images = self.scene.data.normalisation.enter(self.container.decode(leaves), self.container.space)
            for seen in subset:
                # (G, 1) with (G, B): every class has a choice of its own.
                images = images[torch.arange(len(classes), device=classes.device).unsqueeze(1), seen]
            images = augment(images)
        # The gradient by the images is computed apart, as its own compiled function, then passed back by the chain rule
        # through augmentation and decoding.
        loss, gradient = matching_gradient(weights, images.detach(), classes, target)
        found = torch.autograd.grad(images, list(leaves.values()), gradient)
        return loss, dict(zip(leaves, found, strict=True))

    # The images that take part in a step
    def _view(self, step: int) -> View:
        scene = self.scene
        return View(
            scene.data,
            self.network,
            self.how.real_batch,
            scene.streams["sampler"],
            scene.engine,
            turn=step // self.how.sampler.every,
            fresh=scene.fresh("sampler"),
            space=self.container.space,
        )

    def _subset(self) -> Tensor | None:
        """Positions of the decoded images that take part, (C, synthetic_batch), or None for all of them."""
        most = self.how.synthetic_batch
        if most is None or self.decoded <= most:
            return None
        scene = self.scene
        size = scene.data.num_classes, self.decoded
        # The largest random keys: a draw without replacement in every class at once.
        keys = torch.rand(size, generator=scene.streams["subset"], device=scene.device)
        return keys.topk(most, dim=1).indices

    def freeze_statistics(self) -> None:
        """Set every batch norm to the mean and variance of real images of all classes, and freeze it.

        The released code moves the running statistics a tenth of the way there; here they become those of the images.
        """
        layers, data = batch_norms(self.network), self.scene.data
        if not layers:
            return
        # All classes together: statistics of one class would take away the mean in which it differs from the others.
        index = data.draw(min(STATISTICS_IMAGES, data.smallest), self.scene.streams["statistics"])
        usual = [layer.momentum for layer in layers]
        # With momentum 1 one pass replaces the running statistics by those of these images.
        for layer in layers:
            layer.momentum = 1.0
        with torch.no_grad():
            self.network.features(data.take(index).flatten(0, 1))
        for layer, momentum in zip(layers, usual, strict=True):
            layer.momentum = momentum
            layer.eval()

    def state(self) -> Tensors:
        return {"choice": self.choice, **dict(zip(("shares",), self.shares, strict=False))}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.choice = state["choice"].to(self.scene.device)
        self.shares = tuple(state[name].to(self.scene.device) for name in ("shares",) if name in state)
