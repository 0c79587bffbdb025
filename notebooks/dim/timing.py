"""What a batch costs where images are drawn as they are needed: drawing it, and training on it (DiM, Table 9)."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dreamlib.compute.backend import clock
from dreamlib.compute.engine import Engine
from dreamlib.core.errors import BadValue
from dreamlib.core.streams import Streams
from dreamlib.networks import NetworkSpec
from dreamlib.networks.training import SGD, Stack, Training

WARM_UP = 3  # batches that are not timed: first calls set memory aside and choose algorithms


class Drawing(Protocol):
    """What images are drawn from."""

    @property
    def device(self) -> torch.device: ...

    def draw(self, labels: Tensor, stream: torch.Generator) -> Tensor:
        """Normalised images (B, c, h, w) of ``labels`` (B,), from the next numbers of ``stream``."""
        ...


@dataclass(frozen=True)
class BatchTimes:
    """Milliseconds of every timed batch.

    Attributes
    ----------
    network : NetworkSpec
        What was trained.
    batch : int
        Images of a batch.
    drawing, training : tuple of float
        Milliseconds, one entry per batch.
    """

    network: NetworkSpec
    batch: int
    drawing: tuple[float, ...]
    training: tuple[float, ...]

    @property
    def draw(self) -> float:
        """Median milliseconds of drawing a batch."""
        return statistics.median(self.drawing)

    @property
    def train(self) -> float:
        """Median milliseconds of training on it."""
        return statistics.median(self.training)

    @property
    def share(self) -> float:
        """Share of drawing in both together, from 0 to 1."""
        return self.draw / (self.draw + self.train)


def batch_times(
    drawing: Drawing,
    network: NetworkSpec,
    shape: tuple[int, int, int],
    num_classes: int,
    training: SGD,
    *,
    batch: int = 128,
    repeats: int = 15,
) -> BatchTimes:
    """Time drawing a batch and one step of training one network on it, in turn, so that both see the same machine.

    A step is augmentation, forward and backward pass and update, in plain float32. The device is waited for before
    and after whatever is timed.

    Parameters
    ----------
    drawing : Drawing
        A generator; its weights decide the images and not the time.
    network : NetworkSpec
        What is trained, from fresh weights.
    shape : tuple of int
        (c, h, w) of the images.
    num_classes : int
        C.
    training : SGD
        How; its batch is ``batch``.
    batch, repeats : int
        Images of a batch, and timed batches.

    Raises
    ------
    BadValue
        For fewer than one repeat or image, and for images too small for the network.
    """
    if repeats < 1 or batch < 1:
        raise BadValue(f"{repeats} repeats of a batch of {batch} images; expected at least one of each", "")
    device, streams = drawing.device, Streams(0, drawing.device)
    labels = torch.arange(batch, device=device) % num_classes
    images = drawing.draw(labels, streams["noise"])

    def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
        return images.unsqueeze(0), labels.unsqueeze(0)

    stack = Stack(network, shape, num_classes, 1, streams["network"])
    settings = replace(training, batch=batch, epochs=WARM_UP + repeats)
    run = Training(stack, fetch, batch, settings, streams["training"], engine=Engine("plain", device))
    drawn, trained = [], []
    for _ in range(WARM_UP + repeats):
        start = clock(device)
        images = drawing.draw(labels, streams["noise"])
        middle = clock(device)
        run.advance()
        drawn.append(1000 * (middle - start))
        trained.append(1000 * (clock(device) - middle))
    return BatchTimes(network, batch, tuple(drawn[WARM_UP:]), tuple(trained[WARM_UP:]))


def operations(network: nn.Module, *inputs: Tensor) -> int:
    """Floating-point operations of one forward pass: two for each product of its convolutions and linear layers."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return int(counter.get_total_flops())


def not_falling(shares: Mapping[str, float], order: Iterable[str]) -> list[tuple[str, str]]:
    """Neighbours whose share does not fall from the first to the second: what breaks an order.

    Parameters
    ----------
    shares : mapping of str to float
        By network, from 0 to 1.
    order : iterable of str
        The networks from the largest share to the smallest; those that were not timed are passed over.
    """
    timed = [name for name in order if name in shares]
    return [(one, other) for one, other in pairwise(timed) if shares[other] >= shares[one]]
