"""Learners other than SGD: how a set is evaluated by a regression (KIP) or by Adam (FRePo)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..augment import Augmentation, Siamese
from ..compute.engine import Engine
from ..containers import Adam, Optimiser
from ..core.errors import Diverged
from ..core.files import below
from ..criteria.features import cosine
from ..criteria.kernels import FullyConnected, Kernel
from ..criteria.ridge import REGULARISATION, centred, solve
from ..networks import NetworkSpec
from ..networks.training import Outputs, SquaredError, Stack, TrainingData

CHUNK = 1000  # test images whose kernel is taken at once


@dataclass(frozen=True)
class Ridge:
    """Kernel ridge regression on the set's images and labels, in float64; nothing is trained (KIP, LS).

    Learned labels are used as they are; classes become one-hot minus 1 / C. Nothing is random: one "network" is enough.

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
        self,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        stop: int | None,
    ) -> Regressed:
        return Regressed(self, training_data, outputs)


class Regressed:
    """The regression: solved at once, so there are no steps."""

    step, steps, done = 0, 0, True

    def __init__(self, how: Ridge, training_data: TrainingData, outputs: Outputs) -> None:
        self.how, self.size = how, training_data.size
        index = torch.arange(training_data.size, device=outputs.generator.device)
        images, answers = training_data.fetch(index)
        labels = answers if answers.is_floating_point() else centred(answers, outputs.num_classes)
        # In float64: the kernel is inverted, and its smallest eigenvalues are far below float32's precision.
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


@dataclass(frozen=True)
class Fit:
    """Adam on half the squared error of the answers, summed over classes, with a warm-up and a cosine (FRePo).

    Learned labels are used as they are; classes become one-hot minus 1 / C.

    Attributes
    ----------
    updates : int
        Steps in all.
    batch : int
        At most so many images a step, drawn again.
    lr : float
        The highest rate, reached after ``warm_up`` steps (at most half of all), from 0.
    warm_up : int
        Steps.
    last : float
        The rate of the last step, in units of ``lr``.
    augment : Siamese or PerImage
        Applied to every batch, with parameters of its own for every image.
    average : float
        What is tested is a running mean of the weights, which keeps so much of itself at a step, and less of the first
        steps: (1 + k) / (10 + k) at step k, while that is below it. 0: the weights themselves.
    """

    updates: int = 1000
    batch: int = 500
    lr: float = 3e-4
    warm_up: int = 500
    last: float = 0.01
    augment: Augmentation = field(default_factory=lambda: Siamese("none"))
    average: float = 0.995

    def shown(self, size: int, stop: int | None) -> float:
        return float((stop or self.updates) * min(self.batch, size))

    def lr_factor(self, step: int, steps: int) -> float:
        """Factor of the learning rate at a step (counted from 0)."""
        # Linear warm-up, then half a cosine (FRePo, released code).
        rise = min(self.warm_up, steps // 2)
        if step < rise:
            return (step + 1) / rise
        return cosine((step - rise) / max(1, steps - rise - 1), self.last)

    def begin(
        self,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        stop: int | None,
    ) -> Fitting:
        return Fitting(self, training_data, spec, outputs, engine, stop or self.updates)


class Fitting:
    """K networks trained on the set's labels; resumable at every step."""

    def __init__(
        self,
        how: Fit,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        steps: int,
    ) -> None:
        self.how, self.training_data, self.engine, self.generator = (
            how,
            training_data,
            engine,
            outputs.generator,
        )
        self.size, self.step, self.steps = training_data.size, 0, steps
        self.stack = Stack(spec, outputs.shape, outputs.num_classes, outputs.count, outputs.generator)
        self.schedule = SquaredError(augment=how.augment)
        # Adam treats every number by itself, so one update serves the stacked weights of all networks.
        self.optimiser = Optimiser(self._weights(), {"": Adam(how.lr)})
        self.averaged = {name: value.clone() for name, value in self._weights().items()}

    def _weights(self) -> dict[str, Tensor]:
        return {name: self.stack.tensors[name] for name in self.stack.parameter_names}

    @property
    def done(self) -> bool:
        return self.step >= self.steps

    def advance(self) -> None:
        """One step of all networks."""
        stack, count = self.stack, min(self.how.batch, self.size)
        # The largest random keys: every network has a batch of its own, drawn without replacement.
        keys = torch.rand(stack.count, self.size, generator=self.generator, device=self.generator.device)
        images, answers = self.training_data.fetch(keys.topk(count, dim=1).indices)
        _, _, found = stack.learn(
            self.engine, images, answers, self.schedule, self.generator, self.schedule.loss
        )
        gradients = dict(zip(stack.parameter_names, found, strict=True))
        self.optimiser.step(self._weights(), gradients, self.how.lr_factor(self.step, self.steps))
        # A running mean of the weights whose memory grows over the first steps (released code).
        kept = min(self.how.average, (1 + self.step) / (10 + self.step))
        for name, value in self._weights().items():
            # lerp: kept * average + (1 - kept) * weight.
            self.averaged[name].lerp_(value, 1 - kept)
        self.step += 1

    def check(self) -> None:
        if not all(bool(weight.isfinite().all()) for weight in self.stack.weights()):
            raise Diverged(
                f"training diverged: weights are not finite after step {self.step} of {self.steps}",
                f"lower the learning rate (now {self.how.lr})",
            )

    def accuracy(self, images: Callable[[slice], Tensor], labels: Tensor) -> list[float]:
        # The averaged weights are tested; training goes on with its own.
        own = self._weights()
        self.stack.tensors.update(self.averaged)
        try:
            return self.stack.accuracy(images, labels, engine=self.engine)
        finally:
            self.stack.tensors.update(own)

    def state(self) -> dict[str, Tensor]:
        out = {f"network.{name}": value for name, value in self.stack.tensors.items()}
        out |= {f"average.{name}": value for name, value in self.averaged.items()}
        out |= {f"moves.{name}": value for name, value in self.optimiser.state().items()}
        return out | {"step": torch.tensor(self.step)}

    def restore(self, state: dict[str, Tensor], generator: torch.Generator) -> None:
        self.generator, self.step = generator, int(state["step"])
        for kind, held in (("network", self.stack.tensors), ("average", self.averaged)):
            for name in held:
                held[name] = state[f"{kind}.{name}"].to(generator.device, copy=True)
        self.optimiser.restore(below(state, "moves."), self._weights())
