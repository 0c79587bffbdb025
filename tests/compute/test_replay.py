"""CUDA graphs, on a stand-in: a tape of operations that is run again on the memory it was recorded with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import generator
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from dreamlib.augment import Siamese
from dreamlib.compute import engine as engines
from dreamlib.compute import replay
from dreamlib.compute.engine import Engine
from dreamlib.compute.replay import Replay
from dreamlib.containers import MultiFormation
from dreamlib.criteria import Matching
from dreamlib.data import ClassData, Dataset, Normalisation
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe, change
from dreamlib.matchers import Feature, Gradient, classwise
from dreamlib.networks import NetworkSpec
from dreamlib.networks.training import SGD, Stack, Training
from dreamlib.teachers import Networks

pytestmark = pytest.mark.compiles

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
        given = views((args, kwargs or {}))
        out = func(*args, **(kwargs or {}))
        self.operations.append((func, *given, views(out)))
        return out

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, out in self.operations:
            again = func(*views(args), **kwargs)
            for old, new in zip(pytree.tree_leaves(out), pytree.tree_leaves(again), strict=True):
                if new is not None:
                    old.copy_(new)


def views(value: Any) -> Any:
    """The same memory in tensors of their own, whose shapes stay when those of the originals are changed in place."""
    return pytree.tree_map_only(Tensor, torch.detach, value)


class Stream:
    """Tells what waits for what."""

    current: Stream
    log: list[str]

    def __init__(self, device: int = 0, name: str = "") -> None:
        self.name = name or f"s{len(Stream.log)}"
        Stream.log.append(f"new {self.name}")

    def wait_stream(self, other: Stream) -> None:
        Stream.log.append(f"{self.name} after {other.name}")


@contextlib.contextmanager
def on(stream: Stream) -> Iterator[None]:
    before, Stream.current = Stream.current, stream
    try:
        yield
    finally:
        Stream.current = before


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tape]]:
    tapes: list[Tape] = []
    Stream.log = []
    Stream.current = Stream(name="main")

    def tape() -> Tape:
        tapes.append(Tape())
        return tapes[-1]

    def record(graph: Tape, pool: object, stream: Stream, capture_error_mode: str) -> Any:
        recording = contextlib.ExitStack()
        recording.enter_context(on(stream))
        recording.enter_context(graph)
        return recording

    for name, stand_in in {
        "device": lambda device: contextlib.nullcontext(),
        "Stream": Stream,
        "current_stream": lambda: Stream.current,
        "current_device": lambda: 0,
        "stream": on,
        "CUDAGraph": tape,
        "graph": record,
        "graph_pool_handle": lambda: (0, 0),
        "empty_cache": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    for kept in (replay._pool, replay._stream):
        kept.cache_clear()
    yield tapes
    for kept in (replay._pool, replay._stream):
        kept.cache_clear()


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


def test_branches_leave_and_come_back_a_few_at_a_time(cuda: list[Tape]) -> None:
    def call(number: int) -> list[Tensor]:
        Stream.log.append(f"{number} on {Stream.current.name}")
        return [torch.tensor(number)]

    found = replay.side_by_side([lambda n=n: call(n) for n in range(3)], 2)
    assert [int(value) for (value,) in found] == [0, 1, 2]
    assert [line for line in Stream.log if not line.startswith("new")] == [
        *("s1 after main", "0 on s1", "s2 after main", "1 on s2", "main after s1", "main after s2"),
        *("s1 after main", "2 on s1", "main after s1"),
    ]


def test_a_branch_that_fails_comes_back_all_the_same(cuda: list[Tape]) -> None:
    def fail() -> list[Tensor]:
        raise ValueError("in a branch")

    with pytest.raises(ValueError, match="in a branch"):
        replay.side_by_side([fail, list, list], 3)
    assert Stream.log[-1] == "main after s1"
    assert Stream.current.name == "main"


@pytest.fixture
def recording(cuda: list[Tape], monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """Every engine records, whatever the device; what it traces is run as traced, for a tape sees no compiled code."""
    monkeypatch.setattr("torch._inductor.compile", lambda traced, shapes, options: traced)
    monkeypatch.setattr(Engine, "records", property(lambda engine: not engine.eager))
    return cuda


def test_an_engine_records_what_it_compiles(recording: list[Tape]) -> None:
    engine = Engine("compiled", "cpu")
    for seed in (3, 4, 3):
        found = engine.run("a step", step, *arguments(seed))
        for one, expected in zip(found, step(*arguments(seed)), strict=True):
            torch.testing.assert_close(one, expected, rtol=1e-5, atol=1e-5)
    assert len(recording) == 1
    assert recording[0].replays == 3


def test_calls_for_each_row_are_one_graph(recording: list[Tape]) -> None:
    def pieces(one: dict[str, Tensor], scale: Tensor) -> dict[str, Tensor]:
        return {"sum": one["a"] @ one["b"] * scale, "a": one["a"].sin()}

    draw, engine, scale = generator(0), Engine("compiled", "cpu"), torch.tensor(3.0)
    for count in (4, 4, 2):
        rows = {
            "a": torch.randn(count, 2, 3, generator=draw),
            "b": torch.randn(count, 3, generator=draw),
        }
        found = engine.each("pieces", pieces, rows, scale)
        torch.testing.assert_close(found["sum"], torch.einsum("kij,kj->ki", rows["a"], rows["b"]) * 3)
        torch.testing.assert_close(found["a"], rows["a"].sin())
    assert [tape.replays for tape in recording] == [2, 1]
    assert len(engine.programs.compiled) == 1


UNEVEN = torch.tensor([9, 14, 11, 20])
IDC = Siamese("color_crop_cutout_flip_scale_rotate", "idc")
PLANS = {
    "dm": Recipe(criterion=Matching(matcher=Feature(), real_batch=8), iterations=6),
    "dsa": Recipe(
        criterion=Matching(matcher=Gradient(), real_batch=6),
        iterations=4,
        teacher=Networks(steps=3, trained_on="synthetic", epochs=2, batch=5, lr=0.1),
    ),
    "dream": Recipe(
        criterion=Matching(
            matcher=Gradient("mse", "convolutions"), augment=IDC, synthetic_batch=5, real_batch=8
        ),
        container=MultiFormation(2),
        iterations=4,
        teacher=Networks(steps=3, trained_on="real", images=24, batch=12, lr=0.1, cutmix=0.7, augment=IDC),
    ),
}


COLOURS = Normalisation("pixel", (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))


def uneven(normalisation: Normalisation = COLOURS) -> ClassData:
    draw = generator(5)
    images = torch.randint(256, (int(UNEVEN.sum()), 3, 8, 8), generator=draw, dtype=torch.uint8)
    labels = torch.arange(4).repeat_interleave(UNEVEN)
    return ClassData(
        Dataset(
            "colours",
            images,
            labels,
            images,
            labels,
            tuple("abcd"),
            normalisation,
        )
    )


def same_recorded(plan: Recipe, data: ClassData, chunk: int = 4, patched: tuple[str, ...] = ()) -> None:
    """A recorded run ends where a plain one does, ``chunk`` classes at once."""

    def distilled(mode: str) -> Distillation:
        small = replace(plan, network=NetworkSpec(width=8, depth=2), image_lr=0.1, mode=mode)
        run = Distillation(data, small, 2, 0)
        run.criterion.classwise.at_once = chunk
        while not run.done:
            run.advance()
        return run

    plain = distilled("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classwise, "UNFOLDED_ON", patched)
        recorded = distilled("compiled")
    moved = (plain.stored["images"] - plain.snapshots[0]["images"]).norm()
    assert float((recorded.stored["images"] - plain.stored["images"]).norm()) < 1e-4 * float(moved)
    assert recorded.losses[-1][1] == pytest.approx(plain.losses[-1][1], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "chunk", "patched"),
    [
        pytest.param("dm", 4, (), marks=pytest.mark.nightly),
        ("dm", 3, ()),
        ("dsa", 4, ("cpu",)),
        pytest.param("dsa", 3, (), marks=pytest.mark.nightly),
        pytest.param("dream", 4, (), marks=pytest.mark.nightly),
        ("dream", 3, ("cpu",)),
    ],
)
def test_recorded_steps_are_the_plain_ones(
    name: str, chunk: int, patched: tuple[str, ...], recording: list[Tape]
) -> None:
    same_recorded(PLANS[name], uneven(), chunk, patched)
    assert all(tape.replays > 1 for tape in recording)
    # The real half and the synthetic one, each for every size of a chunk, and what the network learns from.
    assert len(recording) <= 2 * (1 if chunk == 4 else 2) + (2 if name == "dsa" else 1)


@pytest.mark.nightly
def test_what_recipes_differ_in_is_recorded_apart(recording: list[Tape]) -> None:
    """One after the other in one process, as the cells of a table are."""
    plan = replace(PLANS["dream"], iterations=2)
    same_recorded(plan, uneven())
    same_recorded(change(plan, "augment", Siamese("flip_scale", "idc")), uneven())
    same_recorded(change(plan, "teacher.cutmix", 0.0), uneven())
    same_recorded(change(plan, "teacher.augment", Siamese("color")), uneven())
    same_recorded(replace(plan, container=MultiFormation(2, space="normalised")), uneven())
    same_recorded(plan, uneven(Normalisation("other", (0.1, 0.2, 0.3), (0.5, 0.4, 0.6))))


@pytest.mark.parametrize("norm", ["instance", pytest.param("batch", marks=pytest.mark.nightly)])
def test_recorded_networks_learn_as_plain_ones(norm: str, recording: list[Tape]) -> None:
    draw = generator(0)
    images, labels = torch.randn(20, 3, 8, 8, generator=draw), torch.arange(20) % 3

    def trained(mode: str) -> Training:
        source = generator(1)
        stack = Stack(NetworkSpec(width=8, depth=2, norm=norm), (3, 8, 8), 3, 3, source)
        settings = SGD(epochs=4, batch=12, lr=0.05, augment=Siamese(), cutmix=0.5)
        run = Training(
            stack, lambda i: (images[i], labels[i]), 20, settings, source, engine=Engine(mode, "cpu")
        )
        while not run.done:
            run.advance()
        return run

    plain, recorded = trained("plain"), trained("compiled")
    for key, value in recorded.stack.tensors.items():
        torch.testing.assert_close(value, plain.stack.tensors[key], rtol=1e-4, atol=1e-5)
    assert [tape.replays for tape in recording] == [4, 4]  # one for each size of a batch
    found = recorded.stack.accuracy(lambda part: images[part], labels, engine=Engine("compiled", "cpu"))
    assert found == plain.stack.accuracy(lambda part: images[part], labels)
    assert len(recording) == 3


def test_what_cannot_be_recorded_runs_compiled_with_a_notice(
    recording: list[Tape], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(engines, "Replay", refuse)
    compiled = []
    monkeypatch.setattr("torch._inductor.compile", lambda traced, *how: compiled.append(traced) or traced)
    engine = Engine("compiled", "cpu")
    with pytest.warns(UserWarning, match="without a CUDA graph, which is slower: operation not permitted"):
        engine.run("a step", step, *arguments(0))
    (ready,) = engine.programs.recorded.values()
    assert ready.calls is compiled[0]
    torch.testing.assert_close(engine.run("a step", step, *arguments(3)), step(*arguments(3)))


def test_on_a_full_device_networks_learn_one_after_the_other(
    recording: list[Tape], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    class Full(Replay):
        def __init__(self, function: Any, arguments: Any, device: torch.device) -> None:
            tries.append(function.args[0])
            if tries[-1] > 1:
                raise torch.OutOfMemoryError("full")
            super().__init__(function, arguments, device)

    monkeypatch.setattr(engines, "Replay", Full)
    found = Engine("compiled", "cpu").each("each step", lambda row: row * 2, torch.arange(3.0))
    assert found.tolist() == [0, 2, 4]
    assert tries == [engines.BRANCHES, 1]


def test_a_gpus_options_are_ones_the_compiler_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_OPTIONS", {"cpu": engines._OPTIONS["cuda"]})
    found = Engine("compiled", "cpu").run("with options", lambda x: x.sin() + 1, torch.zeros(3))
    assert found.tolist() == [1, 1, 1]


def test_a_run_that_is_to_repeat_itself_is_recorded_apart() -> None:
    engine, before = Engine("compiled", "cpu"), torch.are_deterministic_algorithms_enabled()
    _, form = pytree.tree_flatten([1])
    keys = set()
    try:
        for repeatable in (False, True):
            torch.use_deterministic_algorithms(repeatable)
            keys.add(engine._program_key("a step", form, [torch.ones(1)], rounded=False))
    finally:
        torch.use_deterministic_algorithms(before)
    assert len(keys) == 2


def test_what_cannot_be_compiled_is_not_recorded(
    recording: list[Tape], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr("torch._inductor.compile", broken)
    engine = Engine("compiled", "cpu")
    with pytest.warns(UserWarning, match="uncompiled, which is slower: no compiler here"):
        found = engine.each("each step", lambda row: row * 2, torch.arange(3.0))
    assert found.tolist() == [0, 2, 4]
    assert not recording
