"""A toy method with a learned rate: images and the rate they are trained at, through three steps (after DD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlib import containers, criteria
from dreamlib.containers import SGD, OfImages, Update
from dreamlib.coresets import RealImages
from dreamlib.criteria import OfSteps, Stateless, StepResult
from dreamlib.criteria.unrolled import forward_of, on_images, unroll
from dreamlib.distillation.evaluate import Evaluation
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import NetworkSpec, training
from dreamlib.recipes import Method, methods, protocols
from dreamlib.teachers import Networks, Scene, Teaching

Tensors = dict[str, Tensor]


@containers.register("toy-at-a-rate")
@dataclass(frozen=True)
class AtARate(OfImages):
    """Images, and the logarithm of the rate they are to be trained at."""

    space: str = "normalised"
    rate: float = 0.02
    rate_lr: float = 0.1

    def start(
        self,
        images: Tensor | None,
        ipc: int,
        shape: tuple[int, int, int],
        num_classes: int,
        stream: torch.Generator,
    ) -> Tensors:
        assert images is not None
        return {"images": images.clone(), "log_rate": images.new_tensor(self.rate).log()}

    def updates(self, images: Update) -> Mapping[str, Update]:
        return {"images": images, "log_rate": SGD(self.rate_lr)}

    def shared(self, name: str) -> bool:
        return name == "log_rate"

    def rates(self, stored: Mapping[str, Tensor]) -> Tensor | None:
        return stored["log_rate"].exp()


@criteria.register("toy-after-steps")
@dataclass(frozen=True)
class AfterSteps(OfSteps):
    """The loss of real images after some steps on all stored ones, at the stored rate."""

    unrolled: int = 3
    batch: int = 64

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Unrolling:
        return Unrolling(self, scene, teaching)


class Unrolling(Stateless):
    def __init__(self, how: AfterSteps, scene: Scene, teaching: Teaching) -> None:
        self.how, self.scene, self.teaching = how, scene, teaching

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        data, network = self.scene.data, self.teaching.network
        assert network is not None
        real, classes = data.draw_flat(self.how.batch, self.scene.streams["real"])
        forward = forward_of(network)
        labels = torch.arange(data.num_classes).repeat_interleave(stored["images"].shape[1])
        targets = F.one_hot(labels, data.num_classes).float()
        found = unroll(
            forward,
            {name: weight.detach() for name, weight in network.named_parameters()},
            {"images": stored["images"]},
            lambda learned, k: (learned["images"].flatten(0, 1), targets),
            stored["log_rate"].exp().expand(self.how.unrolled),
            on_images(forward, real, F.one_hot(classes, data.num_classes).float()),
        )
        by_log = found.rates.sum() * stored["log_rate"].exp()  # d rate / d log rate is the rate
        return StepResult(found.loss, {"images": found.learned["images"], "log_rate": by_log})


protocols.register("toy-own-rate", Evaluation("toy-own-rate", training.SGD(own_rate=True, momentum=0.0)))
methods.register(
    Method(
        "toy-rate",
        "Learned rate (toy)",
        Recipe(
            container=AtARate(),
            criterion=AfterSteps(),
            teacher=Networks(),
            initial=RealImages(),
            network=NetworkSpec(width=8, depth=2),
            iterations=12,
        ),
        protocol="toy-own-rate",
    )
)
