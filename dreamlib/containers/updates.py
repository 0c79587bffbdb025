"""How stored tensors move: one optimiser for each of them, as data, its memory as tensors that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam

from ..core.files import below

Memory = dict[str, Tensor]  # what an update remembers of one tensor


class Update(Protocol):
    """Moves tensors down their gradients, in place. Implementations are frozen dataclasses.

    A step is :meth:`approach`, then the gradient where the tensors stand now, then :meth:`move`.
    """

    @property
    def lr(self) -> float: ...

    def start(self, tensor: Tensor) -> Memory:
        """What is remembered of a tensor that has not moved yet."""
        ...

    def approach(self, tensors: Sequence[Tensor], memories: Sequence[Memory], pace: float = 1.0) -> None:
        """Go where the gradient is to be taken; for most, that is here."""
        ...

    def move(
        self,
        tensors: Sequence[Tensor],
        gradients: Sequence[Tensor],
        memories: Sequence[Memory],
        pace: float = 1.0,
    ) -> None:
        """One step; ``pace`` multiplies the learning rate."""
        ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum: v = momentum v + g, x = x - lr v.

    Parameters
    ----------
    lr : float
        Learning rate.
    momentum : float
        In [0, 1).
    """

    lr: float = 1.0
    momentum: float = 0.0

    def start(self, tensor: Tensor) -> Memory:
        return {"velocity": torch.zeros_like(tensor)}

    def approach(self, tensors: Sequence[Tensor], memories: Sequence[Memory], pace: float = 1.0) -> None:
        return

    def move(
        self,
        tensors: Sequence[Tensor],
        gradients: Sequence[Tensor],
        memories: Sequence[Memory],
        pace: float = 1.0,
    ) -> None:
        for value, gradient, memory in zip(tensors, gradients, memories, strict=True):
            speed = memory["velocity"].mul_(self.momentum).add_(gradient)
            value.add_(speed, alpha=-self.lr * pace)


@dataclass(frozen=True)
class ClassByClass(SGD):
    """SGD that makes a step after the gradient of every class, in order (IDC and DREAM, released code).

    Each of these steps also moves the images of all other classes by their momentum. The gradient of a class depends on
    its own images alone: while it waits for its turn, and after it, its images drift. A drift of n steps is a geometric
    sum, so one gradient of all classes between two drifts equals the loop over classes.
    """

    def approach(self, tensors: Sequence[Tensor], memories: Sequence[Memory], pace: float = 1.0) -> None:
        self._drift(tensors, memories, pace, reverse=False)  # class c waits for the c classes before it

    def move(
        self,
        tensors: Sequence[Tensor],
        gradients: Sequence[Tensor],
        memories: Sequence[Memory],
        pace: float = 1.0,
    ) -> None:
        super().move(tensors, gradients, memories, pace)
        self._drift(tensors, memories, pace, reverse=True)  # and for those after it

    def _drift(
        self, tensors: Sequence[Tensor], memories: Sequence[Memory], pace: float, *, reverse: bool
    ) -> None:
        m = self.momentum
        for value, memory in zip(tensors, memories, strict=True):
            turn = torch.arange(len(value), device=value.device, dtype=value.dtype)
            steps = (len(value) - 1 - turn if reverse else turn).view(-1, *[1] * (value.dim() - 1))
            left, speed = m**steps, memory["velocity"]
            # m + m^2 + ... + m^n
            value.sub_(m * (1 - left) / (1 - m) * speed, alpha=self.lr * pace)
            speed.mul_(left)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015), as :class:`torch.optim.Adam` has it.

    Parameters
    ----------
    lr : float
        Learning rate.
    betas : tuple of float
        Two numbers in [0, 1).
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)

    def start(self, tensor: Tensor) -> Memory:
        return {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros_like(tensor),
            "exp_avg_sq": torch.zeros_like(tensor),
        }

    def approach(self, tensors: Sequence[Tensor], memories: Sequence[Memory], pace: float = 1.0) -> None:
        return

    def move(
        self,
        tensors: Sequence[Tensor],
        gradients: Sequence[Tensor],
        memories: Sequence[Memory],
        pace: float = 1.0,
    ) -> None:
        with torch.no_grad():
            adam(
                list(tensors),
                list(gradients),
                [memory["exp_avg"] for memory in memories],
                [memory["exp_avg_sq"] for memory in memories],
                max_exp_avg_sqs=[],
                state_steps=[memory["step"] for memory in memories],
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=self.lr * pace,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )


def update_of(name: str, updates: Mapping[str, Update]) -> Update | None:
    """The update of a stored tensor: that of the longest of the names in ``updates`` that it begins with, or None.

    ``""`` stands for all that have no other; a tensor without an update, such as a running statistic, stays.
    """
    fitting = [prefix for prefix in updates if name.startswith(prefix)]
    return updates[max(fitting, key=len)] if fitting else None


class Moves:
    """Moves named tensors by their updates, and remembers what these remember.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        What moves.
    updates : mapping of str to Update
        By the beginning of a name; see :func:`update_of`.
    """

    def __init__(self, tensors: Mapping[str, Tensor], updates: Mapping[str, Update]) -> None:
        self.groups: dict[Update, list[str]] = {}
        for name in tensors:
            if (update := update_of(name, updates)) is not None:
                self.groups.setdefault(update, []).append(name)
        self.memory: dict[str, Memory] = {}  # of what has moved

    def _memories(self, update: Update, names: list[str], tensors: Mapping[str, Tensor]) -> list[Memory]:
        for name in names:
            if name not in self.memory:
                self.memory[name] = update.start(tensors[name])
        return [self.memory[name] for name in names]

    def approach(self, tensors: Mapping[str, Tensor], pace: float = 1.0) -> None:
        """Go where the gradient is to be taken."""
        for update, names in self.groups.items():
            known = [name for name in names if name in self.memory]  # nothing else has a speed
            update.approach([tensors[n] for n in known], [self.memory[n] for n in known], pace)

    def move(self, tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor], pace: float = 1.0) -> None:
        """One step of every tensor that has a gradient, in place."""
        for update, names in self.groups.items():
            moved = [name for name in names if name in gradients]
            values, pulls = [tensors[name] for name in moved], [gradients[name] for name in moved]
            update.move(values, pulls, self._memories(update, moved, tensors), pace)

    def state(self) -> dict[str, Tensor]:
        """What is remembered, as ``"NAME:SLOT"``."""
        return {f"{n}:{slot}": value for n, memory in self.memory.items() for slot, value in memory.items()}

    def restore(self, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned, with the ``tensors`` as they are now."""
        self.memory = {}
        for update, names in self.groups.items():
            for name in names:
                held = below(state, f"{name}:")
                if held:
                    self.memory[name] = update.start(tensors[name])
                    for slot, value in self.memory[name].items():
                        value.copy_(held[slot])
