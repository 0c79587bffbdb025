"""Many kernels launched as one: CUDA graphs.

A matching or learning step of a small network is hundreds of short kernels, and launching each by itself may take
longer than running it. ``torch.compile`` records graphs too (``mode="reduce-overhead"``), but checks every argument and
keeps a tree of graphs at each call, which is host time again. Here a call is one copy of the arguments for each number
format, one launch, and a copy of each result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Libraries choose their algorithms and set memory aside in the first calls, which no graph may do.
WARM_UPS = 3


class Replay:
    """A function of tensors on a CUDA device, recorded once and launched as one graph from then on.

    Parameters
    ----------
    function : callable
        Takes and returns tensors; launches the same kernels whatever their values, and waits for none of them.
    arguments : sequence of Tensor
        Of the shapes and number formats of all calls to come. Their order in memory may be another at each call.
    device : torch.device
        Where they are.
    """

    def __init__(
        self, function: Callable[..., Sequence[Tensor]], arguments: Sequence[Tensor], device: torch.device
    ) -> None:
        self._inputs = [value.clone() for value in arguments]
        formats: dict[torch.dtype, list[int]] = {}
        for place, value in enumerate(arguments):
            formats.setdefault(value.dtype, []).append(place)
        self._formats = [(places, [self._inputs[at] for at in places]) for places in formats.values()]
        with torch.cuda.device(device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    function(*self._inputs)
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, pool=_pool(str(device)), capture_error_mode="thread_local"):
                self._outputs = list(function(*self._inputs))

    def __call__(self, *arguments: Tensor) -> list[Tensor]:
        """What the function returns, in memory of its own."""
        for places, inputs in self._formats:
            torch._foreach_copy_(inputs, [arguments[at] for at in places])
        self._graph.replay()
        # In the order that weights have in memory: operations on lists of tensors want one order for all.
        return [value.clone(memory_format=torch.contiguous_format) for value in self._outputs]


def side_by_side(calls: Sequence[Callable[[], Sequence[Tensor]]]) -> list[Sequence[Tensor]]:
    """What independent calls return, each on a stream of its own; in a graph they become branches."""
    here = torch.cuda.current_stream()
    found, streams = [], []
    for call in calls:
        stream = torch.cuda.Stream()
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            found.append(call())
        streams.append(stream)
    for stream in streams:
        here.wait_stream(stream)
    return found


@cache
def _pool(device: str) -> Any:
    """Memory that all graphs of a device share: results are copied at once, so the next graph may write over them."""
    return torch.cuda.graph_pool_handle()
