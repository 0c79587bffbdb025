"""What judges a set in the place of networks that learn by SGD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..compute.engine import Engine
from ..criteria.kernels import FullyConnected, Kernel
from ..criteria.ridge import REGULARISATION, centred, solve
from ..networks import NetworkSpec
from ..networks.training import Lessons, Outputs

CHUNK = 1000  # test images whose kernel is taken at once


@dataclass(frozen=True)
class Ridge:
    """Kernel ridge regression on the set's images and labels, in float64; nothing is trained (KIP, LS).

    Labels of their own are used as they are; classes become one-hot less 1 / C. There is no chance in it: one "network"
    says all.

    Attributes
    ----------
    kernel : Kernel
        Between normalised images.
    regularisation : float
        See :func:`~dreamlib.criteria.ridge.solve`.
    """

    kernel: Kernel = field(default_factory=FullyConnected)
    regularisation: float = REGULARISATION

    def shown(self, size: int, stop: int | None) -> float:
        return 0.0

    def begin(
        self, lessons: Lessons, spec: NetworkSpec, outputs: Outputs, engine: Engine, stop: int | None
    ) -> Regressed:
        return Regressed(self, lessons, outputs)


class Regressed:
    """The regression: solved at once, so that there are no steps to stop at."""

    step, steps, done = 0, 0, True

    def __init__(self, how: Ridge, lessons: Lessons, outputs: Outputs) -> None:
        self.how, self.size = how, lessons.size
        index = torch.arange(lessons.size, device=outputs.generator.device)
        images, answers = lessons.fetch(index)
        labels = answers if answers.is_floating_point() else centred(answers, outputs.num_classes)
        self.images = images.double()
        self.coefficients = solve(how.kernel(self.images, self.images), labels, how.regularisation)

    def advance(self) -> None:
        return

    def check(self) -> None:
        return  # a kernel that cannot be inverted is an error from the start

    def accuracy(self, images: Callable[[slice], Tensor], labels: Tensor) -> list[float]:
        right = 0
        for start in range(0, len(labels), CHUNK):
            part = slice(start, min(start + CHUNK, len(labels)))
            predictions = self.how.kernel(images(part).double(), self.images) @ self.coefficients
            right += int((predictions.argmax(1) == labels[part]).sum())
        return [100 * right / len(labels)]

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor], generator: torch.Generator) -> None:
        return
