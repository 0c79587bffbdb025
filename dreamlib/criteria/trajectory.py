"""Matching an expert's trajectory: MTT (Cazenavette et al. 2022), and TESLA's form of it (Cui et al. 2023).

An expert was trained on real images, and its weights were kept after every epoch. A student starts from one of its
snapshots, is trained for N steps on the synthetic images, and should end where the expert was M epochs later.

Legend: N steps of a student, M epochs of an expert, theta*_t an expert's weights after t epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..augment import Augmentation, Siamese
from ..containers import Container, Paced
from ..core.errors import BadValue, Diverged
from ..teachers import Scene, StoredExperts, Teaching
from ..teachers.experts import Segments
from .base import OfSteps, Stateless, StepResult, register
from .experts import experts_of
from .unrolled import (
    BatchOf,
    Forward,
    Loss,
    Run,
    Tensors,
    Unrolled,
    call_directly,
    check,
    cross_entropy,
    forward_of,
    unroll,
)

R = TypeVar("R")
Drawn = list[
    tuple[Tensor, Callable[[Tensor], Tensor]]
]  # (B,) int64 each, and an augmentation of (1, B, c, h, w)


def squared_distance(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Tensor:
    """Squared distance between two sets of weights, over all parameters: a scalar."""
    parts = [(left[name] - right[name]).square().sum() for name in right]
    return sum(parts[1:], start=parts[0])


def distance(weights: Tensors, start: Tensors, target: Tensors) -> Tensor:
    """MTT's loss, ``|theta - theta*_{t+M}|^2 / |theta*_t - theta*_{t+M}|^2``: 1 at the start, 0 at the target; ()."""
    return squared_distance(weights, target) / squared_distance(start, target)


def match_trajectory(
    forward: Forward,
    start: Tensors,
    target: Tensors,
    learned: Mapping[str, Tensor],
    batch_of: BatchOf,
    rate: Tensor,
    steps: int,
    exact: bool = True,
    loss: Loss = cross_entropy,
    run: Run = call_directly,
) -> Unrolled:
    """The :func:`distance` of a student after N steps at one learned rate, and its gradient.

    MTT's gradient takes into account that a step moves the gradients g_k of those after it. TESLA's does not,
    and so has a closed form (released code): with G the sum of all g_k, D = theta*_{t+M} - theta*_t, rate a::

        dL/d(X, y) = sum over k of 2 (a D + a^2 G) . dg_k/d(X, y) / |D|^2
        dL/da      = 2 G . (D + a G) / |D|^2

    which is :func:`~.unrolled.unroll` with u kept at its start, ``u = -2 (D + a G) / |D|^2``. Both forms hold the graph
    of one step; TESLA's needs no products with Hessians. They agree for N = 1, and in general for images that only the
    last step uses.

    Parameters
    ----------
    forward, learned, batch_of, loss, run
        As in :func:`~.unrolled.unroll`; ``batch_of`` augments the images of step k.
    start, target : dict of str to Tensor
        theta*_t and theta*_{t+M}; see :func:`~dreamlib.teachers.experts.segment`.
    rate : Tensor
        (): a.
    steps : int
        N, at least 1.
    exact : bool
        MTT's gradient; False for TESLA's.

    Returns
    -------
    Unrolled
        ``rates`` is (): dL/da.
    """
    found = unroll(
        forward,
        start,
        learned,
        batch_of,
        rate.expand(steps),
        # Over the way of the expert itself: late epochs move weights less, and their segments would hardly count (MTT,
        # section 3.2).
        lambda weights: (distance(weights, start, target), None),
        loss,
        exact,
        run,
    )
    # One rate serves all N steps, so its gradient is the sum of theirs.
    return found._replace(rates=found.rates.sum())


@register("trajectory")
@dataclass(frozen=True)
class Trajectory(OfSteps):
    """Students trained on the synthetic images should follow the experts (MTT, section 3.2).

    Attributes
    ----------
    student_steps : int
        N, at least 1.
    synthetic_batch : int, optional
        Images of a step, in turns through random permutations of all; None: all of them.
    exact : bool
        MTT's gradient; False for TESLA's. See :func:`match_trajectory`.
    augment : Augmentation
        Drawn again at each step, and for every image with numbers of its own: a student's, not a pair's (released
        code).
    """

    student_steps: int = 30
    synthetic_batch: int | None = None
    exact: bool = True
    augment: Augmentation = field(default_factory=lambda: Siamese("none"))

    def before(self, recipe: R) -> R:
        return experts_of(recipe)

    def check(self) -> None:
        if self.student_steps < 1 or (self.synthetic_batch is not None and self.synthetic_batch < 1):
            raise BadValue(
                f"students of {self.student_steps} steps on batches of {self.synthetic_batch}; expected at least 1",
                "student_steps=30, synthetic_batch=None",
            )

    def suits(self, container: Container, teacher: object) -> None:
        if not isinstance(container, Paced) or not isinstance(teacher, StoredExperts):
            raise BadValue(
                f"recipe: trajectories are matched by images with a rate, under stored experts, and here are "
                f"{type(container).__name__} and {type(teacher).__name__}",
                "container=Paced(), teacher=StoredExperts()",
            )

    def shown(self, classes: int, ipc: int) -> float:
        return 4 * self.student_steps * min(self.synthetic_batch or classes * ipc, classes * ipc)

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Following:
        assert isinstance(teaching, Segments)
        return Following(self, scene, teaching)


class Following(Stateless):
    """Students that follow experts."""

    def __init__(self, how: Trajectory, scene: Scene, teaching: Segments) -> None:
        assert isinstance(scene.container, Paced)
        self.how, self.scene, self.teaching, self.container = how, scene, teaching, scene.container
        self.forward = forward_of(teaching.network)
        classes = torch.arange(scene.data.num_classes, device=scene.device)
        # Hard labels, in the order of the stored images: class after class.
        self.targets = F.one_hot(classes.repeat_interleave(scene.ipc), scene.data.num_classes).float()

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        how, teaching, rate = self.how, self.teaching, self.container.rates(stored)
        with self.scene.stopwatch.phase("matching"):
            found = match_trajectory(
                self.forward,
                teaching.start,
                teaching.target,
                {"images": stored["images"]},
                self._batch_of(self._drawn()),
                rate,
                how.student_steps,
                how.exact,
                run=self._run,
            )
        check(found, rate.expand(how.student_steps))
        return StepResult(found.loss, {"images": found.learned["images"], "rate": found.rates})

    def after(self, step: int, stored: Tensors) -> None:
        rate = float(self.container.rates(stored))
        if rate < 0:
            raise Diverged(
                f"the learned rate became {rate:g} at step {step + 1} of {self.scene.steps}; expected 0 or more",
                f"lower container.rate_by.lr (now {self.container.rate_by.lr:g}), or container.least=0.001",
            )

    def _drawn(self) -> Drawn:
        """For each step of a student which images it is taught by, and how they are augmented."""
        how, streams, count = self.how, self.scene.streams, len(self.targets)
        size = min(how.synthetic_batch or count, count)
        # All drawn beforehand: ``unroll`` asks for every batch twice, forwards and backwards.
        index: list[Tensor] = []
        while len(index) < how.student_steps:
            # Through a permutation of all synthetic images, then through the next one (released code).
            order = torch.randperm(count, generator=streams["student"], device=streams.device)
            index += order.split(size)
        return [
            (batch, how.augment.draw(1, streams["augment"], per_image=len(batch)))
            for batch in index[: how.student_steps]
        ]

    def _batch_of(self, drawn: Drawn) -> BatchOf:
        def batch_of(learned: Mapping[str, Tensor], k: int) -> tuple[Tensor, Tensor]:
            index, augment = drawn[k]
            # Through decoding and normalisation, so that the gradient reaches what is stored; only then is a batch
            # taken of them.
            images = self.container.decode(learned).flatten(0, 1)[index]
            seen = self.scene.data.normalisation.enter(images, self.container.space)
            return augment(seen[None])[0], self.targets[index]

        return batch_of

    def _run(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
        data = self.scene.data
        whole = "trajectory", self.scene.network, data.shape, data.num_classes, key
        return self.scene.engine.run(whole, function, *arguments)
