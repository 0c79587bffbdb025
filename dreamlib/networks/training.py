"""Training several networks at once on one device, stoppable and resumable at every step.

Used wherever networks are trained from scratch: evaluation of a synthetic set, the embedding network of a coreset.
Legend: K networks, B images of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, vmap
from torch.utils import _pytree as pytree

from ..augment import Augmentation, Siamese, cutmix, cutmix_draws, mix
from ..compute.engine import Engine
from ..core.errors import BadValue, Diverged
from . import Network, NetworkSpec, build, initialise, largest_map

Fetch = Callable[[Tensor], tuple[Tensor, Tensor]]
# Called as ``torch.nn.functional.cross_entropy``: logits (B, C), and classes (B,) or a number for each class (B, C).
Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class TrainingData:
    """The training data of networks.

    Attributes
    ----------
    fetch : callable
        ``fetch(index (K, B) int64)`` gives normalised images (K, B, c, h, w) and their targets: classes (K, B), or a
        number for each class, (K, B, C).
    size : int
        Number of images; indices run below it.
    rates : Tensor, optional
        Learning rates that belong to the images: (), or (E, S) of every step in every epoch.
    steps : int, optional
        Of training that belong to the images.
    """

    fetch: Fetch
    size: int
    rates: Tensor | None = None
    steps: int | None = None


class Learned(Protocol):
    """Networks, or a model in their place, that learn in small steps and can be saved at any of them."""

    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def done(self) -> bool: ...
    @property
    def size(self) -> int: ...

    def advance(self) -> object: ...

    def check(self) -> None:
        """Raise :class:`~dreamlib.core.errors.Diverged` where a weight is not finite."""
        ...

    def accuracy(self, images: Callable[[slice], Tensor], labels: Tensor) -> list[float]:
        """Top-1 in percent of each network; ``images(slice)`` gives normalised test images."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, but for the random stream."""
        ...

    def restore(self, state: dict[str, Tensor], generator: torch.Generator) -> None:
        """Go on from what :meth:`state` returned, with the random stream as it was then."""
        ...


class Learner(Protocol):
    """Says how networks are trained on a set to evaluate it. Implementations are frozen dataclasses."""

    def shown(self, size: int, stop: int | None) -> float:
        """About how many images a network is shown in all."""
        ...

    def begin(
        self,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        stop: int | None,
    ) -> Learned: ...


@dataclass(frozen=True)
class Outputs:
    """Shape of the images, number of classes, number of networks, and the generator of their weights."""

    shape: tuple[int, int, int]
    num_classes: int
    count: int
    generator: torch.Generator


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum and steps down of the learning rate.

    Attributes
    ----------
    epochs, batch : int
        Passes over the training set as a paper counts them, and images per step (the last batch of an epoch may be
        smaller).
    lr, momentum, weight_decay : float
        As in :class:`torch.optim.SGD`.
    decay_at : tuple of float
        Fractions of ``epochs`` after which, in whole epochs, the learning rate is multiplied by ``decay_by``.
    augment : Siamese or PerImage
        Applied to every batch, with parameters of its own for every image.
    cutmix : float
        Probability of CutMix for a batch.
    extra : int
        Passes beyond ``epochs`` (DC, DSA and DM, released code: one).
    late : int
        Epochs by which the learning rate falls later than ``decay_at`` says (DC, DSA and DM, released code: two, since
        it falls after the epoch with index E // 2 + 1).
    restarts : bool
        Momentum starts at zero again where the learning rate falls (DC, DSA and DM, released code: a new optimiser).
    own_rate : bool
        In place of ``lr``, the rate that belongs to the images (:attr:`TrainingData.rates`).
    """

    epochs: int = 300
    batch: int = 256
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay_at: tuple[float, ...] = (0.5,)
    decay_by: float = 0.1
    augment: Augmentation = field(default_factory=lambda: Siamese("none"))
    cutmix: float = 0.0
    extra: int = 0
    late: int = 0
    restarts: bool = False
    own_rate: bool = False

    @property
    def loss(self) -> Loss:
        """What every step lowers."""
        return F.cross_entropy

    @property
    def passes(self) -> int:
        """Passes over the training set that are made."""
        return self.epochs + self.extra

    def shown(self, size: int, stop: int | None) -> float:
        return self.passes * size if stop is None else stop * min(self.batch, size)

    def begin(
        self,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        stop: int | None,
    ) -> Training:
        stack = Stack(spec, outputs.shape, outputs.num_classes, outputs.count, outputs.generator)
        settings = self
        if self.own_rate:
            if training_data.rates is None or training_data.rates.ndim:
                raise BadValue(
                    "networks are to learn at the set's own rate, and the set has none", "learner.lr=0.01"
                )
            settings = replace(self, lr=float(training_data.rates))
        return Training(
            stack,
            training_data.fetch,
            training_data.size,
            settings,
            outputs.generator,
            engine=engine,
            steps=stop,
        )

    def rate(self, epoch: float) -> float:
        """Learning rate of ``epoch`` (counted from 0)."""
        # Two thirds of 1,000 are 666 whole epochs. Two thirds of 6 are 4: 1e-9 makes up for the rounding of a float.
        falls = (math.floor(at * self.epochs + 1e-9) + self.late for at in self.decay_at)
        return self.lr * self.decay_by ** sum(epoch >= fall for fall in falls)


@dataclass(frozen=True)
class SquaredError(SGD):
    """The same on half the squared error of the logits: for answers that are real numbers and no probabilities."""

    @property
    def loss(self) -> Loss:
        return squared_error


def squared_error(logits: Tensor, answers: Tensor, reduction: str = "mean") -> Tensor:
    """Half the squared distance of logits (B, C) to answers (B, C); classes (B,) become one-hot less 1 / C."""
    if not answers.is_floating_point():
        classes = logits.shape[-1]
        answers = F.one_hot(answers, classes).to(logits.dtype) - 1 / classes
    each = (logits - answers).square().sum(-1) / 2
    return each if reduction == "none" else each.mean()


def sgd_update(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    velocity: Sequence[Tensor],
    lr: float,
    momentum: float,
    weight_decay: float = 0.0,
) -> None:
    """One step of :class:`torch.optim.SGD` on many tensors, in place (weights and velocity)."""
    with torch.no_grad():
        # Weight decay is added to the gradient, before momentum, as in torch.optim.SGD.
        steps = (
            torch._foreach_add(list(gradients), list(weights), alpha=weight_decay)
            if weight_decay
            else gradients
        )
        torch._foreach_mul_(list(velocity), momentum)
        torch._foreach_add_(list(velocity), list(steps))
        torch._foreach_add_(list(weights), list(velocity), alpha=-lr)


def learning(
    engine: Engine,
    network: Network,
    tensors: Mapping[str, Tensor],
    images: Tensor,
    labels: tuple[Tensor, Tensor],
    share: Tensor,
    loss: Loss = F.cross_entropy,
) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Loss and gradients of one batch for one network: a pure function of tensors, for an engine to run.

    Parameters
    ----------
    engine : Engine
        Says in which number format the network runs.
    network : Network
        The architecture, in training or evaluation mode; its own weights are not used.
    tensors : dict of str to Tensor
        Its weights and running statistics by name.
    images : Tensor
        (B, c, h, w), normalised.
    labels : pair of Tensor
        (B,) each: the classes of the image and of what CutMix pasted into it.
    share : Tensor
        Scalar: the share of the first label.
    loss : callable
        What the step lowers.

    Returns
    -------
    loss, logits : Tensor
        Scalar and (B, classes), without derivatives.
    gradients : dict of str to Tensor
        Of the loss, by the name of the weight.
    statistics : dict of str to Tensor
        The running statistics afterwards.
    """
    learned = {name for name, _ in network.named_parameters()}
    # With batch norm everything stays in float32: running statistics, and the maps they are computed from.
    low = engine.lower if len(learned) == len(tensors) else lambda value: value
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_() for name, value in tensors.items() if name in learned}
        # Clones: functional_call updates running statistics in place, and the function must not change its arguments.
        statistics = {name: value.clone() for name, value in tensors.items() if name not in learned}
        logits = functional_call(network, {**low(leaves), **statistics}, (low(images),)).to(images.dtype)
        # CutMix: the labels of the image and of the pasted box, by their shares of the pixels. Without it share is 1.
        mixed = share * loss(logits, labels[0]) + (1 - share) * loss(logits, labels[1])
        gradients = torch.autograd.grad(mixed, list(leaves.values()))
    return mixed.detach(), logits.detach(), dict(zip(leaves, gradients, strict=True)), statistics


def learning_drawn(
    engine: Engine,
    network: Network,
    augment: Augmentation,
    probability: float,
    loss: Loss,
    tensors: Mapping[str, Tensor],
    images: Tensor,
    labels: Tensor,
    drawn: tuple[Tensor, Tensor],
    pasted: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """:func:`learning` of images (B, c, h, w) that are yet to be augmented and mixed, with labels (B,).

    ``drawn`` are one group's rows of :meth:`Transform.tensors`, ``pasted`` one network's of :func:`cutmix_draws`,
    whose ``probability`` is given.
    """
    # Batches of one group and one network, (1, B, ...), since augmentation and CutMix are written for several.
    (numbers, choice), (draws, shuffle) = drawn, pasted
    batch = augment.apply(images[None], numbers[None], choice[None])
    batch, first, second, share = mix(batch, labels[None], draws[None], shuffle[None], probability)
    return learning(engine, network, tensors, batch[0], (first[0], second[0]), share[0], loss)


class Schedule(Protocol):
    """How a teacher's network is trained: the schedule in a recipe."""

    @property
    def augment(self) -> Augmentation: ...
    @property
    def cutmix(self) -> float: ...
    @property
    def lr(self) -> float: ...
    @property
    def momentum(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def learn_batch(
    engine: Engine,
    key: Hashable,
    network: Network,
    velocity: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    schedule: Schedule,
    generator: torch.Generator,
) -> None:
    """One SGD step of one network in training mode, in place, on a batch (B, c, h, w) with labels (B,).

    ``key`` names the network for the engine, ``velocity`` is its momentum, weight by weight; ``generator`` draws
    augmentation and CutMix.
    """
    tensors = network.state_dict()
    how, learn, given = _prepare_batch(engine, network, images[None], labels[None], schedule, generator)
    # Prepared as for K networks, of which this is the only one.
    one = pytree.tree_map(lambda value: value[0], given)
    # A step sees its images in the mean of their gradients, so fast mode may be rough.
    _, _, gradients, statistics = engine.run((key, how), learn, tensors, *one, averages=True)
    for name, value in statistics.items():
        tensors[name].copy_(value)
    sgd_update(
        [tensors[name] for name in gradients],
        list(gradients.values()),
        velocity,
        schedule.lr,
        schedule.momentum,
        schedule.weight_decay,
    )


def _prepare_batch(
    engine: Engine,
    network: Network,
    images: Tensor,
    labels: Tensor,
    schedule: Schedule,
    generator: torch.Generator,
    loss: Loss = F.cross_entropy,
) -> tuple[Hashable, Callable[..., Any], tuple[Any, ...]]:
    """What K networks are to learn from batches (K, B, c, h, w) with labels (K, B), augmented and mixed as scheduled.

    A function of one network's tensors and of one row of what is returned third; the first names it.
    """
    transform = schedule.augment.draw(len(images), generator, per_image=images.shape[1])
    if engine.records:
        how = schedule.augment, schedule.cutmix, loss
        drawn = transform.tensors(images.device), cutmix_draws(labels, generator)
        return how, partial(learning_drawn, engine, network, *how), (images, labels, *drawn)
    # CutMix after the augmentation: boxes are cut out of what the network would see.
    images, first, second, share = cutmix(transform(images), labels, generator, schedule.cutmix)
    return loss, partial(learning, engine, network, loss=loss), (images, (first, second), share)


class Stack:
    """K networks of one architecture, held as one tensor per weight with K in front.

    Parameters
    ----------
    spec : NetworkSpec
        The architecture.
    shape : tuple of int
        (c, h, w) of the images.
    num_classes, count : int
        Outputs, and K.
    generator : torch.Generator
        Draws the initial weights, one network after the other.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        shape: tuple[int, int, int],
        num_classes: int,
        count: int,
        generator: torch.Generator,
    ) -> None:
        if count < 1:
            raise BadValue(f"{count} networks to train; expected at least 1", "networks=5")
        self.spec, self.shape, self.num_classes = spec, shape, num_classes
        self.network = build(spec, shape, num_classes, device=generator.device)
        self.map_bytes = largest_map(self.network, shape)
        # One after the other from one stream, so that network k is the same in a stack of any size above k.
        states = []
        for _ in range(count):
            initialise(self.network, generator)
            states.append({k: v.detach().clone() for k, v in self.network.state_dict().items()})
        self.parameter_names = [name for name, _ in self.network.named_parameters()]
        self.tensors = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        self.count = count

    def weights(self) -> list[Tensor]:
        return [self.tensors[name] for name in self.parameter_names]

    def learn(
        self,
        engine: Engine,
        images: Tensor,
        labels: Tensor,
        schedule: Schedule,
        generator: torch.Generator,
        loss: Loss = F.cross_entropy,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (K,), logits (K, B, classes) and a gradient for each weight, of augmented and mixed batches.

        Running statistics are updated.

        Parameters
        ----------
        engine : Engine
            Runs the networks.
        images, labels : Tensor
            (K, B, c, h, w) normalised, and (K, B).
        schedule : Schedule
            Says how the images are augmented; its learning rate is not used.
        generator : torch.Generator
            Draws augmentation and CutMix.
        loss : callable
            What a step lowers.
        """
        # The module is only a form for functional_call, but its mode decides what batch norms do.
        if not self.network.training:
            self.network.train()
        how, learn, given = _prepare_batch(engine, self.network, images, labels, schedule, generator, loss)
        # In plain mode several networks run as one batched call (vmap); else one compiled call per network.
        if engine.stacks(self.count, images.shape[1] * self.map_bytes):
            return self._learn_stacked(loss, *given)
        key = ("learning", self.spec, self.shape, self.num_classes, how)
        losses, logits, gradients, statistics = engine.each(
            key, partial(_unpacked, learn), (self.tensors, *given), averages=True
        )
        self.tensors.update(statistics)
        return losses, logits, [gradients[name] for name in self.parameter_names]

    def _learn_stacked(
        self, loss: Loss, images: Tensor, labels: tuple[Tensor, Tensor], share: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        weights = [weight.detach().requires_grad_() for weight in self.weights()]
        logits = self(images, weights)
        kept = share.unsqueeze(1)
        first, second = (_each(loss, logits, part) for part in labels)
        # One share a network and batch, spread over its images.
        losses = (kept * first + (1 - kept) * second).mean(1)
        # The sum over networks: each loss depends on its own network's weights alone, so gradients stay separate.
        gradients = torch.autograd.grad(losses.sum(), weights)
        return losses.detach(), logits.detach(), list(gradients)

    def __call__(self, images: Tensor, weights: Sequence[Tensor] | None = None) -> Tensor:
        """Logits (K, B, classes) of images (K, B, c, h, w), or of the same images (B, c, h, w) for all."""
        tensors = dict(self.tensors)
        if weights is not None:
            tensors.update(zip(self.parameter_names, weights, strict=True))
        shared = images.ndim == 4
        # Without vmap for a single network: the same operations, and convolutions that are not grouped.
        if self.count == 1:
            one = {name: value[0] for name, value in tensors.items()}
            logits: Tensor = functional_call(self.network, one, (images if shared else images[0],))
            for name, value in one.items():
                if name not in self.parameter_names:
                    self.tensors[name] = value.unsqueeze(0)
            return logits.unsqueeze(0)

        def single(state: dict[str, Tensor], x: Tensor) -> Tensor:
            out: Tensor = functional_call(self.network, state, (x,))
            return out

        result: Tensor = vmap(single, in_dims=(0, None if shared else 0))(tensors, images)
        return result

    def accuracy(
        self,
        images: Callable[[slice], Tensor],
        labels: Tensor,
        chunk: int = 500,
        engine: Engine | None = None,
    ) -> list[float]:
        """Top-1 accuracy in percent of each network; ``images(slice)`` yields normalised test images."""
        engine = engine or Engine("plain", labels.device)
        self.network.eval()
        # Counted on the device: nothing is waited for until the end.
        correct = torch.zeros(self.count, dtype=torch.int64, device=labels.device)
        with torch.no_grad():
            for start in range(0, len(labels), chunk):
                part = slice(start, min(start + chunk, len(labels)))
                correct += (self._predictions(engine, images(part)) == labels[part]).sum(1)
        return [100.0 * value / len(labels) for value in correct.tolist()]

    def _predictions(self, engine: Engine, images: Tensor) -> Tensor:
        """Predicted classes (K, B) of images (B, c, h, w)."""
        if engine.plain and engine.device.type != "cpu":
            return self(images).argmax(2)
        # One network after the other: on a CPU a stack of networks is slow on images that all of them share.
        key = ("answers", self.spec, self.shape, self.num_classes)
        predict = partial(
            _predict, engine.lower if len(self.tensors) == len(self.parameter_names) else None, self.network
        )
        predictions: Tensor = engine.each(key, predict, self.tensors, images)
        return predictions


def _unpacked(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(*arguments)


def _predict(
    low: Callable[[Any], Any] | None, network: Network, tensors: Mapping[str, Tensor], images: Tensor
) -> Tensor:
    given = (tensors, images) if low is None else (low(tensors), low(images))
    logits: Tensor = functional_call(network, dict(given[0]), (given[1],))
    return logits.argmax(1)


class Training:
    """One resumable training of K networks.

    Parameters
    ----------
    stack : Stack
        The networks.
    fetch : callable
        ``fetch(index (K, B) int64) -> (images (K, B, c, h, w) normalised, labels (K, B))``.
    size : int
        Number of training images; indices run below it.
    settings : SGD
        How to train.
    generator : torch.Generator
        Draws the order of the images, the augmentation and CutMix.
    watch : callable, optional
        ``watch(index (K, B), correct (K, B) bool)`` is told about every batch, before the update.
    engine : Engine, optional
        Runs the networks; by default eagerly.
    steps : int, optional
        Stop after so many instead of ``settings.passes`` passes; the learning rate goes through its whole schedule in
        them.
    """

    def __init__(
        self,
        stack: Stack,
        fetch: Fetch,
        size: int,
        settings: SGD,
        generator: torch.Generator,
        watch: Callable[[Tensor, Tensor], None] | None = None,
        engine: Engine | None = None,
        steps: int | None = None,
    ) -> None:
        self.engine = engine or Engine("plain", generator.device)
        self.stack, self.fetch, self.size, self.settings = stack, fetch, size, settings
        self.generator, self.watch = generator, watch
        self.velocity = [torch.zeros_like(weight) for weight in stack.weights()]
        self.order = torch.empty(0, dtype=torch.int64, device=generator.device)
        self.step = 0
        # The last batch of an epoch may be smaller, and is a step like the others.
        self.per_epoch = -(-size // settings.batch)
        self.stop_after = steps

    @property
    def steps(self) -> int:
        return self.settings.passes * self.per_epoch if self.stop_after is None else self.stop_after

    @property
    def done(self) -> bool:
        return self.step >= self.steps

    def advance(self) -> Tensor:
        """One step of all networks; returns the loss summed over the networks (a tensor: no waiting for the device)."""
        settings, stack, generator = self.settings, self.stack, self.generator
        position = self.step % self.per_epoch
        if position == 0:
            # A new order at the beginning of each epoch, its own for every network: (K, N).
            keys = torch.rand(stack.count, self.size, generator=generator, device=generator.device)
            self.order = keys.argsort(1)
        index = self.order[:, position * settings.batch : (position + 1) * settings.batch]
        images, labels = self.fetch(index)
        losses, logits, gradients = stack.learn(
            self.engine, images, labels, settings, generator, settings.loss
        )
        if self.watch is not None:
            # Predictions from before the update: Toneva et al. count forgetting at each visit of an image.
            self.watch(index, logits.argmax(2) == labels)
        rate = self.rate_at(self.step)
        # DC's released code makes a new optimiser where the rate falls, so momentum starts at zero again.
        if settings.restarts and self.step and rate != self.rate_at(self.step - 1):
            torch._foreach_zero_(self.velocity)
        sgd_update(stack.weights(), gradients, self.velocity, rate, settings.momentum, settings.weight_decay)
        self.step += 1
        return losses.sum()

    def rate_at(self, step: int) -> float:
        """Learning rate of a step; a given number of steps is stretched over the whole schedule."""
        settings = self.settings
        if self.stop_after is None:
            return settings.rate(step // self.per_epoch)
        # So a short training sees every fall of the rate, at the same share of its steps.
        return settings.rate(settings.passes * step / self.steps)

    def check(self) -> None:
        """Raise :class:`Diverged` when a weight is no longer a finite number."""
        if not all(bool(torch.isfinite(weight).all()) for weight in self.stack.weights()):
            raise Diverged(
                f"training diverged: weights are not finite after step {self.step} of {self.steps}",
                f"lower the learning rate (now {self.settings.lr})",
            )

    def state(self) -> dict[str, Tensor]:
        """Everything needed to resume, except the random streams. Live tensors: write them before the next step."""
        out = {f"network.{name}": value for name, value in self.stack.tensors.items()}
        out |= {f"velocity.{i}": value for i, value in enumerate(self.velocity)}
        return out | {"order": self.order, "step": torch.tensor(self.step)}

    def accuracy(self, images: Callable[[slice], Tensor], labels: Tensor) -> list[float]:
        """Top-1 accuracy in percent of each network; ``images(slice)`` yields normalised test images."""
        return self.stack.accuracy(images, labels, engine=self.engine)

    def restore(self, state: dict[str, Tensor], generator: torch.Generator | None = None) -> None:
        """Go on from what :meth:`state` returned; ``generator`` is the random stream as it was then."""
        self.generator = generator or self.generator
        device = self.generator.device
        for name in self.stack.tensors:
            self.stack.tensors[name] = state[f"network.{name}"].to(device, copy=True)
        self.velocity = [state[f"velocity.{i}"].to(device, copy=True) for i in range(len(self.velocity))]
        self.order, self.step = state["order"].to(device), int(state["step"])


def _each(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """(K, B, classes), and labels (K, B) or answers (K, B, classes), to (K, B)."""
    each: Tensor = loss(logits.flatten(0, 1), labels.flatten(0, 1), reduction="none")
    return each.view(labels.shape[:2])


def module_from(stack: Stack, index: int = 0) -> Network:
    """The network of ``stack`` with the weights of number ``index`` copied into it."""
    stack.network.load_state_dict({name: value[index] for name, value in stack.tensors.items()})
    return stack.network
