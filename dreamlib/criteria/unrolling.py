"""Dataset Distillation (DD; Wang et al. 2018): images and rates that train a network in a few steps."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F

from ..augment import crops
from ..containers import Container, Steps
from ..core.errors import BadValue
from ..core.registry import UNSAID
from ..data import ClassData
from ..teachers import Scene, Teaching, Untaught
from .base import OfSteps, Stateless, StepResult, Tensors, register
from .unrolled import check, forward_of, in_turn, on_images, unroll


@register("unrolling")
@dataclass(frozen=True)
class Unrolling(OfSteps):
    """The loss of real images under a network trained on the set, as a function of its images and rates.

    Attributes
    ----------
    real_batch : int
        Real images of a step, of all classes.
    crops : int
        Pixels that a real image is moved by at most, either way, and then it is mirrored or not; 0: it stays as it is
        (DD, released code: 4 on CIFAR-10; its paper says nothing of it).
    """

    real_batch: int = 1024
    crops: int = field(default=0, metadata=UNSAID)

    def check(self) -> None:
        if self.crops < 0:
            raise BadValue(f"crops is {self.crops} pixels; expected at least 0", "crops=4")
        if self.real_batch < 1:
            raise BadValue(f"real_batch is {self.real_batch}; expected at least 1", "real_batch=1024")

    def suits(self, container: Container, teacher: object) -> None:
        if not isinstance(container, Steps):
            raise BadValue(
                f"training is to be unrolled over steps with rates, and the container is {type(container).__name__}",
                "container=Steps()",
            )
        if isinstance(teacher, Untaught):
            raise BadValue(
                "training is to be unrolled, and no teacher gives a network to train",
                'teacher=Networks(steps=1, trained_on="nothing")',
            )

    def fits(self, data: ClassData) -> None:
        if self.real_batch > data.total:
            raise BadValue(
                f"a batch of {self.real_batch} real images, and {data.name} has {data.total}",
                f"real_batch={data.total}",
            )

    def shown(self, classes: int, ipc: int) -> float:
        # Forwards once, and about three times as much backwards, with products with Hessians; E is three in DD.
        return 4.0 * 3 * classes * ipc + self.real_batch

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Any] | None) -> Unrolls:
        return Unrolls(self, scene, teaching)


class Unrolls(Stateless):
    """Unrolled training in one run."""

    def __init__(self, how: Unrolling, scene: Scene, teaching: Teaching) -> None:
        self.how, self.scene, self.teaching = how, scene, teaching

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        network, data = self.teaching.network, self.scene.data
        assert network is not None
        with self.scene.stopwatch.phase("matching"):
            # Real images run through permutations of the training set, whatever their classes.
            real, classes = data.turn_flat(self.how.real_batch, step, self.scene.fresh("real"))
            if self.how.crops:
                real = crops(real, self.how.crops, self.scene.streams["augment"])
            forward = forward_of(network)
            container = cast(Steps, self.scene.container)
            images, rates = container.decode(stored), container.rates(stored)
            # Every step has one image of every class.
            targets = torch.eye(data.num_classes, device=self.scene.device).expand(len(images), -1, -1)
            # The fixed order of the steps is part of what is learned: the same batches, at the same rates, in training
            # and evaluation (DD).
            found = unroll(
                forward,
                {name: weight.detach() for name, weight in network.named_parameters()},
                {"images": images},
                lambda learned, k: in_turn({**learned, "targets": targets}, k),
                rates.flatten(),
                on_images(forward, real, F.one_hot(classes, data.num_classes).float()),
                run=self._run,
            )
            check(found, rates.flatten())
            # Chain rule: rate = softplus(raw), whose derivative is the sigmoid.
            by_raw = found.rates.view_as(rates) * stored["raw_rates"].sigmoid()
        return StepResult(
            found.loss, {"images": found.learned["images"].transpose(0, 1), "raw_rates": by_raw}
        )

    def _run(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
        scene = self.scene
        return scene.engine.run(
            ("unrolling", scene.network, scene.data.shape, scene.data.num_classes, key), function, *arguments
        )
