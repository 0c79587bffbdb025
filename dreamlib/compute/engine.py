"""How the heavy functions run: eagerly, or traced once, compiled, and in a shorter number format.

Pure functions of tensors say what is computed (``criteria/matching.py``, ``networks/training.py``). An engine only
decides how they run. Everything around them is the same in every mode.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from ..core.errors import unknown
from ..core.startup import uncollected
from .formats import FEWER_PRODUCTS, FLOAT32, Formats, cache_folder, formats_of
from .operations import FewerProducts, ProductsCounted, replacements
from .replay import Replay, side_by_side

# plain: eager float32, one operation after the other; the numbers every other mode is measured against.
# compiled: the same float32 operations, fused by TorchInductor. Sums are ordered differently, so the last bits differ.
# fast: compiled, and convolutions in bfloat16 where the machine has it (``formats.py``). Weights, images, losses
# and updates stay float32, and a GPU may round the factors of what is left in float32 to ten bits (TF32), which the
# other two modes forbid. A CPU makes its large convolutions with fewer products, in float32; where
# means over images are compared or learned from, those too are rounded to bfloat16, if the machine has it.
MODES = ("plain", "compiled", "fast")

# The last-level cache of a common CPU, 32 MiB. A constant, not the machine's own: it decides the order of
# sums, so results would differ from machine to machine.
CACHE_BYTES = 2**25

TRACED_GROUPS = 10  # the most classes in one trace: compile time grows with every class

# Options of TorchInductor, by kind of device.
# CPU: by default every process tests whether the compiler knows each instruction set of the processor. That takes ten
# times as long as the rest when the code is in the cache already. Without the test, a compiler that lacks one fails,
# and the function runs uncompiled. GPU: arithmetic is cheaper than memory traffic. By default an intermediate that is
# read from five tensors on is written to memory; here it is computed again instead. That halves the bytes of a
# gradient, as counted in the generated code. On a CPU it would be slower.
_OPTIONS: dict[str, dict[str, Any]] = {
    "cpu": {"cpp.vec_isa_ok": True},
    "cuda": {
        "realize_reads_threshold": 16,
        "realize_acc_reads_threshold": 16,
        "realize_opcount_threshold": 200,
    },
}

# Floating-point operations below which fast mode does not compile: half a minute to a minute of compiling would cost
# more than it saves. Counted, not timed, so that a cell runs the same code whenever and wherever it starts.
WORTH_COMPILING = {"cpu": 1e13, "cuda": 5e14}

# Floating-point operations that must be saved for every operation of a function, for eager fast mode to replace its
# convolutions: then all its operations go through Python, some 35 microseconds each. Counted, like the one above.
SAVED = 1e7

BRANCHES = 5  # calls that a CUDA graph runs in parallel; each takes memory of its own


class Programs:
    """Compiled functions, and their recordings on a GPU, by what they close over.

    Cells that share one object compile their common functions once.
    """

    def __init__(self) -> None:
        self.compiled: dict[Hashable, _Compiled] = {}
        self.recorded: dict[Hashable, _Recorded] = {}
        self.fewer: dict[Hashable, bool] = {}  # whether eager fast mode gains by other convolutions
        self._warned: set[str] = set()

    def warn_once(self, error: Exception, how: str) -> None:
        """Warn of an error of the compiler, once for each message."""
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn(f"running {how}, which is slower: {text[:200]}", stacklevel=2)


class Engine:
    """Runs pure functions of tensors in one of :data:`MODES`.

    Parameters
    ----------
    mode : str
        One of :data:`MODES`.
    device : torch.device
        Where the tensors are.
    eager : bool
        Never compile, in any mode: for work that does not gain from it.
    formats : Formats, optional
        Number formats of fast mode; by default the ones that are faster on the device
        (:func:`~dreamlib.compute.formats.formats_of`).
    operations : float
        Estimated floating-point operations of the whole work. Fast mode does not compile for fewer than
        :data:`WORTH_COMPILING`; unlimited by default.
    programs : Programs, optional
        Functions compiled so far, to which new ones are added; by default a new, empty object.

    Raises
    ------
    UnknownName
        For another mode.
    """

    def __init__(
        self,
        mode: str,
        device: torch.device | str,
        eager: bool = False,
        formats: Formats | None = None,
        operations: float = math.inf,
        programs: Programs | None = None,
    ) -> None:
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        self.mode, self.device = mode, torch.device(device)
        self.programs = Programs() if programs is None else programs
        short = mode == "fast" and operations < WORTH_COMPILING.get(self.device.type, 0)
        self.eager = eager or short or mode == "plain"
        self.formats = FLOAT32
        if mode == "fast":
            self.formats = formats_of(self.device) if formats is None else formats

    @property
    def plain(self) -> bool:
        """Whether functions run eagerly, in float32."""
        return self.mode == "plain"

    @property
    def words(self) -> str:
        """How functions run, for a record: the number formats, and whether they are compiled."""
        if self.plain or not self.eager:
            return self.formats.words
        used = self.formats if self.formats == FEWER_PRODUCTS else Formats(self.formats.short)
        return f"{used.words}, not compiled"

    @property
    def records(self) -> bool:
        """Whether a compiled function is recorded as a CUDA graph and launched as one.

        Then whole steps should be passed in, augmentation included: outside, every operation is a launch of its own.
        A recorded function has to launch the same kernels whatever was drawn.
        """
        return self.device.type == "cuda" and not self.eager

    def for_network(self, network: nn.Module) -> Engine:
        """This engine, or a plain one for a network that keeps running statistics while it is matched."""
        return (
            self
            if next(network.buffers(), None) is None
            else Engine("plain", self.device, programs=self.programs)
        )

    def groups(self, count: int, size: int) -> int:
        """How many of ``count`` groups (classes) go through a network together.

        A GPU takes all. A CPU is two to three times faster while the result of one operation is still in the cache for
        the next, so it takes as many as fit there, at least one. A trace grows with every class whose gradient it
        takes, so a compiled step has at most :data:`TRACED_GROUPS`. All steps of one size share one compiled version.

        Parameters
        ----------
        count : int
            Groups in all.
        size : int
            Bytes of the largest map of one group in float32.
        """
        most = count if self.device.type != "cpu" else max(1, CACHE_BYTES // size)
        if not self.plain:
            most = min(most, TRACED_GROUPS)
        # A divisor of ``count``, so that all chunks have one size: another size would be compiled again.
        return max(part for part in range(1, min(most, count) + 1) if count % part == 0)

    def stacks(self, count: int, size: int) -> bool:
        """Whether ``count`` networks learn as one stack, where ``size`` is as for :meth:`groups`, of one network.

        Not where they are compiled: the compiled code of one network serves all, and compiling K as one takes K times
        as long. In plain mode a GPU stacks all; a CPU stacks while the maps of the stack fit into its cache.
        """
        return self.plain and (count == 1 or self.device.type != "cpu" or count * size <= CACHE_BYTES)

    def lower(self, value: Any) -> Any:
        """Floating-point tensors in a (nested) container, in the number format of the mode's convolutions."""
        short = self.formats.dtype
        if short == torch.float32:
            return value
        return pytree.tree_map_only(Tensor, lambda t: t.to(short) if t.is_floating_point() else t, value)

    def autocast(self, called: Callable[..., Any]) -> Callable[..., Any]:
        """A network under autocast: convolutions and matrix products in the mode's number format, results in float32.

        For networks whose norms and sums need float32, such as generator and discriminator. :meth:`lower` casts
        everything.
        """
        dtype = self.formats.dtype
        if dtype == torch.float32:
            return called

        def under_autocast(*inputs: Tensor) -> Any:
            with torch.autocast(self.device.type, dtype):
                out = called(*inputs)
            return pytree.tree_map_only(Tensor, Tensor.float, out)

        return under_autocast

    def run(
        self, key: Hashable, function: Callable[..., Any], *arguments: Any, averages: bool = False
    ) -> Any:
        """``function(*arguments)``, compiled unless the engine is eager.

        Parameters
        ----------
        key : hashable
            Everything that ``function`` closes over. Functions with equal keys and arguments of equal shapes share one
            compiled version.
        function : callable
            Pure: what it returns, (nested) lists, tuples and dicts of tensors, depends on its arguments and on what
            ``key`` names; it changes neither. It may differentiate inside, to any order: the trace is of what its
            derivatives compute.
        *arguments
            (Nested) lists, tuples and dicts of tensors.
        averages : bool
            Images count by means over them: fast mode may then round further
            (:class:`~dreamlib.compute.formats.Formats`). What that changes is measured (``docs/speed.md``).

        Notes
        -----
        ``torch.compile`` alone cannot differentiate a gradient, which matching the gradient of synthetic images needs.
        Tracing first, by ``make_fx``, leaves a list of tensor operations without any derivative to take.
        """
        with _tf32(self.mode == "fast", self.device):
            # Next to bfloat16, fewer products gain too little to send all operations through Python for them.
            if self.eager and self.formats != FEWER_PRODUCTS:
                return function(*arguments)
            flat, form = pytree.tree_flatten(arguments)
            if self.eager:
                program = self._program_key(key, form, flat, False)
                if program not in self.programs.fewer:
                    # One call more of the first of its kind: all that count then have the same bits.
                    with ProductsCounted() as counted:
                        function(*arguments)
                    self.programs.fewer[program] = counted.saved >= SAVED * counted.calls
                with FewerProducts() if self.programs.fewer[program] else nullcontext():
                    return function(*arguments)
            rounded = averages and self.formats.rough
            program = self._program_key(key, form, flat, rounded)
            with torch.no_grad():
                if not self.records:
                    return self._compiled(program, function, flat, form, rounded)(flat)
                recorded = self.programs.recorded
                if program not in recorded:
                    compiled = self._compiled(program, function, flat, form, rounded)
                    recorded[program] = _Recorded(compiled, compiled.function, flat, self)
                return recorded[program](flat)

    def each(
        self, key: Hashable, function: Callable[..., Any], stacked: Any, *shared: Any, averages: bool = False
    ) -> Any:
        """``function(one, *shared)`` for every ``one`` of ``stacked``, with the results stacked as well.

        The function is compiled once for all rows. Where it is recorded, all calls form one CUDA graph with
        :data:`BRANCHES` parallel branches: networks of this size leave most of a GPU idle when they run one after the
        other. On a full device they run one after the other all the same.

        Parameters
        ----------
        key, function, shared, averages
            As for :meth:`run`.
        stacked
            (Nested) lists, tuples and dicts of tensors with as many rows as there are calls.
        """
        rows, form = pytree.tree_flatten(stacked)

        def row(k: int) -> Any:
            return pytree.tree_unflatten([value[k] for value in rows], form)

        count = len(rows[0])
        if not self.records:
            found = [self.run(key, function, row(k), *shared, averages=averages) for k in range(count)]
            return pytree.tree_map(lambda *values: torch.stack(values), *found)
        flat = [*rows, *pytree.tree_leaves(shared)]
        rounded = averages and self.formats.rough
        program = self._program_key(("each", len(rows), key), form, flat, rounded)
        recorded = self.programs.recorded
        with _tf32(self.mode == "fast", self.device), torch.no_grad():
            if program not in recorded:
                one, whole = pytree.tree_flatten((row(0), *shared))
                single = self._program_key(key, whole, one, rounded)
                compiled = self._compiled(single, function, one, whole, rounded)

                def run_all(at_once: int, *tensors: Tensor) -> list[Tensor]:
                    # Flat tensors, since a graph knows no containers: first those with a row per call, then the shared
                    # ones.
                    of_each, of_all = tensors[: len(rows)], tensors[len(rows) :]
                    calls = [
                        partial(compiled.function, *[value[k] for value in of_each], *of_all)
                        for k in range(count)
                    ]
                    found = side_by_side(calls, at_once)
                    return [torch.stack(values) for values in zip(*found, strict=True)]

                try:
                    ready = _Recorded(compiled, partial(run_all, BRANCHES), flat, self)
                except torch.OutOfMemoryError:
                    torch.cuda.empty_cache()
                    ready = _Recorded(compiled, partial(run_all, 1), flat, self)
                recorded[program] = ready
            return recorded[program](flat)

    def _program_key(
        self, key: Hashable, form: pytree.TreeSpec, flat: Sequence[Tensor], rounded: bool
    ) -> Hashable:
        # Whatever changes the generated code: shapes, strides and formats, device, threads, and the demand for
        # repeatable results.
        shapes, repeatable = tuple(map(_shape, flat)), torch.are_deterministic_algorithms_enabled()
        machine = str(self.device), torch.get_num_threads(), repeatable
        return self.mode, self.formats, machine, rounded, key, str(form), shapes

    def _compiled(
        self,
        program: Hashable,
        function: Callable[..., Any],
        flat: list[Tensor],
        form: pytree.TreeSpec,
        rounded: bool,
    ) -> _Compiled:
        compiled = self.programs.compiled
        if program not in compiled:
            compiled[program] = _Compiled(function, flat, form, self, rounded)
        return compiled[program]


@contextmanager
def _tf32(allowed: bool, device: torch.device) -> Iterator[None]:
    """Inside this context a GPU may, or may not, round the factors of float32 products to ten bits (TF32)."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("high" if allowed else "highest")
        torch.backends.cudnn.allow_tf32 = allowed
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@contextmanager
def _instructions_trusted() -> Iterator[None]:
    """Inside this context TorchInductor takes the processor's word for bfloat16 and VNNI, as it does for the rest.

    ``vec_isa_ok`` does not reach these two: each is tried in a process that imports PyTorch, which is five of the eight
    seconds that a process takes to its first compiled step. For AMX the trial is kept, since it may find a compiler
    that lacks part of it.
    """
    from torch._inductor.cpu_vec_isa import VecISA

    trial = VecISA.check_build
    if torch.cpu.get_capabilities().get("amx_tile"):
        yield
        return
    try:
        VecISA.check_build = lambda self, code: True  # type: ignore[method-assign]  # for as long as it compiles
        yield
    finally:
        VecISA.check_build = trial  # type: ignore[method-assign]  # as it was


class _Compiled:
    """One traced and compiled function, for arguments of one shape.

    ``function`` takes the tensors of the arguments and returns those of the result; it is ``done`` where a compiler has
    made it, and the original elsewhere.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        flat: list[Tensor],
        form: pytree.TreeSpec,
        engine: Engine,
        rounded: bool,
    ) -> None:
        self.outputs: pytree.TreeSpec | None = None

        def flattened(*tensors: Tensor) -> list[Tensor]:
            out, self.outputs = pytree.tree_flatten(function(*pytree.tree_unflatten(list(tensors), form)))
            return out

        self.function: Callable[..., Sequence[Tensor]] = flattened
        self.done = False
        # Compiled code is kept between processes, in a folder that is not cleaned like a temporary one.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder()))
        try:
            with warnings.catch_warnings(), uncollected():
                warnings.simplefilter("ignore")  # the compiler's warnings about itself
                table = replacements(engine.formats, rounded)
                # Fake tensors: the trace needs shapes only, so tracing costs no computation and no memory.
                trace = make_fx(flattened, table, tracing_mode="fake", _allow_non_fake_inputs=True)
                traced = trace(*flat)
                # Not public, so imported only where something is compiled.
                from torch._functorch.compile_utils import fx_graph_cse
                from torch._inductor import compile as compiled_by_inductor
                from torch._subclasses.fake_tensor import FakeTensorMode
                from torch.fx.experimental.symbolic_shapes import ShapeEnv

                # Common subexpressions: derivatives use the same maps many times, and the compiler would compute each
                # of them.
                traced = GraphModule(traced, fx_graph_cse(traced.graph))
                # Straight to TorchInductor: torch.compile would trace the trace once more, and guard against what the
                # key of a program tells already. Without an environment for shapes, nothing would be kept in the cache.
                fake = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
                shapes: list[Any] = [fake.from_tensor(value, static_shapes=True) for value in flat]
                with _instructions_trusted():
                    compiled = compiled_by_inductor(traced, shapes, _OPTIONS.get(engine.device.type))
            self.function, self.done = compiled, True
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            # A missing compiler or a full disk must not stop the work: the original function gives the same results.
            engine.programs.warn_once(error, "uncompiled")

    def __call__(self, flat: list[Tensor]) -> Any:
        return self.rebuild(self.function(*flat))

    def rebuild(self, flat: Sequence[Tensor]) -> Any:
        assert self.outputs is not None
        return pytree.tree_unflatten(list(flat), self.outputs)


class _Recorded:
    """Calls of a compiled function as one CUDA graph, or without one where they cannot be recorded."""

    def __init__(
        self,
        compiled: _Compiled,
        calls: Callable[..., Sequence[Tensor]],
        arguments: list[Tensor],
        engine: Engine,
    ) -> None:
        self.compiled, self.calls = compiled, calls
        if not compiled.done:
            return
        try:
            self.calls = Replay(calls, arguments, engine.device)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            engine.programs.warn_once(error, "without a CUDA graph")

    def __call__(self, flat: list[Tensor]) -> Any:
        return self.compiled.rebuild(self.calls(*flat))


def _shape(tensor: Tensor) -> Hashable:
    return tuple(tensor.shape), tensor.stride(), tensor.dtype
