"""Matching an expert's trajectory: MTT (Cazenavette et al. 2022), and TESLA's form of it (Cui et al. 2023).

An expert was trained on real images, and its weights were kept after every epoch. A student starts from one of its
snapshots, is trained for N steps on the synthetic images, and should end where the expert was M epochs later.

Legend: E experts, P snapshots of each (before the first epoch, and after each), theta* an expert's weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..core.errors import BadValue
from .unrolled import Forward, Lesson, Loss, Run, Tensors, Unrolled, cross_entropy, plainly, unroll


def segment(experts: Mapping[str, Tensor], expert: int, epoch: int, ahead: int) -> tuple[Tensors, Tensors]:
    """An expert's weights after ``epoch`` epochs, where a student starts, and ``ahead`` epochs later, its target.

    Parameters
    ----------
    experts : dict of str to Tensor
        (E, P, ...) by the name of the weight.
    expert, epoch, ahead : int
        Which expert; t, from 0; and M, at least 1.

    Raises
    ------
    BadValue
        If the experts were not trained for so long.
    """
    count, snapshots = next(iter(experts.values())).shape[:2]
    if not (0 <= expert < count and 0 <= epoch < epoch + ahead < snapshots):
        raise BadValue(
            f"expert {expert} from epoch {epoch} for {ahead} epochs, of {count} experts trained for "
            f"{snapshots - 1} epochs",
            f"experts trained for {epoch + ahead} epochs, or an earlier start",
        )
    start = {name: value[expert, epoch] for name, value in experts.items()}
    return start, {name: value[expert, epoch + ahead] for name, value in experts.items()}


def squared_distance(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Tensor:
    """Between two sets of weights, every parameter counted: a scalar."""
    parts = [(left[name] - right[name]).square().sum() for name in right]
    return sum(parts[1:], start=parts[0])


def distance(weights: Tensors, start: Tensors, target: Tensors) -> Tensor:
    """MTT's loss, |theta - theta*_{t+M}|^2 / |theta*_t - theta*_{t+M}|^2: 1 at the start, 0 at the target; ()."""
    return squared_distance(weights, target) / squared_distance(start, target)


def match_trajectory(
    forward: Forward,
    start: Tensors,
    target: Tensors,
    learned: Mapping[str, Tensor],
    lesson: Lesson,
    rate: Tensor,
    steps: int,
    exact: bool = True,
    loss: Loss = cross_entropy,
    run: Run = plainly,
) -> Unrolled:
    """The :func:`distance` of a student after N steps at one learned rate, and its gradient.

    MTT's gradient takes into account that a step moves the gradients g_k of those after it. TESLA's does not,
    and so has a closed form (released code): with G the sum of all g_k, D = theta*_{t+M} - theta*_t, rate a::

        dL/d(X, y) = sum over k of 2 (a D + a^2 G) . dg_k/d(X, y) / |D|^2
        dL/da      = 2 G . (D + a G) / |D|^2

    which is :func:`~.unrolled.unroll` with its u at rest: u = -2 (D + a G) / |D|^2 is where it starts. Both forms hold
    the graph of one step; TESLA's saves the products with Hessians. They agree for N = 1, and in general for whatever
    the last step alone is taught by.

    Parameters
    ----------
    forward, learned, lesson, loss, run
        As in :func:`~.unrolled.unroll`; ``lesson`` augments the images of step k.
    start, target : dict of str to Tensor
        theta*_t and theta*_{t+M}; see :func:`segment`.
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
        lesson,
        rate.expand(steps),
        lambda weights: (distance(weights, start, target), None),
        loss,
        exact,
        run,
    )
    return found._replace(rates=found.rates.sum())
