"""Evaluation: train networks from scratch on a synthetic set, test each once, at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .data import Dataset, Normalisation
from .engine import Engine
from .errors import BadValue
from .networks import NetworkSpec
from .registry import added_later
from .streams import Streams
from .training import SGD, Stack, Training


@dataclass(frozen=True)
class Evaluation:
    """How a synthetic set is judged.

    Attributes
    ----------
    protocol : str
        Name of the protocol the numbers come from ("dc", "dsa", "idc").
    training : SGD
        How the networks are trained on the synthetic set.
    network : NetworkSpec
        Their architecture.
    networks : int
        How many are trained, each from its own initial weights, with its own order and augmentation.
    mode : str
        How they run: ``"plain"``, ``"compiled"`` or ``"fast"``; see :mod:`dreamlib.engine`.
    """

    protocol: str = "dsa"
    training: SGD = field(default_factory=SGD)
    network: NetworkSpec = field(default_factory=NetworkSpec)
    networks: int = 5
    mode: str = added_later("plain")


class EvaluationRun:
    """Trains all networks of an evaluation together; last-epoch top-1 on the whole test set is the result.

    The test images are read once, after the last step: no choice made here can depend on them.

    Parameters
    ----------
    images : Tensor
        (C, M, c, h, w) decoded synthetic images, normalised.
    dataset : Dataset
        Gives the test set and its normalisation.
    evaluation : Evaluation
        The protocol.
    seed : int
        Seed of the networks, orders and augmentations.
    """

    def __init__(self, images: Tensor, dataset: Dataset, evaluation: Evaluation, seed: int) -> None:
        if evaluation.networks < 1 or evaluation.training.epochs < 1:
            raise BadValue(
                f"evaluation with {evaluation.networks} networks and {evaluation.training.epochs} epochs; "
                "expected at least one of each",
                "",
            )
        self.device, self.dataset, self.evaluation = images.device, dataset, evaluation
        self.streams = Streams(seed, self.device)
        classes, each = images.shape[:2]
        self._images = images.detach().flatten(0, 1)
        self._labels = torch.arange(classes, device=self.device).repeat_interleave(each)
        generator = self.streams["evaluation"]
        stack = Stack(evaluation.network, dataset.shape, dataset.num_classes, evaluation.networks, generator)
        self.engine = Engine(evaluation.mode, self.device)
        self.training = Training(
            stack, self._fetch, len(self._labels), evaluation.training, generator, engine=self.engine
        )
        self.accuracies: list[float] = []
        self.seconds = 0.0

    def _fetch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self._images[index], self._labels[index]

    @property
    def steps(self) -> int:
        return self.training.steps + 1

    @property
    def step(self) -> int:
        return self.training.step + bool(self.accuracies)

    @property
    def done(self) -> bool:
        return bool(self.accuracies)

    def advance(self) -> None:
        """One training step of all networks, or, after the last one, the test."""
        start = time.perf_counter()
        if not self.training.done:
            self.training.advance()
        else:
            self.training.check()
            test, labels = self.dataset.test_images, self.dataset.test_labels.to(self.device)
            normalisation: Normalisation = self.dataset.normalisation

            def images(part: slice) -> Tensor:
                return normalisation.apply(test[part].to(self.device).float() / 255)

            self.accuracies = self.training.stack.accuracy(images, labels, engine=self.engine)
        self.seconds += time.perf_counter() - start

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on bit for bit."""
        out = {f"stream.{name}": value for name, value in self.streams.state().items()}
        out |= {f"training.{name}": value for name, value in self.training.state().items()}
        return out | {"seconds": torch.tensor(self.seconds, dtype=torch.float64)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned, in a fresh object made with the same arguments."""
        self.streams.restore(
            {k.removeprefix("stream."): v for k, v in state.items() if k.startswith("stream.")}
        )
        self.training.generator = self.streams["evaluation"]
        self.training.restore(
            {k.removeprefix("training."): v for k, v in state.items() if k.startswith("training.")}
        )
        self.seconds = float(state["seconds"])


def evaluate(images: Tensor, dataset: Dataset, evaluation: Evaluation, seed: int = 0) -> list[float]:
    """Accuracies in percent, one per network, in one call; see :class:`EvaluationRun`."""
    run = EvaluationRun(images, dataset, evaluation, seed)
    while not run.done:
        run.advance()
    return run.accuracies
