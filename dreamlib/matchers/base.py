"""What a matcher is: something measured on a batch of each class, and a distance between two measurements."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core.errors import unknown
from ..core.registry import Registry
from ..networks import Network

# As published: "cosine" of DC and DSA (DC Eq. 10), "mse" and "l1" of IDC and DREAM by data set (released code).
METRICS = ("cosine", "mse", "l1")


def distance(metric: str, real: Tensor, synthetic: Tensor) -> Tensor:
    """Distance between two stacks of measurements, summed over everything.

    Parameters
    ----------
    metric : str
        ``"mse"``: sum of squared differences (IDC; DM Eq. 5 on mean features). ``"l1"``: sum of absolute
        differences (IDC). ``"cosine"``: sum over output rows of one minus the cosine of the angle (DC Eq. 10).
    real, synthetic : Tensor
        (C, ...) of one shape; for ``"cosine"`` dimension 1 is the rows (output channels).

    Returns
    -------
    Tensor
        Scalar.
    """
    # Sums, not means: the published learning rates of the images belong to sums (IDC, released code).
    if metric == "mse":
        return (real - synthetic).square().sum()
    if metric == "l1":
        return (real - synthetic).abs().sum()
    if metric == "cosine":
        # (C, o, i, kh, kw) to (C, o, i*kh*kw): DC compares the weights of one output channel at a time (Eq. 10).
        a, b = real.flatten(2), synthetic.flatten(2)
        # eps 1e-6 is added to the product of the norms, as in DC's released code.
        cosine = (a * b).sum(2) / (a.norm(dim=2) * b.norm(dim=2) + 1e-6)
        return (1 - cosine).sum()
    raise unknown("metric", metric, METRICS)


class Matcher(Protocol):
    """Compares real and synthetic images under one network. Implementations are frozen dataclasses.

    A matching loss is ``distance(measure(real).detach(), measure(synthetic))``. Both methods see whole batches of
    classes; class c of one measurement is only ever compared with class c of the other, so that classes can be
    processed in chunks without changing the sum.

    A matcher says in ``averages`` of which images it compares only means over many: ``("real", "synthetic")``, or
    ``("real",)``. Fast mode may round the convolutions of those further (:class:`~dreamlib.compute.formats.Formats`),
    gradients included.
    """

    def measure(self, network: Network, images: Tensor, labels: Tensor, differentiable: bool) -> list[Tensor]:
        """Measurements of ``images`` (G, B, c, h, w) of the classes ``labels``: tensors of shape (G, ...).

        Labels are (G,) where a group is a class, and (G, B) where it is a batch of many classes (DiM). With
        ``differentiable`` the result can be differentiated with respect to the images.
        """
        ...

    def distance(self, real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
        """Scalar distance, summed over classes."""
        ...


class Weighing(Matcher, Protocol):
    """A matcher of means over images that can count each image by its share, as some samplers ask."""

    def measure(
        self,
        network: Network,
        images: Tensor,
        labels: Tensor,
        differentiable: bool,
        shares: Tensor | None = None,
    ) -> list[Tensor]:
        """As :meth:`Matcher.measure`; ``shares`` (G, B), one in sum, take the place of 1 / B in a mean over images."""
        ...


def weighs(matcher: Matcher) -> bool:
    """Whether a matcher can count images by shares."""
    return "shares" in inspect.signature(matcher.measure).parameters


def exact(value: Tensor) -> Tensor:
    """``value`` in float32 or wider: means, losses and distances are never computed in a shorter format."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


class _Measurement(nn.Module):
    """A matcher's measurement as a module, so that ``functional_call`` can put weights under it."""

    def __init__(self, matcher: Matcher, network: Network) -> None:
        super().__init__()
        self.matcher, self.network = matcher, network

    def forward(self, images: Tensor, labels: Tensor, differentiable: bool, *shares: Tensor) -> list[Tensor]:
        return cast(Weighing, self.matcher).measure(self.network, images, labels, differentiable, *shares)


def measure_under(
    weights: Mapping[str, Tensor],
    matcher: Matcher,
    network: Network,
    images: Tensor,
    labels: Tensor,
    differentiable: bool,
    *shares: Tensor,
) -> list[Tensor]:
    """``matcher.measure`` with ``weights`` (by name) in the place of the network's own; a pure function of them."""
    # The weights arrive as an argument, so that an engine can trace the whole measurement as a function of tensors.
    given = {f"network.{name}": weight for name, weight in weights.items()}
    out: list[Tensor] = functional_call(
        _Measurement(matcher, network), given, (images, labels, differentiable, *shares)
    )
    return out


MATCHERS: Registry[Matcher] = Registry("matcher")
register = MATCHERS.register
