"""How a matching step runs: as many classes at once as fit, compiled or recorded, and retried on a full device.

:mod:`dreamlib.criteria.matching` says what is computed. This module changes only the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..augment import Siamese, Transform
from ..compute.memory import GIB, held_bytes, peak_bytes
from ..core.errors import BadValue, OutOfMemory
from ..matchers import Matcher
from ..networks import Network, largest_map
from ..teachers import Scene

Tensors = dict[str, Tensor]
Augmented = Callable[[Tensor], Tensor]


class Compared(Protocol):
    """The mathematics for G classes, as pure functions of tensors under one network."""

    @property
    def matcher(self) -> Matcher: ...
    @property
    def augment(self) -> Siamese: ...
    @property
    def network(self) -> Network: ...
    @property
    def decoded(self) -> int:
        """Synthetic images of each class."""
        ...

    def measured(self, weights: Tensors, real: Tensor, classes: Tensor, *shares: Tensor) -> list[Tensor]:
        """The matcher's measurements of real images (G, B, c, h, w), each of which counts by its share (G, B)."""
        ...

    def matching_gradient(
        self, weights: Tensors, images: Tensor, classes: Tensor, target: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Distance of synthetic images (G, B, c, h, w) from the measurements ``target``, and its gradient."""
        ...

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
        """The same for stored tensors, which are decoded and augmented first: distance and gradient by the tensors."""
        ...


class Classwise:
    """Runs matching steps over chunks of classes.

    Parameters
    ----------
    compared : Compared
        What is computed.
    scene : Scene
        The run.
    at_once : int, optional
        At most so many classes at once; None: all.
    inseparable : bool
        All classes have to go through the network together: with joint batch norm, fewer at once change the result.
    """

    def __init__(self, compared: Compared, scene: Scene, at_once: int | None, inseparable: bool) -> None:
        self.compared, self.scene, self.inseparable = compared, scene, inseparable
        self.classes = torch.arange(scene.data.num_classes, device=scene.device)
        # Classes that may go together; lowered when the memory says so, and never raised again.
        self.at_once = at_once or scene.data.num_classes
        self.memory_gb = scene.memory_gb
        self.map_bytes = largest_map(compared.network, scene.data.shape)

    def gradient(
        self,
        weights: Tensors,
        real: tuple[Tensor, ...],
        stored: Tensors,
        subset: Tensor | None,
        transform: Transform,
    ) -> tuple[Tensor, Tensors]:
        """The matching loss and its gradient by what is stored; on a full device again with half as many classes.

        Parameters
        ----------
        weights : dict of str to Tensor
            Of the network.
        real : tuple of Tensor
            (C, B) positions of the real images and, where they do not all count alike, (C, B) shares.
        stored : dict of str to Tensor
            (C, ...) each, except those that the container shares between classes.
        subset : Tensor, optional
            (C, S): the decoded images that take part.
        transform : Transform
            Of each class.
        """
        if self.memory_gb is not None:
            self._bound(weights, self._synthetic(subset), real[0].shape[1])
        while True:
            try:
                return self._gradient(weights, *real, stored=stored, subset=subset, transform=transform)
            except torch.OutOfMemoryError as error:
                self._refuse_if_one(real[0].shape[1], error)
            # Half as many classes, rounded up. It stays so: the device would be full again at the next step.
            self.at_once = -(-self.at_once // 2)
            if self.scene.device.type == "cuda":
                torch.cuda.empty_cache()

    def _gradient(
        self,
        weights: Tensors,
        choice: Tensor,
        *shares: Tensor,
        stored: Tensors,
        subset: Tensor | None,
        transform: Transform,
    ) -> tuple[Tensor, Tensors]:
        compared, data, engine = self.compared, self.scene.data, self.scene.engine
        # Fast mode may round further what a matcher compares only in means over many images.
        averages = getattr(compared.matcher, "averages", ())
        measure, match = (partial(engine.run, averages=side in averages) for side in ("real", "synthetic"))
        # A recorded step (CUDA graph) has to do the same whatever was drawn, so there every class goes through every
        # augmentation. Elsewhere each augmentation runs only for the classes that drew it.
        whole = engine.records
        drawn = transform.tensors(self.scene.device) if whole else ()
        # 1. Measure the real images, without a gradient.
        targets: list[list[Tensor]] = []
        for classes in self._chunks(choice.shape[1]):
            real, share = data.take(choice[classes], classes), self._rows(shares, classes)
            if whole:
                given = weights, classes, real, self._rows(drawn, classes), *share
                targets.append(measure(self._key("augmented real"), self._augmented_real, *given))
            else:
                with torch.no_grad():
                    real = self._of(transform, classes)(real)
                targets.append(measure(self._key("real"), compared.measured, weights, real, classes, *share))
        target = [torch.cat(pieces) for pieces in zip(*targets, strict=True)]

        # 2. Compare the synthetic images with them. Chunks may be larger here: there are fewer images per class.
        total = torch.zeros((), device=self.scene.device)
        parts: dict[str, list[Tensor]] = {name: [] for name in stored}
        shared = {name: value for name, value in stored.items() if self.scene.container.shared(name)}
        own = {name: value for name, value in stored.items() if name not in shared}
        for classes in self._chunks(self._synthetic(subset)):
            mine, seen, wanted = self._rows((own, () if subset is None else (subset,), target), classes)
            held = {**mine, **shared}
            if whole:
                about = weights, classes, held, seen, wanted, self._rows(drawn, classes)
                loss, gradients = match(self._key("augmented synthetic"), self._augmented_gradient, *about)
            else:
                matching_gradient, augment = (
                    partial(match, self._key("synthetic"), compared.matching_gradient),
                    self._of(transform, classes),
                )
                loss, gradients = compared.stored_gradient(
                    matching_gradient, augment, weights, classes, held, seen, wanted
                )
            for name, gradient in gradients.items():
                parts[name].append(gradient)
            # The loss is a sum over classes: how many a chunk holds changes nothing but the order of sums.
            total += loss
        return total, {
            # Chunks hold classes in order, so their rows are put together again. What all classes share gets the sum.
            name: torch.stack(found).sum(0) if name in shared else torch.cat(found)
            for name, found in parts.items()
        }

    # The two halves including augmentation, for an engine that records whole steps. ``drawn`` comes from
    # Transform.tensors().

    def _augmented_real(
        self,
        weights: Tensors,
        classes: Tensor,
        images: Tensor,
        drawn: tuple[Tensor, Tensor],
        *shares: Tensor,
    ) -> list[Tensor]:
        augmented = self.compared.augment.apply(images, *drawn)
        return self.compared.measured(weights, augmented, classes, *shares)

    def _augmented_gradient(
        self,
        weights: Tensors,
        classes: Tensor,
        stored: Tensors,
        subset: tuple[Tensor, ...],
        target: list[Tensor],
        drawn: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensors]:
        def augment(images: Tensor) -> Tensor:
            return self.compared.augment.apply(images, *drawn)

        return self.compared.stored_gradient(
            self.compared.matching_gradient, augment, weights, classes, stored, subset, target
        )

    def _key(self, what: str) -> tuple[object, ...]:
        """Everything the functions close over: runs with equal keys share one compiled version."""
        compared, scene = self.compared, self.scene
        # Only recorded functions contain augmentation and decoding, so only their key names them.
        key = what, compared.matcher, scene.network, scene.data.shape, scene.data.num_classes
        whole = compared.augment, scene.container, scene.data.normalisation
        return (*key, *whole) if scene.engine.records else key

    # Chunks of classes: how many go through the network together.
    def _synthetic(self, subset: Tensor | None) -> int:
        """Synthetic images of each class in a step."""
        return self.compared.decoded if subset is None else subset.shape[1]

    def _chunks(self, images: int) -> tuple[Tensor, ...]:
        """Classes that go through the network together, when each has so many images."""
        most = self.scene.engine.groups(len(self.classes), images * self.map_bytes)
        return self.classes.split(self.at_once if self.inseparable else min(self.at_once, most))

    def _of(self, transform: Transform, classes: Tensor) -> Transform:
        """The transform of some classes. Of all of them nothing is selected: that would wait for the device."""
        return transform if len(classes) == len(self.classes) else transform.select(classes)

    def _rows(self, value: Any, classes: Tensor) -> Any:
        """The rows of some classes of (nested) tensors, without a copy where these are all classes."""
        if len(classes) == len(self.classes):
            return value
        return pytree.tree_map_only(Tensor, lambda tensor: tensor[classes], value)

    # Memory: refused early where one class is too much, else divided among as many classes as fit.
    def _refuse_if_one(self, real: int, error: Exception) -> None:
        """Raise where the device is full with the fewest classes that can go through the network."""
        scene = self.scene
        if self.inseparable:
            raise OutOfMemory(
                f"{scene.device} has too little memory to match all classes at once, as batch norm needs it "
                f"({len(self.classes)} classes of {real} real images)",
                'a smaller real_batch or network width, or norm="instance"',
            ) from error
        if self.at_once == 1:
            raise OutOfMemory(
                f"{scene.device} has too little memory to match one class of {real} real images",
                "a smaller real_batch or network width, or --device cpu",
            ) from error

    def _bound(self, weights: Tensors, synthetic: int, real: int) -> None:
        """Lower ``at_once``, once, to what fits into the given memory."""
        assert self.memory_gb is not None
        held = held_bytes(self.scene.device)
        room = self.memory_gb * GIB - held
        # Once per run: shapes, and so sizes, are the same at every step.
        self.memory_gb = None
        least = len(self.classes) if self.inseparable else 1
        one, two = (self.peak(weights, count, synthetic, real) for count in (least, 2))
        if one > room:
            what = "one class" if least == 1 else f"all {least} classes together, as batch norm needs them,"
            raise BadValue(
                f"{room / GIB:.3g} GiB are left for matching, and {what} of {real} real and {synthetic} "
                f"synthetic images takes {one / GIB:.3g} GiB",
                f"--memory-gb {1.01 * (one + held) / GIB:.3g}, or a smaller real_batch or network width",
            )
        if least == 1:
            # The peak is linear in the number of classes: a fixed part (weights), and ``two - one`` for each class.
            self.at_once = min(self.at_once, 1 + int((room - one) // max(two - one, 1)))

    def peak(self, weights: Tensors, classes: int, synthetic: int, real: int) -> int:
        """Bytes that matching ``classes`` at once takes, images and measurements included."""
        shape, device, network = self.scene.data.shape, self.scene.device, self.compared.network
        labels = self.classes[:1].expand(classes)

        def images(count: int) -> Tensor:
            return torch.empty(classes, count, *shape, device=device)

        def step() -> None:
            # Two copies of the images exist at once: as drawn or decoded, and augmented.
            drawn = images(real), images(real)
            target = self.compared.measured(weights, drawn[0], labels)
            made = images(synthetic), images(synthetic)
            self.compared.matching_gradient(weights, made[0], labels, target)

        # In evaluation mode: batch norms must not update running statistics from tensors without values.
        trained = [layer for layer in network.modules() if layer.training]
        network.eval()
        try:
            return peak_bytes(step)
        finally:
            for layer in trained:
                layer.training = True
