"""CUDA graphs, on a stand-in: a tape of operations that is run again on the memory it was recorded with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tiny import generator
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from dreamlib import engine as engines
from dreamlib import replay
from dreamlib.replay import Replay

CUDA = torch.device("cuda")


class Tape(TorchDispatchMode):
    """Records like a graph: operations with the very tensors they read and wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, out in self.operations:
            again = func(*args, **kwargs)
            for old, new in zip(pytree.tree_leaves(out), pytree.tree_leaves(again), strict=True):
                old.copy_(new)


class Stream:
    def wait_stream(self, other: Stream) -> None: ...


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tape]]:
    tapes: list[Tape] = []

    def tape() -> Tape:
        tapes.append(Tape())
        return tapes[-1]

    def record(graph: Tape, pool: object, capture_error_mode: str) -> Tape:
        return graph

    for name, stand_in in {
        "device": lambda device: contextlib.nullcontext(),
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: contextlib.nullcontext(),
        "CUDAGraph": tape,
        "graph": record,
        "graph_pool_handle": lambda: (0, 0),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    replay._pool.cache_clear()
    yield tapes
    replay._pool.cache_clear()


def step(x: Tensor, weight: Tensor, at: Tensor) -> list[Tensor]:
    out = torch.nn.functional.conv2d(x, weight, padding=1)
    return [out.square().mean(), out[at]]


def arguments(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = generator(seed)
    x, weight = torch.randn(4, 3, 5, 5, generator=draw), torch.randn(2, 3, 3, 3, generator=draw)
    return x, weight, torch.randint(4, (3,), generator=draw)


def test_each_call_is_of_its_own_arguments(cuda: list[Tape]) -> None:
    run = Replay(step, arguments(0), CUDA)
    for seed in (1, 2):
        for found, expected in zip(run(*arguments(seed)), step(*arguments(seed)), strict=True):
            torch.testing.assert_close(found, expected)
    assert len(cuda) == 1
    assert cuda[0].replays == 2


def test_results_outlive_the_next_call(cuda: list[Tape]) -> None:
    run = Replay(step, arguments(0), CUDA)
    first = run(*arguments(1))
    kept = [value.clone() for value in first]
    run(*arguments(2))
    assert all(one.equal(other) for one, other in zip(first, kept, strict=True))


def test_arguments_and_results_may_lie_in_memory_in_any_order(cuda: list[Tape]) -> None:
    run = Replay(
        lambda x: [x.contiguous(memory_format=torch.channels_last) * 2], [torch.ones(2, 3, 4, 4)], CUDA
    )
    x = torch.randn(2, 3, 4, 4, generator=generator(0))
    for given in (x, x.contiguous(memory_format=torch.channels_last), x[:1].expand(2, 3, 4, 4)):
        (found,) = run(given)
        torch.testing.assert_close(found, given * 2)
        assert found.is_contiguous()


def test_arguments_are_not_written_to(cuda: list[Tape]) -> None:
    x = torch.ones(3)
    run = Replay(lambda x: [x + 1], [x], CUDA)
    run(torch.zeros(3))
    assert x.tolist() == [1, 1, 1]


def test_an_engine_records_what_it_compiles_on_cuda(
    cuda: list[Tape], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda traced, **how: traced)
    flat, shape = pytree.tree_flatten(arguments(0))
    run = engines._Compiled(step, flat, shape, CUDA, rounded=False)
    for found, expected in zip(run(*arguments(3)), step(*arguments(3)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert cuda[0].replays == 1


def test_what_cannot_be_recorded_runs_compiled_with_a_notice(
    cuda: list[Tape], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(engines, "Replay", refuse)
    monkeypatch.setattr(engines, "_told", set())
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda traced, **how: compiled.append(traced) or traced)
    flat, shape = pytree.tree_flatten(arguments(0))
    with pytest.warns(UserWarning, match="without a CUDA graph, which is slower: operation not permitted"):
        run = engines._Compiled(step, flat, shape, CUDA, rounded=False)
    assert run.function is compiled[0]
    torch.testing.assert_close(run(*arguments(3)), step(*arguments(3)))
