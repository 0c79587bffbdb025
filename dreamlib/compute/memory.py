"""The memory that a function needs, found without running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

GIB = 2**30


class _LiveTensors(TorchDispatchMode):
    """Adds up the tensors that are alive after each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[StorageWeakRef, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in pytree.tree_leaves(out):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                # By storage, so that views count once; weakly, so that counting keeps nothing alive.
                self.sizes[StorageWeakRef(storage)] = storage.nbytes()
        self.sizes = {ref: size for ref, size in self.sizes.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self.sizes.values()))
        return out


def peak_bytes(function: Callable[..., Any], *arguments: Any) -> int:
    """Bytes of the tensors that ``function(*arguments)`` holds at its peak beyond its arguments.

    Nothing is computed: only the shapes of the arguments, (nested) lists, tuples and dicts of tensors, are used. The
    workspace of a convolution is not counted.
    """
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        # Fake tensors have shapes, formats and storages, but no memory.
        shapes = pytree.tree_map_only(Tensor, fake.from_tensor, arguments)
        with _LiveTensors() as live:
            function(*shapes)
    return live.peak


def held_bytes(device: torch.device) -> int:
    """Bytes of all tensors on a GPU now; 0 on a CPU, whose allocator does not count."""
    return int(torch.cuda.memory_allocated(device)) if device.type == "cuda" else 0
