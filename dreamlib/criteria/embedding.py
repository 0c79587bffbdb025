"""The training of a coreset's network on the real images: a run and a cell of its own.

It depends on the data and the seed alone, so Herding, K-Center and Forgetting share it, and so do all budgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from ..containers import Container, EmbeddingNetwork
from ..core.errors import BadValue
from ..core.files import below, with_prefix
from ..data import ClassData
from ..networks.training import SGD, Stack, Training
from ..teachers import Scene, Teaching, Untaught
from ..teachers.base import FINGERPRINT
from .base import OfSteps, Stateless, StepResult, Tensors, register

R = TypeVar("R")
FORGOTTEN = "forgotten"  # beside the weights: the forgetting events of every image, (C, N)


def embedding_of(recipe: R) -> R | None:
    """The recipe of the network that a recipe's coreset is chosen by; None where that is not trained."""
    whole = cast(Any, recipe)
    if not whole.initial.epochs:
        return None
    # The coreset says how long: forgetting has to see several epochs, herding only needs features.
    training = replace(whole.embedding, epochs=whole.initial.epochs)
    return cast(
        R,
        type(whole)(
            container=EmbeddingNetwork(whole.network),
            criterion=Embedding(training),
            teacher=Untaught(),
            network=whole.network,
            iterations=training.passes,
            **{name: getattr(whole, name) for name in ("constants", "whitening", "per_class", "mode")},
        ),
    )


@register("embedding")
@dataclass(frozen=True)
class Embedding(OfSteps):
    """Training of one network on all real images, with a count of how often each of them is forgotten.

    It counts in epochs, and keeps only the last state.

    Parameters
    ----------
    training : SGD
        How the network learns.
    unlearned : int
        What stands in the place of the count of an image that was never classified correctly; below 0.
    """

    training: SGD = field(default_factory=SGD)
    unlearned: int = -1
    taught = False
    phases = ("embedding",)

    def kept(self, steps: int) -> tuple[int, ...]:
        return (steps,)

    def unit(self, data: ClassData) -> int:
        return -(-data.total // self.training.batch)

    def check(self) -> None:
        if self.training.passes < 1 or self.training.batch < 1:
            raise BadValue(
                f"a coreset's network learns for {self.training.passes} epochs from batches of "
                f"{self.training.batch}; expected at least 1",
                "initial.epochs=20",
            )
        if self.unlearned >= 0:
            raise BadValue(
                f"images that were never learned carry {self.unlearned}, like a count of what was forgotten; expected "
                "less than 0",
                "unlearned=-1",
            )

    def suits(self, container: Container, teacher: object) -> None:
        if not isinstance(container, EmbeddingNetwork):
            raise BadValue(
                f"recipe: a coreset's network is kept in {container}",
                "a recipe of such a network comes from .embedded of one whose coreset is chosen by it",
            )

    def shown(self, classes: int, ipc: int) -> float:
        return float(self.training.batch)

    def begin(
        self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None
    ) -> EmbeddingTraining:
        return EmbeddingTraining(self, scene)


class EmbeddingTraining(Stateless):
    """The training in one run. What is stored is replaced by the trained network at the end."""

    def __init__(self, how: Embedding, scene: Scene) -> None:
        self.scene, data, generator = scene, scene.data, scene.streams["embedding"]
        self.unlearned = how.unlearned
        position, mask = data.padded_index()
        label = torch.arange(data.num_classes, device=data.device).unsqueeze(1).expand_as(position)
        # Every image as (position in its class, class), and its slot in the padded (C, N) rectangle.
        flat_position, flat_label = position[mask], label[mask]
        self.rectangle, self.slot = position.shape, mask.flatten().nonzero().squeeze(1)
        self.correct = torch.zeros(mask.numel(), dtype=torch.bool, device=data.device)
        self.ever = torch.zeros_like(self.correct)
        self.events = torch.zeros(mask.numel(), dtype=torch.int64, device=data.device)

        def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
            # index is (1, B): a stack of one network.
            images = data.take(flat_position[index[0]].unsqueeze(1), flat_label[index[0]])
            return images.transpose(0, 1), flat_label[index]

        stack = Stack(scene.network, data.shape, data.num_classes, 1, generator)
        self.training = Training(
            stack, fetch, len(flat_label), how.training, generator, self.count_forgetting, engine=scene.engine
        )

    def count_forgetting(self, index: Tensor, correct: Tensor) -> None:
        """Count what a batch of images (1, B) has forgotten: right (1, B) or not, before the update."""
        # A forgetting event: right at the last visit of this image, wrong now (Toneva et al. 2019, section 3).
        at = self.slot[index[0]]
        self.events[at] += self.correct[at] & ~correct[0]
        self.correct[at] = correct[0]
        self.ever[at] |= correct[0]

    @property
    def forgotten(self) -> Tensor:
        """(C, N) int64: forgetting events of each image; see :class:`~dreamlib.coresets.History`."""
        return torch.where(self.ever, self.events, self.unlearned).view(self.rectangle)

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        with self.scene.stopwatch.phase("embedding"):
            return StepResult(self.training.advance(), {})

    def after(self, step: int, stored: Tensors) -> None:
        if self.training.done:
            self.training.check()
            for name, value in self.training.stack.tensors.items():
                stored[name].copy_(value)

    def for_next_stage(self) -> Tensors:
        return {FORGOTTEN: self.forgotten, FINGERPRINT: self.scene.data.fingerprint()}

    def state(self) -> Tensors:
        counted = {"events": self.events, "correct": self.correct, "ever": self.ever}
        return with_prefix("training.", self.training.state()) | counted

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.training.restore(dict(below(state, "training.")), self.scene.streams["embedding"])
        for name in ("events", "correct", "ever"):
            getattr(self, name).copy_(state[name])
