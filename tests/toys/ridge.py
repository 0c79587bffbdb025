"""A toy method without a network: images whose ridge regression on pixels tells real images' classes (after KIP)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlib import criteria
from dreamlib.compute.engine import Engine
from dreamlib.coresets import RealImages
from dreamlib.criteria import OfSteps, Stateless, StepResult
from dreamlib.distillation.evaluate import Evaluation
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import NetworkSpec
from dreamlib.networks.training import Outputs, TrainingData
from dreamlib.recipes import Method, methods, protocols
from dreamlib.teachers import Scene, Teaching, Untaught

Tensors = dict[str, Tensor]
PENALTY = 1e-2


def answers(images: Tensor, hot: Tensor, asked: Tensor) -> Tensor:
    """What a ridge regression of one-hot classes (n, C) on images (n, c, h, w) says of others, (m, C)."""
    x, y = images.flatten(1), asked.flatten(1)
    size = x.shape[1]
    kernel = x @ x.T / size + PENALTY * torch.eye(len(x))
    return y @ x.T / size @ torch.linalg.solve(kernel, hot)


@criteria.register("toy-regression")
@dataclass(frozen=True)
class Regression(OfSteps):
    """Squared error of the answers to real images."""

    taught = False
    batch: int = 64

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Regressing:
        return Regressing(self, scene)


class Regressing(Stateless):
    def __init__(self, how: Regression, scene: Scene) -> None:
        self.how, self.scene = how, scene

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        data = self.scene.data
        real, classes = data.draw_flat(self.how.batch, self.scene.streams["real"])
        images = stored["images"].clone().requires_grad_()
        labels = torch.arange(data.num_classes).repeat_interleave(images.shape[1])
        hot, wanted = (F.one_hot(each, data.num_classes).float() for each in (labels, classes))
        loss = (answers(images.flatten(0, 1), hot, real) - wanted).square().sum(1).mean()
        (gradient,) = torch.autograd.grad(loss, images)
        return StepResult(loss.detach(), {"images": gradient})


@dataclass(frozen=True)
class Ridge:
    """Judges a set by the same regression: nothing is trained."""

    def shown(self, size: int, stop: int | None) -> float:
        return 0.0

    def begin(
        self,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        stop: int | None,
    ) -> Regressed:
        return Regressed(training_data, outputs)


class Regressed:
    step, steps, done = 0, 0, True

    def __init__(self, training_data: TrainingData, outputs: Outputs) -> None:
        images, labels = training_data.fetch(torch.arange(training_data.size))
        self.images, self.hot = images, F.one_hot(labels, outputs.num_classes).float()
        self.size = training_data.size

    def advance(self) -> None:
        return

    def check(self) -> None:
        return

    def accuracy(self, images: Callable[[slice], Tensor], labels: Tensor) -> list[float]:
        right = answers(self.images, self.hot, images(slice(None))).argmax(1) == labels
        return [100 * float(right.float().mean())]

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor], generator: torch.Generator) -> None:
        return


protocols.register("toy-ridge", Evaluation("toy-ridge", Ridge(), networks=1))
methods.register(
    Method(
        "toy-ridge",
        "Ridge regression (toy)",
        Recipe(criterion=Regression(), teacher=Untaught(), initial=RealImages(), iterations=12, image_lr=5.0),
        protocol="toy-ridge",
    )
)
