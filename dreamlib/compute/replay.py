"""Many kernels launched as one: CUDA graphs.

A matching or learning step of a small network is hundreds of short kernels, and launching each by itself may take
longer than running it. ``torch.compile`` records graphs too (``mode="reduce-overhead"``), but its checks of every
argument at each call take host time again. Here a call is one copy of the arguments per number format, one launch, and
one copy of the results per number format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Libraries choose algorithms and allocate memory in their first calls, which a recording forbids.
WARM_UPS = 3


class Replay:
    """A function of tensors on a CUDA device, recorded once and launched as one graph from then on.

    Parameters
    ----------
    function : callable
        Takes and returns tensors; launches the same kernels whatever their values, and never waits for the device.
    arguments : sequence of Tensor
        Of the shapes and number formats of all later calls. Their memory format may differ from call to call.
    device : torch.device
        Where they are.
    """

    def __init__(
        self, function: Callable[..., Sequence[Tensor]], arguments: Sequence[Tensor], device: torch.device
    ) -> None:
        # A graph reads and writes fixed addresses, so inputs and outputs have memory of their own.
        self._inputs = [value.clone() for value in arguments]
        self._inputs_by_format = _by_format(self._inputs)
        with torch.cuda.device(device):
            here, side = torch.cuda.current_stream(), _stream(torch.cuda.current_device(), 0)
            side.wait_stream(here)
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    function(*self._inputs)
            here.wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            recording = torch.cuda.graph(
                self._graph, pool=_pool(str(device)), stream=side, capture_error_mode="thread_local"
            )
            # The outer context restores the current CUDA stream even where recording fails.
            with torch.cuda.stream(here), recording:
                # Row-major, as weights are: operations on lists of tensors need one memory format for all.
                self._outputs = [value.contiguous() for value in function(*self._inputs)]
        self._outputs_by_format = _by_format(self._outputs)

    def __call__(self, *arguments: Tensor) -> list[Tensor]:
        """The function's results, copied out: the next replay overwrites the graph's own."""
        for places, inputs in self._inputs_by_format:
            torch._foreach_copy_(inputs, [arguments[at] for at in places])
        self._graph.replay()
        results = [torch.empty_like(value) for value in self._outputs]
        for places, outputs in self._outputs_by_format:
            torch._foreach_copy_([results[at] for at in places], outputs)
        return results


def _by_format(tensors: Sequence[Tensor]) -> list[tuple[list[int], list[Tensor]]]:
    """Positions and tensors by number format: each group is copied in one launch."""
    formats: dict[torch.dtype, list[int]] = {}
    for place, value in enumerate(tensors):
        formats.setdefault(value.dtype, []).append(place)
    return [(places, [tensors[at] for at in places]) for places in formats.values()]


def side_by_side(calls: Sequence[Callable[[], Sequence[Tensor]]], at_once: int) -> list[Sequence[Tensor]]:
    """Results of independent calls, ``at_once`` of them on CUDA streams of their own; in a graph these are branches."""
    here, device = torch.cuda.current_stream(), torch.cuda.current_device()
    streams = [_stream(device, number) for number in range(1, min(at_once, len(calls)) + 1)]
    found = []
    for start in range(0, len(calls), at_once):
        begun = []
        try:
            for call, stream in zip(calls[start : start + at_once], streams, strict=False):
                stream.wait_stream(here)
                begun.append(stream)
                with torch.cuda.stream(stream):
                    found.append(call())
        # Every CUDA stream that was forked has to join again, or the recording cannot end.
        finally:
            for stream in begun:
                here.wait_stream(stream)
    return found


@cache
def _stream(device: int, number: int) -> torch.cuda.Stream:
    """The same CUDA stream at every call: libraries allocate memory for each new one, which a recording forbids."""
    return torch.cuda.Stream(device)


@cache
def _pool(device: str) -> Any:
    """Memory that all graphs of a device share: results are copied at once, so the next graph may overwrite them."""
    return torch.cuda.graph_pool_handle()
