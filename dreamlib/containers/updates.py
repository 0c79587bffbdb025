"""How a stored tensor is updated: one optimiser for each, as data, with its state as tensors, for checkpoints.

    state = update.start(tensor)
    tensor, state = update(tensor, gradient, state)

Nothing is changed in place: the caller may discard a result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..core.errors import BadValue
from ..core.files import below

State = dict[str, Tensor]  # of one tensor: momentum, running means, a step count


class Update(Protocol):
    """Moves one tensor down its gradient. Implementations are frozen dataclasses."""

    @property
    def lr(self) -> float: ...

    def start(self, tensor: Tensor) -> State:
        """The state of a tensor that has not been updated yet."""
        ...

    def approach(self, tensor: Tensor, state: State, lr_factor: float = 1.0) -> tuple[Tensor, State]:
        """The point at which the gradient is taken; for most updates the tensor itself."""
        ...

    def __call__(
        self, tensor: Tensor, gradient: Tensor, state: State, lr_factor: float = 1.0
    ) -> tuple[Tensor, State]:
        """The tensor and its state after one step; ``lr_factor`` multiplies the learning rate."""
        ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum, as :class:`torch.optim.SGD`: v = momentum v + g, x = x - lr v.

    Parameters
    ----------
    lr : float
        Learning rate, at least 0.
    momentum : float
        In [0, 1).

    Raises
    ------
    BadValue
        For a setting outside its range.
    """

    lr: float = 1.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _check(self.lr, (self.momentum,))

    def start(self, tensor: Tensor) -> State:
        return {"velocity": torch.zeros_like(tensor)}

    def approach(self, tensor: Tensor, state: State, lr_factor: float = 1.0) -> tuple[Tensor, State]:
        return tensor, state

    @torch.no_grad()
    def __call__(
        self, tensor: Tensor, gradient: Tensor, state: State, lr_factor: float = 1.0
    ) -> tuple[Tensor, State]:
        # PyTorch's form of momentum: the rate multiplies v, and v holds unscaled gradients.
        velocity = state["velocity"].mul(self.momentum).add_(gradient)
        return tensor.add(velocity, alpha=-self.lr * lr_factor), {"velocity": velocity}


@dataclass(frozen=True)
class ClassByClass(SGD):
    """SGD that makes a step after the gradient of every class, in order (IDC and DREAM, released code).

    Each of these steps also moves the images of all other classes by their momentum. The gradient of a class depends on
    its own images alone, so before and after its own step its images only drift by momentum. A drift of n steps is a
    geometric sum. One gradient of all classes between two drifts therefore equals the loop over classes exactly.
    """

    @torch.no_grad()
    def approach(self, tensor: Tensor, state: State, lr_factor: float = 1.0) -> tuple[Tensor, State]:
        # Class c comes after c others, each of whose steps has moved it once.
        position = torch.arange(len(tensor), device=tensor.device, dtype=tensor.dtype)
        return self._drift(tensor, state, lr_factor, position)

    @torch.no_grad()
    def __call__(
        self, tensor: Tensor, gradient: Tensor, state: State, lr_factor: float = 1.0
    ) -> tuple[Tensor, State]:
        # The class takes its own step where the drift of the classes before it has brought its images.
        tensor, state = super().__call__(tensor, gradient, state, lr_factor)
        # Then C - 1 - c more classes take their steps.
        position = torch.arange(len(tensor), device=tensor.device, dtype=tensor.dtype)
        return self._drift(tensor, state, lr_factor, len(tensor) - 1 - position)

    def _drift(self, tensor: Tensor, state: State, lr_factor: float, steps: Tensor) -> tuple[Tensor, State]:
        """``steps`` (C,) of SGD with a gradient of zero: v shrinks to m^n v, and x moves by -lr (m + ... + m^n) v."""
        m, velocity = self.momentum, state["velocity"]
        # One exponent a class, spread over the axes of its images.
        decay = m ** steps.view(-1, *[1] * (tensor.dim() - 1))
        # The geometric sum m + m^2 + ... + m^n = m (1 - m^n) / (1 - m), for each class with its own n.
        moved = tensor.sub(m * (1 - decay) / (1 - m) * velocity, alpha=self.lr * lr_factor)
        return moved, {"velocity": velocity * decay}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, Algorithm 1), as :class:`torch.optim.Adam`.

    The step goes along m / (sqrt(v) + eps), with running means m of the gradient and v of its square, both corrected
    for having started at 0.

    Parameters
    ----------
    lr : float
        Learning rate, at least 0.
    betas : tuple of float
        Decay rates of the running means m and v, in [0, 1).
    eps : float
        At least 0.

    Raises
    ------
    BadValue
        For a setting outside its range.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        _check(self.lr, self.betas, self.eps)

    def start(self, tensor: Tensor) -> State:
        zeros = torch.zeros_like(tensor)
        return {"step": torch.tensor(0), "exp_avg": zeros, "exp_avg_sq": zeros.clone()}

    def approach(self, tensor: Tensor, state: State, lr_factor: float = 1.0) -> tuple[Tensor, State]:
        return tensor, state

    @torch.no_grad()
    def __call__(
        self, tensor: Tensor, gradient: Tensor, state: State, lr_factor: float = 1.0
    ) -> tuple[Tensor, State]:
        state, scale, correction = self._next(gradient, state)
        return tensor.addcdiv(state["exp_avg"], scale, value=-self.lr * lr_factor / correction), state

    def _next(self, gradient: Tensor, state: State) -> tuple[State, Tensor, float]:
        """The next state, the denominator sqrt(v / (1 - beta2^t)) + eps, and the bias correction 1 - beta1^t of m."""
        step, mean = state["step"] + 1, state["exp_avg"].lerp(gradient, 1 - self.betas[0])
        square = self._square(state["exp_avg_sq"], gradient, mean)
        first, second = (1 - beta ** int(step) for beta in self.betas)
        # eps is added after the correction of v, as torch.optim.Adam does. The order matters where gradients are tiny.
        scale = (square.sqrt() / second**0.5).add_(self.eps)
        return {"step": step, "exp_avg": mean, "exp_avg_sq": square}, scale, first

    def _square(self, square: Tensor, gradient: Tensor, mean: Tensor) -> Tensor:
        """The next running mean of squares."""
        return square.mul(self.betas[1]).addcmul_(gradient, gradient, value=1 - self.betas[1])


@dataclass(frozen=True)
class LAMB(Adam):
    """Adam's direction u, scaled so that a tensor moves by a share ``lr`` of its norm (You et al. 2020, Algorithm 2).

    ``x = x - lr (|x| / |u|) u``, with a ratio of 1 where either norm is 0, and no weight decay (FRePo, released code;
    its ``eps`` is that of Optax). The norms are those of the whole tensor.
    """

    eps: float = 1e-6

    @torch.no_grad()
    def __call__(
        self, tensor: Tensor, gradient: Tensor, state: State, lr_factor: float = 1.0
    ) -> tuple[Tensor, State]:
        state, scale, correction = self._next(gradient, state)
        # u, Adam's direction with both running means corrected.
        direction = state["exp_avg"] / (correction * scale)
        ratio = torch.linalg.vector_norm(tensor) / torch.linalg.vector_norm(direction)
        # |x| = 0 gives a ratio of 0, |u| = 0 an infinite one, both 0 a NaN: 1 in all three cases, as in Optax.
        ratio = torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0)
        return tensor - self.lr * lr_factor * ratio * direction, state


@dataclass(frozen=True)
class AdaBelief(Adam):
    """Adam with v the running mean of (g - m)^2: steps are long where gradients hardly vary (Zhuang et al. 2020).

    ``eps`` is also added to v at every step, inside the root (their Algorithm 2). The default is RFAD's.
    """

    eps: float = 1e-16

    def _square(self, square: Tensor, gradient: Tensor, mean: Tensor) -> Tensor:
        # ``mean`` is m with this gradient in it, as in Algorithm 2 of Zhuang et al.
        return super()._square(square, gradient - mean, mean).add_(self.eps)


def _check(lr: float, shares: tuple[float, ...], eps: float = 0.0) -> None:
    if not 0 <= lr < math.inf or not 0 <= eps < math.inf:
        raise BadValue(
            f"an update with rate {lr} and eps {eps}; expected finite numbers of at least 0", "lr=0.001"
        )
    if not all(0 <= share < 1 for share in shares):
        raise BadValue(f"an update with momentum or betas {shares}; expected at least 0 and below 1", "0.9")


def update_of(name: str, updates: Mapping[str, Update]) -> Update | None:
    """The update of a stored tensor: that of the longest key of ``updates`` that its name begins with, or None.

    ``""`` matches every name; a tensor without an update, such as a running statistic, keeps its value.
    """
    fitting = [prefix for prefix in updates if name.startswith(prefix)]
    return updates[max(fitting, key=len)] if fitting else None


class Optimiser:
    """Updates named tensors in place, each by its own :class:`Update`, and holds their states.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The tensors to update.
    updates : mapping of str to Update
        By the beginning of a name; see :func:`update_of`.
    """

    def __init__(self, tensors: Mapping[str, Tensor], updates: Mapping[str, Update]) -> None:
        found = {name: update_of(name, updates) for name in tensors}
        self.updates = {name: update for name, update in found.items() if update is not None}
        # Filled with a tensor's first step, so that a tensor without a gradient is never in a checkpoint.
        self.states: dict[str, State] = {}

    def approach(self, tensors: Mapping[str, Tensor], lr_factor: float = 1.0) -> None:
        """Move the tensors to the points where their gradients are taken."""
        for name, state in self.states.items():
            moved, self.states[name] = self.updates[name].approach(tensors[name], state, lr_factor)
            if moved is not tensors[name]:
                tensors[name].copy_(moved)

    def step(
        self, tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor], lr_factor: float = 1.0
    ) -> None:
        """One step of every tensor that has an update and a gradient."""
        for name, gradient in gradients.items():
            if (update := self.updates.get(name)) is not None:
                state = self.states.get(name) or update.start(tensors[name])
                moved, self.states[name] = update(tensors[name], gradient, state, lr_factor)
                tensors[name].copy_(moved)

    def state(self) -> dict[str, Tensor]:
        """All states, as ``"NAME:SLOT"``: ``"images:velocity"``."""
        return {f"{n}:{slot}": value for n, state in self.states.items() for slot, value in state.items()}

    def restore(self, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned, with the ``tensors`` as they are now."""
        self.states = {}
        for name, update in self.updates.items():
            if held := below(state, f"{name}:"):
                # A fresh state says which slots there are, and on which device and in which format.
                fresh = update.start(tensors[name])
                self.states[name] = {
                    slot: held[slot].to(value.device, value.dtype, copy=True) for slot, value in fresh.items()
                }
