"""Convolutions of our own: they and their derivatives to the precision of their number format, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from dreamlib.compute import convolutions
from dreamlib.compute.engine import Engine
from dreamlib.compute.formats import FEWER_PRODUCTS, Formats
from dreamlib.compute.operations import FewerProducts, fewer_products, replacements
from dreamlib.networks import NetworkSpec, build
from dreamlib.networks.training import learning

CPU = torch.device("cpu")
needs_library = pytest.mark.skipif(
    not convolutions.available(CPU), reason="no C++ compiler with OpenMP to build the algorithm with"
)
# Channels come in multiples of it.
C = convolutions.panel() if convolutions.available(CPU) else 16
# Images, channels, output channels, height, width: whole tiles and not, one image and many, more and fewer channels, an
# odd number of tiles.
SHAPES = [
    (2, C, C, 16, 16),
    (1, C, C, 24, 24),
    (40, C, 2 * C, 4, 4),
    (5, 2 * C, C, 14, 9),
    (32, 3 * C, C, 5, 7),
    (3, C, 5 * C, 28, 28),
    (33, C, C, 4, 4),
]
# Maps, whether the factors of products are rounded to bfloat16, and the largest and the usual error: in shares of the
# results' standard deviation. A direct convolution in float32 is off by up to 1e-5, in bfloat16 by 3e-3 usually. Maps
# in float32 are never rounded.
KINDS = [
    (torch.float32, False, 1e-4, 1e-5),
    (torch.float32, True, 1e-4, 1e-5),
    (torch.bfloat16, False, 3e-2, 5e-3),
    (torch.bfloat16, True, 0.12, 1.6e-2),
]


def random(*shape: int, seed: int = 0, mean: float = 0.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + mean


def assert_near(found: Tensor, exact: Tensor, largest: float = 1e-4, usual: float = 1e-5) -> None:
    """Off by so much at most, and by so much in the root mean square, in shares of the standard deviation."""
    assert found.shape == exact.shape
    off = (found.double() - exact) / exact.std()
    assert float(off.abs().max()) < largest
    assert float(off.square().mean().sqrt()) < usual


@needs_library
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("dtype", "rough", "largest", "usual"), KINDS)
def test_a_convolution_and_its_derivatives(
    shape: tuple[int, ...],
    memory: torch.memory_format,
    dtype: torch.dtype,
    rough: bool,
    largest: float,
    usual: float,
) -> None:
    images, channels, outputs, height, width = shape
    x = random(images, channels, height, width, mean=0.5).to(dtype).contiguous(memory_format=memory)
    weight = random(outputs, channels, 3, 3, seed=1).to(dtype).contiguous(memory_format=memory)
    bias = random(outputs, seed=2).to(dtype)
    gradient = random(images, outputs, height, width, seed=3).to(dtype)
    given = [value.double().requires_grad_() for value in (x, weight, bias)]
    exact = F.conv2d(*given, padding=1)
    of_x, of_weight, of_bias = torch.autograd.grad(exact, given, gradient.double())
    how = [1, 1], [1, 1], [1, 1], False, [0, 0], 1
    own = fewer_products(rough)
    out = own[torch.ops.aten.convolution.default](x, weight, bias, *how)
    backward = own[torch.ops.aten.convolution_backward.default]
    found = out, *backward(gradient, x, weight, [outputs], *how, [True, True, True])
    for ours, theirs in zip(found, (exact.detach(), of_x, of_weight), strict=False):
        assert ours.dtype == dtype
        assert_near(ours, theirs, largest, usual)
    assert_near(found[3], of_bias, 3e-2, 2e-2)  # a plain sum
    if rough and dtype == torch.bfloat16:
        assert not out.equal(fewer_products(False)[torch.ops.aten.convolution.default](x, weight, bias, *how))


@needs_library
@pytest.mark.parametrize("channels", [1, 3, 4, convolutions.FEW])
@pytest.mark.parametrize("size", [(8, 16, 16), (40, 5, 4), (3, 28, 13)])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_few_channels_are_convolved_directly(
    channels: int, size: tuple[int, int, int], memory: torch.memory_format
) -> None:
    images, height, width = size
    x = random(images, channels, height, width, mean=0.5).bfloat16().contiguous(memory_format=memory)
    weight = random(2 * C, channels, 3, 3, seed=1).bfloat16().contiguous(memory_format=memory)
    bias = random(2 * C, seed=2).bfloat16()
    for offset in (None, bias):
        exact = F.conv2d(x.double(), weight.double(), None if offset is None else offset.double(), padding=1)
        found = torch.ops.dreamlib.few_channels(x, weight, offset)
        assert found.dtype == torch.bfloat16
        assert_near(found, exact, 3e-2, 2.5e-3)  # nothing is rounded but the results, to eight bits


@needs_library
@pytest.mark.parametrize("rough", [False, True])
def test_the_number_of_threads_changes_no_bit(rough: bool) -> None:
    # 45 tiles, which go to threads in parts of another size for every number of threads.
    x, weight, gradient = random(5, C, 9, 9), random(C, C, 3, 3, seed=1), random(5, C, 9, 9, seed=2)
    few, first = random(5, 3, 9, 9).bfloat16(), random(C, 3, 3, 3, seed=1).bfloat16()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(
                (
                    torch.ops.dreamlib.winograd(x, weight, None, False, rough),
                    torch.ops.dreamlib.winograd_gradient(x, gradient, rough),
                    torch.ops.dreamlib.few_channels(few, first, None),
                )
            )
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(a.equal(b) for a, b in zip(found[0], others, strict=True))


@needs_library
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rough", [False, True])
def test_numbers_that_are_not_finite_stay_so(value: str, dtype: torch.dtype, rough: bool) -> None:
    x = random(4, C, 16, 16).to(dtype)
    x[1, 3, 7, 7] = float(value)
    out = torch.ops.dreamlib.winograd(x, random(C, C, 3, 3).to(dtype), None, False, rough)
    assert not out[1, :, 6:9, 6:9].isfinite().any()
    assert out[[0, 2, 3]].isfinite().all()
    of_weight = torch.ops.dreamlib.winograd_gradient(x, random(4, C, 16, 16, seed=1).to(dtype), rough)
    assert not of_weight[:, 3].isfinite().any()


@needs_library
def test_maps_are_rounded_as_pytorch_rounds() -> None:
    x, weight = random(2, C, 16, 16).bfloat16(), torch.zeros(C, C, 3, 3)
    weight[range(C), range(C), 1, 1] = 1 + 2**-8 + 2**-7  # with eight bits, products need up to sixteen
    weight = weight.bfloat16()
    found = torch.ops.dreamlib.winograd(x, weight, None, False, False)
    exact = torch.ops.dreamlib.winograd(x.float(), weight.float(), None, False, False)
    assert found.equal(exact.bfloat16())


@needs_library
@pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=[pytest.mark.compiles, pytest.mark.nightly])]
)
def test_an_engine_takes_gradients_of_gradients_through_it(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gradient matching does: a gradient by the images of a distance between gradients by the weights."""
    x, weight = random(32, 32, 32, 32), random(32, 32, 3, 3, seed=1) / 10

    def matching(images: Tensor, weights: Tensor) -> Tensor:
        with torch.enable_grad():
            images, weights = images.requires_grad_(), weights.requires_grad_()
            loss = F.conv2d(F.conv2d(images, weights, padding=1).tanh(), weights, padding=1).square().mean()
            (pull,) = torch.autograd.grad(loss, weights, create_graph=True)
            return torch.autograd.grad(pull.square().sum(), images)[0]

    exact = matching(x.double(), weight.double())
    engine = Engine("fast", CPU, eager=not compiled, formats=FEWER_PRODUCTS)
    assert engine.words == "float32, large 3x3 convolutions by Winograd" + ", not compiled" * (not compiled)
    found = engine.run("matching", matching, x.clone(), weight.clone())
    assert_near(found, exact, 1e-3)  # seven convolutions, one on the other
    with monkeypatch.context() as patch:
        patch.setattr(convolutions, "_loaded", lambda: pytest.fail("it was used"))
        with pytest.raises((pytest.fail.Exception, RuntimeError), match="it was used"):
            engine.run("matching", matching, x.clone(), weight.clone())


@needs_library
@pytest.mark.parametrize(
    "change",
    [
        {"transposed": True},
        {"stride": [2, 2]},
        {"padding": [0, 0]},
        {"dilation": [2, 2], "padding": [2, 2]},
        {"groups": 2, "weight": random(C, C // 2, 3, 3)},
        {"weight": random(C, C, 5, 5), "padding": [2, 2]},
        {"weight": random(C - 4, C, 3, 3)},
        {"x": random(8, 3, 16, 16), "weight": random(C, 3, 3, 3)},
        {"x": random(8, C, 3, 16)},
        {"x": random(1, C, 16, 16)},
        {"x": random(0, C, 16, 16)},
        {"x": random(8, C, 16, 16).double(), "weight": random(C, C, 3, 3).double()},
        {"x": random(8, C, 16, 16).half(), "weight": random(C, C, 3, 3).half()},
    ],
)
def test_other_convolutions_are_left_as_they_are(change: dict[str, object]) -> None:
    given = {
        "x": random(8, C, 16, 16),
        "weight": random(C, C, 3, 3),
        "bias": None,
        "stride": [1, 1],
        "padding": [1, 1],
        "dilation": [1, 1],
        "transposed": False,
        "output_padding": [0, 0],
        "groups": 1,
    } | change
    usual = torch.ops.aten.convolution.default(*given.values())
    with FewerProducts():
        assert torch.ops.aten.convolution.default(*given.values()).equal(usual)


@needs_library
def test_eager_work_that_saves_little_is_left_as_it_is() -> None:
    """Replacing convolutions sends every operation through Python, which costs more than small ones gain."""

    def layer(images: Tensor, weights: Tensor) -> Tensor:
        return F.conv2d(images, weights, padding=1).relu()

    engine, plain = Engine("fast", CPU, eager=True, formats=FEWER_PRODUCTS), Engine("plain", CPU)
    small, large = (random(count, 32, 32, 32) for count in (1, 32))
    weight = random(32, 32, 3, 3, seed=1)
    assert engine.run("layer", layer, small, weight).equal(plain.run("layer", layer, small, weight))
    first = engine.run("layer", layer, large, weight)
    assert not first.equal(plain.run("layer", layer, large, weight))
    assert first.equal(engine.run("layer", layer, large, weight)), "the first call has the bits of all others"


@needs_library
def test_what_is_saved_is_three_quarters_of_whole_tiles() -> None:
    how = [1, 1], [1, 1], [1, 1], False, 1
    weight, direct = random(C, 2 * C, 3, 3), 4 * C * C * 9
    assert convolutions.saved(random(8, 2 * C, 16, 16), weight, *how) == direct * 8 * 16 * 16 * 3 / 4
    assert convolutions.saved(random(8, 2 * C, 14, 14), weight, *how) == direct * (8 * 14 * 14 - 8 * 16 * 4)
    assert convolutions.saved(random(8, 2 * C, 16, 16), weight, [2, 2], *how[1:]) == 0


@needs_library
def test_operands_that_do_not_belong_together_are_an_error_as_ever() -> None:
    with FewerProducts():
        with pytest.raises(RuntimeError, match=f"{C} channels"):
            F.conv2d(random(8, 2 * C, 16, 16), random(C, C, 3, 3), padding=1)
        with pytest.raises(RuntimeError, match="bias"):
            F.conv2d(random(8, C, 16, 16), random(C, C, 3, 3), random(8), padding=1)
    with pytest.raises(RuntimeError):
        torch.ops.dreamlib.winograd(random(8, C + 8, 16, 16), random(C, C, 3, 3), None, False, False)
    with pytest.raises(RuntimeError):
        torch.ops.dreamlib.winograd(random(8, C, 16, 16), random(C, C, 3, 3).bfloat16(), None, False, False)
    for empty in (random(0, C, 16, 16), random(8, C, 0, 16)):
        with pytest.raises(RuntimeError):
            torch.ops.dreamlib.winograd(empty, random(C, C, 3, 3), None, False, False)
    with pytest.raises(RuntimeError):
        torch.ops.dreamlib.winograd(random(8, C, 16, 16), random(C, C, 1, 1), None, False, False)
    with pytest.raises(RuntimeError):
        torch.ops.dreamlib.few_channels(
            random(8, 3, 16, 16).bfloat16(), random(C, 3, 3, 3).bfloat16(), random(8).bfloat16()
        )
    with pytest.raises(RuntimeError):
        torch.ops.dreamlib.few_channels(random(8, 3, 16, 16), random(C, 3, 3, 3), None)
    with pytest.raises(RuntimeError):
        torch.ops.dreamlib.winograd_gradient(random(8, C, 16, 16), random(7, C, 16, 16), False)


NARROW = """
import torch, torch.nn.functional as F
from dreamlib.compute import convolutions
x = torch.randn(3, 32, 14, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
w = torch.randn(32, 32, 3, 3, generator=torch.Generator().manual_seed(1)).bfloat16()
exact = F.conv2d(x.double(), w.double(), padding=1)
first = F.conv2d(x[:, :3].double(), w[:, :3].double(), padding=1)
def off(found, exact):
    return float((found.double() - exact).std() / exact.std())
print(convolutions.panel(), off(torch.ops.dreamlib.winograd(x.float(), w.float(), None, False, False), exact),
    off(torch.ops.dreamlib.winograd(x, w, None, False, False), exact),
    off(torch.ops.dreamlib.winograd(x, w, None, False, True), exact),
    off(torch.ops.dreamlib.few_channels(x[:, :3], w[:, :3], None), first))
"""


@pytest.mark.nightly
@needs_library
@pytest.mark.processes
@pytest.mark.skipif(not torch.cpu.get_capabilities().get("avx2"), reason="no processor with AVX2")
def test_narrow_vectors_and_products_that_are_worked_out_in_float32_give_the_same(tmp_path: Path) -> None:
    """As built on a processor without AVX-512, wherever the test runs."""
    env = {**os.environ, "DREAMLIB_CACHE": str(tmp_path), "CXX": "c++ -mno-avx512f"}
    told = subprocess.run([sys.executable, "-c", NARROW], env=env, capture_output=True, text=True, check=True)
    panel, *off = told.stdout.split()
    assert panel == "16"
    for found, usual in zip(map(float, off), (1e-5, 5e-3, 1.6e-2, 2.5e-3), strict=True):
        assert found < usual


@needs_library
@pytest.mark.parametrize("averages", [True, False])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_training_is_rough_where_means_count_and_maps_are_short(norm: str, averages: bool) -> None:
    """What a trace of a training step's convolutions asks for; with batch norm nothing is rounded."""
    formats = Formats("bfloat16", winograd=True, rough=True)
    engine = Engine("fast", CPU, formats=formats)
    network = build(NetworkSpec(width=C, norm=norm), (3, 32, 32), 10)

    def step(images: Tensor, *tensors: Tensor) -> dict[str, Tensor]:
        state = dict(zip(network.state_dict(), tensors, strict=True))
        labels = torch.zeros(len(images), dtype=torch.int64)
        return learning(engine, network, state, images, (labels, labels), torch.ones(()))[2]

    given = random(2, 3, 32, 32), *network.state_dict().values()
    traced = make_fx(step, replacements(formats, averages))(*given)
    asked = {
        (node.meta["val"].dtype, node.args[4])
        for node in traced.graph.nodes
        if node.target is torch.ops.dreamlib.winograd.default
    }
    assert asked == ({(torch.float32, False)} if norm == "batch" else {(torch.bfloat16, averages)})


LOADED = "import torch; from dreamlib.compute import convolutions; print(convolutions.available(torch.device('cpu')))"


def asked(cache: Path, **environment: str) -> str:
    """What another process finds, with its own cache folder."""
    env = {**os.environ, "DREAMLIB_CACHE": str(cache), **environment}
    done = subprocess.run([sys.executable, "-c", LOADED], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.compiles
def test_without_a_compiler_or_a_folder_it_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for number, environment in enumerate(
        (
            {"CXX": "/bin/false"},
            {"PATH": "", "CXX": ""},
            {"CXX": "'"},
            {"DREAMLIB_CACHE": str(tmp_path / "file")},
        )
    ):
        with monkeypatch.context() as patch:
            for name, value in ({"DREAMLIB_CACHE": str(tmp_path / str(number))} | environment).items():
                patch.setenv(name, value)
            # What a process finds that has not asked yet.
            assert convolutions.built.__wrapped__() is None, environment
    assert not convolutions.available(torch.device("cuda"))


@pytest.mark.nightly
@needs_library
@pytest.mark.processes
def test_where_it_is_damaged_it_is_built_again_and_once(tmp_path: Path) -> None:
    library = convolutions.built()
    assert library is not None
    damaged = tmp_path / library.name
    damaged.write_bytes(library.read_bytes()[:100])
    assert asked(tmp_path) == "True"
    assert damaged.stat().st_size > 100
    before = damaged.stat().st_mtime_ns
    assert asked(tmp_path) == "True"
    assert damaged.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [damaged]
