"""A toy method with learned labels: real images stay as they are, and what they teach is learned (after LD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlib import containers, criteria
from dreamlib.containers import SGD, OfImages, Update
from dreamlib.containers.answers import project
from dreamlib.coresets import RealImages
from dreamlib.criteria import OfSteps, Stateless, StepResult
from dreamlib.criteria.labels import second_order
from dreamlib.criteria.unrolled import forward_of, on_images
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import Method, methods
from dreamlib.teachers import Networks, Scene, Teaching

Tensors = dict[str, Tensor]


@containers.register("toy-answers")
@dataclass(frozen=True)
class Answers(OfImages):
    """Images that stay, and probabilities of all classes for each of them."""

    space: str = "normalised"
    label_lr: float = 5.0

    def start(
        self,
        images: Tensor | None,
        ipc: int,
        shape: tuple[int, int, int],
        num_classes: int,
        stream: torch.Generator,
    ) -> Tensors:
        assert images is not None
        return {
            "images": images.clone(),
            "labels": images.new_full((num_classes, ipc, num_classes), 1 / num_classes),
        }

    def updates(self, images: Update) -> Mapping[str, Update]:
        return {"labels": SGD(self.label_lr)}

    def targets(self, stored: Mapping[str, Tensor], each: int) -> Tensor:
        # As the last step left them, they need not be probabilities.
        return project(stored["labels"]).flatten(0, 1)

    def project(self, stored: Tensors) -> None:
        stored["labels"].copy_(project(stored["labels"]))


@criteria.register("toy-one-step")
@dataclass(frozen=True)
class OneStep(OfSteps):
    """The loss of real images after one step on the stored ones."""

    lr: float = 1.0
    batch: int = 64

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Descending:
        return Descending(self, scene, teaching)


class Descending(Stateless):
    def __init__(self, how: OneStep, scene: Scene, teaching: Teaching) -> None:
        self.how, self.scene, self.teaching = how, scene, teaching

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        data, network = self.scene.data, self.teaching.network
        assert network is not None
        real, classes = data.draw_flat(self.how.batch, self.scene.streams["real"])
        forward = forward_of(network)
        weights = {name: weight.detach() for name, weight in network.named_parameters()}
        labels = stored["labels"]
        found = second_order(
            forward,
            weights,
            stored["images"].flatten(0, 1),
            labels.flatten(0, 1),
            [torch.arange(labels.shape[:2].numel())],
            torch.tensor([self.how.lr]),
            on_images(forward, real, F.one_hot(classes, data.num_classes).float()),
        )
        return StepResult(found.loss, {"labels": found.learned["targets"].view_as(labels)})


methods.register(
    Method(
        "toy-labels",
        "Learned labels (toy)",
        Recipe(
            container=Answers(),
            criterion=OneStep(),
            teacher=Networks(steps=2),
            initial=RealImages(),
            network=NetworkSpec(width=8, depth=2),
            iterations=6,
        ),
        protocol="dsa",
    )
)
