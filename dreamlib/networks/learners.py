"""Learners that follow the set: Adam for the set's own number of steps (LD), or its own steps at its rates (DD)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..augment import Augmentation, Siamese
from ..compute.engine import Engine
from ..core.errors import BadValue, Diverged
from ..core.files import below
from . import NetworkSpec
from .training import SGD, Outputs, Stack, Training, TrainingData, sgd_update


def own_steps(training_data: TrainingData, stop: int | None) -> int:
    """Steps to train for: ``stop``, else those that belong to the images.

    Raises
    ------
    BadValue
        If nothing says so.
    """
    steps = training_data.steps if stop is None else stop
    if steps is None:
        raise BadValue(
            "networks are to learn for as many steps as the set says, and it says none",
            "Evaluation(steps=500)",
        )
    return steps


@dataclass(frozen=True)
class Adam:
    """Adam for as many steps as belong to the images, each on different images drawn for it (LD, released code).

    Attributes
    ----------
    batch : int
        Images of a step; at most all.
    lr, betas, eps :
        As in :class:`torch.optim.Adam`.
    augment, cutmix :
        As in :class:`~dreamlib.networks.training.SGD`.
    """

    batch: int = 50
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    augment: Augmentation = field(default_factory=lambda: Siamese("none"))
    cutmix: float = 0.0

    def shown(self, size: int, stop: int | None) -> float:
        return min(self.batch, size) * (1000.0 if stop is None else stop)

    def begin(
        self,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        stop: int | None,
    ) -> AdamTraining:
        stack = Stack(spec, outputs.shape, outputs.num_classes, outputs.count, outputs.generator)
        return AdamTraining(
            self, stack, training_data, engine, own_steps(training_data, stop), outputs.generator
        )


class AdamTraining(Training):
    """K networks under Adam."""

    def __init__(
        self,
        how: Adam,
        stack: Stack,
        training_data: TrainingData,
        engine: Engine,
        steps: int,
        generator: torch.Generator,
    ) -> None:
        # Only how images are augmented is read of it: the update below is Adam's.
        settings = SGD(batch=how.batch, lr=how.lr, augment=how.augment, cutmix=how.cutmix)
        super().__init__(
            stack, training_data.fetch, training_data.size, settings, generator, engine=engine, steps=steps
        )
        self.how = how
        self.squares = [torch.zeros_like(weight) for weight in stack.weights()]

    def advance(self) -> Tensor:
        """One step of all networks; the loss summed over them."""
        how, stack, generator = self.how, self.stack, self.generator
        # A batch without replacement, drawn again for every step: LD has no epochs here.
        keys = torch.rand(stack.count, self.size, generator=generator, device=generator.device)
        images, labels = self.fetch(keys.argsort(1)[:, : how.batch])
        losses, _, gradients = stack.learn(self.engine, images, labels, self.settings, generator)
        self.step += 1
        (first, second), means, squares = how.betas, self.velocity, self.squares
        with torch.no_grad():
            torch._foreach_lerp_(means, gradients, 1 - first)
            torch._foreach_mul_(squares, second)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
            # sqrt(v / (1 - beta2^t)) + eps, as torch.optim.Adam, on all weights at once.
            scale = torch._foreach_div(torch._foreach_sqrt(squares), (1 - second**self.step) ** 0.5)
            torch._foreach_add_(scale, how.eps)
            torch._foreach_addcdiv_(stack.weights(), means, scale, -how.lr / (1 - first**self.step))
        return losses.sum()

    def state(self) -> dict[str, Tensor]:
        return super().state() | {f"square.{i}": value for i, value in enumerate(self.squares)}

    def restore(self, state: dict[str, Tensor], generator: torch.Generator | None = None) -> None:
        super().restore(state, generator)
        held, device = below(state, "square."), self.generator.device
        self.squares = [held[str(i)].to(device, copy=True) for i in range(len(self.squares))]


@dataclass(frozen=True)
class Replay:
    """A set's own steps, in order, at its own rates: how DD trains, and how its sets are judged.

    Gradient descent without momentum. The images are S batches in order, used E times; ``rates`` (E, S) holds the rate
    of every step.
    """

    def shown(self, size: int, stop: int | None) -> float:
        return 3.0 * size  # E is three in DD

    def begin(
        self,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        stop: int | None,
    ) -> Replayed:
        rates = training_data.rates
        if rates is None or rates.ndim != 2 or training_data.size % rates.shape[1]:
            held = "none" if rates is None else f"rates of shape {tuple(rates.shape)}"
            raise BadValue(
                f"networks are to repeat the set's own steps, and it has {held}; expected (E, S), with "
                f"{training_data.size} images in S batches",
                'a set of "dd", or another protocol: judged_as="dsa"',
            )
        if stop is not None:
            raise BadValue(
                f"{stop} steps of training are asked for, and the set's own are {rates.numel()}",
                "steps=0, stop_ipc=0",
            )
        if not bool((rates >= 0).all()):
            raise BadValue(
                f"the set's smallest rate is {float(rates.min()):g}; expected 0 or more",
                "the set, distilled again",
            )
        stack = Stack(spec, outputs.shape, outputs.num_classes, outputs.count, outputs.generator)
        return Replayed(stack, training_data, engine, rates, outputs.generator)


class Replayed(Training):
    """K networks that repeat the steps of a set."""

    def __init__(
        self,
        stack: Stack,
        training_data: TrainingData,
        engine: Engine,
        rates: Tensor,
        generator: torch.Generator,
    ) -> None:
        batch = training_data.size // rates.shape[1]
        # Gradient descent without momentum, as in the unrolled training that the rates were learned in.
        settings = SGD(batch=batch, momentum=0.0, weight_decay=0.0, decay_at=())
        super().__init__(
            stack,
            training_data.fetch,
            training_data.size,
            settings,
            generator,
            engine=engine,
            steps=rates.numel(),
        )
        self.rates: list[float] = rates.flatten().tolist()

    def advance(self) -> Tensor:
        """One step of all networks; the loss summed over them."""
        batch, stack = self.settings.batch, self.stack
        # Batches in the order in which they are stored: DD's steps are no random batches.
        first = self.step % self.per_epoch * batch
        index = torch.arange(first, first + batch, device=self.generator.device)
        images, labels = self.fetch(index.expand(stack.count, -1))
        losses, _, gradients = stack.learn(self.engine, images, labels, self.settings, self.generator)
        sgd_update(stack.weights(), gradients, self.velocity, self.rates[self.step], 0.0)
        self.step += 1
        return losses.sum()

    def check(self) -> None:
        if not all(bool(torch.isfinite(weight).all()) for weight in self.stack.weights()):
            raise Diverged(
                f"training diverged: weights are not finite after the set's {self.steps} steps at rates up to "
                f"{max(self.rates):g}",
                "distil with a smaller rate for the rates",
            )
