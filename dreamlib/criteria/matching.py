"""Matching: synthetic images are pulled to what a matcher measures of real ones, class by class (DC, DM, IDC, DREAM).

A step in full: the sampler has chosen real images X of every class c, the container gives synthetic ones S, both are
augmented alike, and a network with weights w measures them::

    loss = sum over c of distance(measure_w(X_c), measure_w(S_c))        and its gradient by what is stored
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
from .base import Bare, OfSteps, Pull, Tensors, register
from .classwise import Augmented, Classwise

STATISTICS = ("joint", "frozen", "per class")
STATISTICS_IMAGES = 16  # real images of each class that frozen batch norms have seen (DC, released code)


@register("matching")
@dataclass(frozen=True)
class Matching(OfSteps):
    """What real and synthetic images have in common under one network.

    Attributes
    ----------
    sampler : Sampler
        Which real images a step looks at.
    matcher : Matcher
        What is compared.
    augment : Siamese
        Drawn once per class and step, the same for the real and the synthetic images.
    real_batch : int
        Real images of each class per step.
    synthetic_batch : int, optional
        At most this many decoded synthetic images of each class per step, drawn anew (IDC: 128). None: all of them.
    statistics : str
        Where batch norms of the network take their mean and variance from; without effect on networks that have none.
        ``"joint"``: from all classes of a batch together, real and synthetic images apart (DM, released code).
        ``"frozen"``: from a few real images of every class, for real and synthetic images alike (DC and DSA, released
        code). ``"per class"``: from one class at a time, which is what a loop over classes does if nothing is done
        about it.
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
                f"recipe: a matching criterion, and the container {type(container).__name__} holds no images",
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


class Comparison(Bare):
    """Matching at work: which real images are looked at, and what they ask for.

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

    def gradients(self, step: int, stored: Tensors) -> Pull:
        how, scene, classes = self.how, self.scene, self.scene.data.num_classes
        if step % how.sampler.every == 0:
            with scene.stopwatch.phase("clustering"):
                self.network.eval()
                chosen = how.sampler.choose(self._view(step))
                self.choice, *shares = chosen if isinstance(chosen, Weighted) else (chosen,)
                self.shares = tuple(shares)
                if shares and not weighs(self.matcher):
                    raise BadValue(
                        f"the sampler {type(how.sampler).__name__} counts images by shares, and the matcher "
                        f"{type(self.matcher).__name__} cannot; expected one whose measure takes shares",
                        "matcher=Gradient() or Feature(), or sampler=Representative()",
                    )
        with scene.stopwatch.phase("matching"):
            if not self.decoded:
                with torch.no_grad():
                    self.decoded = self.container.decode(stored).shape[1]
            self.network.train()
            if how.statistics == "frozen":
                self.freeze_statistics()
            transform = self.augment.draw(classes, scene.streams["augment"])
            # As plain tensors: what an engine runs is a pure function, for this network and the next.
            weights = {name: weight.detach() for name, weight in self.network.named_parameters()}
            real = self.choice, *self.shares
            loss, gradients = self.classwise.gradient(weights, real, stored, self._subset(), transform)
        return Pull(loss, gradients)

    # The mathematics, as pure functions of tensors: what an engine runs. G classes go through a network together.

    def measured(self, weights: Tensors, real: Tensor, classes: Tensor, *shares: Tensor) -> list[Tensor]:
        """What the matcher measures of real images (G, B, c, h, w), each of which counts by its share (G, B)."""
        low = self.scene.engine.lower
        found = measure_under(low(weights), self.matcher, self.network, low(real), classes, False, *shares)
        return [value.detach().to(real.dtype) for value in found]

    def pull(
        self, weights: Tensors, images: Tensor, classes: Tensor, target: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Distance of synthetic images (G, B, c, h, w) from the measurements ``target``, and its gradient."""
        low, matcher = self.scene.engine.lower, self.matcher
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            found = measure_under(low(weights), matcher, self.network, low(images), classes, True)
            loss = matcher.distance(target, [value.to(images.dtype) for value in found])
            (gradient,) = torch.autograd.grad(loss, images)
        return loss.detach(), gradient

    def stored_pull(
        self,
        pull: Callable[..., tuple[Tensor, Tensor]],
        augment: Augmented,
        weights: Tensors,
        classes: Tensor,
        stored: Tensors,
        subset: tuple[Tensor, ...],
        target: list[Tensor],
    ) -> tuple[Tensor, Tensors]:
        """What :meth:`pull` finds for decoded and augmented images, and its gradient by what is stored of G classes.

        ``subset`` holds which of the decoded images are looked at, (G, B), or nothing for all of them.
        """
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in stored.items()}
            images = self.scene.data.normalisation.enter(self.container.decode(leaves), self.container.space)
            for seen in subset:
                images = images[torch.arange(len(classes), device=classes.device).unsqueeze(1), seen]
            images = augment(images)
        loss, gradient = pull(weights, images.detach(), classes, target)
        found = torch.autograd.grad(images, list(leaves.values()), gradient)
        return loss, dict(zip(leaves, found, strict=True))

    # What a step looks at

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
        """Which decoded images this step looks at, (C, synthetic_batch), or None for all of them."""
        most = self.how.synthetic_batch
        if most is None or self.decoded <= most:
            return None
        scene = self.scene
        size = scene.data.num_classes, self.decoded
        keys = torch.rand(size, generator=scene.streams["subset"], device=scene.device)
        return keys.topk(most, dim=1).indices

    def freeze_statistics(self) -> None:
        """Give every batch norm the mean and variance of real images of all classes, and keep it from taking others.

        The released code moves the running statistics a tenth of the way there; here they are those of the images.
        """
        layers, data = batch_norms(self.network), self.scene.data
        if not layers:
            return
        index = data.draw(min(STATISTICS_IMAGES, data.smallest), self.scene.streams["statistics"])
        usual = [layer.momentum for layer in layers]
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
