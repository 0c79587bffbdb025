"""Winograd's algorithm: the convolution and its derivatives to the precision of float32, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlib.compute import winograd
from dreamlib.compute.engine import Engine
from dreamlib.compute.formats import Formats
from dreamlib.compute.operations import FEWER_PRODUCTS, FewerProducts

CPU = torch.device("cpu")
FEWER = Formats("float32", winograd=True)
needs_library = pytest.mark.skipif(
    not winograd.available(CPU), reason="no C++ compiler with OpenMP to build the algorithm with"
)
# Images, channels, output channels, height, width: whole tiles and not, one image and many, more and fewer channels.
SHAPES = [
    (2, 16, 16, 16, 16),
    (40, 16, 32, 4, 4),
    (5, 32, 16, 14, 9),
    (32, 48, 16, 5, 7),
    (3, 16, 80, 28, 28),
]


def random(*shape: int, seed: int = 0, mean: float = 0.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + mean


def assert_near(found: Tensor, exact: Tensor, share: float = 2e-4) -> None:
    """Off by at most a share of the standard deviation: a direct one in float32 is by 1e-5, in bfloat16 by 2e-2."""
    assert found.shape == exact.shape
    assert float((found.double() - exact).abs().max()) < share * float(exact.std())


@needs_library
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_a_convolution_and_its_derivatives(shape: tuple[int, ...], memory: torch.memory_format) -> None:
    images, channels, outputs, height, width = shape
    x = random(images, channels, height, width, mean=0.5).contiguous(memory_format=memory)
    weight = random(outputs, channels, 3, 3, seed=1).contiguous(memory_format=memory)
    bias, gradient = random(outputs, seed=2), random(images, outputs, height, width, seed=3)
    given = [value.double().requires_grad_() for value in (x, weight, bias)]
    exact = F.conv2d(*given, padding=1)
    of_x, of_weight, of_bias = torch.autograd.grad(exact, given, gradient.double())
    assert_near(torch.ops.dreamlib.winograd(x, weight, bias, False), exact.detach())
    assert_near(torch.ops.dreamlib.winograd(gradient, weight, None, True), of_x)
    assert_near(torch.ops.dreamlib.winograd_gradient(x, gradient), of_weight)
    how = [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, True]
    backward = FEWER_PRODUCTS[torch.ops.aten.convolution_backward.default]
    found = backward(gradient, x, weight, [outputs], *how)
    for ours, theirs in zip(found, (of_x, of_weight, of_bias), strict=True):
        assert_near(ours, theirs)


@needs_library
def test_the_number_of_threads_changes_no_bit() -> None:
    # 45 tiles, which go to threads in parts of another size for every number of threads.
    x, weight, gradient = random(5, 32, 9, 9), random(32, 32, 3, 3, seed=1), random(5, 32, 9, 9, seed=2)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(
                (
                    torch.ops.dreamlib.winograd(x, weight, None, False),
                    torch.ops.dreamlib.winograd_gradient(x, gradient),
                )
            )
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(a.equal(b) for a, b in zip(found[0], others, strict=True))


@needs_library
def test_numbers_that_are_not_finite_stay_so() -> None:
    x = random(4, 16, 16, 16)
    x[1, 3, 7, 7] = float("nan")
    out = torch.ops.dreamlib.winograd(x, random(16, 16, 3, 3), None, False)
    assert out[1, :, 6:9, 6:9].isnan().all()
    assert out[[0, 2, 3]].isfinite().all()


@needs_library
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.compiles)])
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
    engine = Engine("fast", CPU, eager=not compiled, formats=FEWER)
    assert engine.words == "float32, large 3x3 convolutions by Winograd" + ", not compiled" * (not compiled)
    found = engine.run("matching", matching, x.clone(), weight.clone())
    assert_near(found, exact, 1e-3)  # seven convolutions, one on the other
    with monkeypatch.context() as patch:
        patch.setattr(winograd, "_loaded", lambda: pytest.fail("it was used"))
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
        {"groups": 2, "weight": random(16, 8, 3, 3)},
        {"weight": random(16, 16, 5, 5), "padding": [2, 2]},
        {"weight": random(12, 16, 3, 3)},
        {"x": random(8, 3, 16, 16), "weight": random(16, 3, 3, 3)},
        {"x": random(8, 16, 3, 16)},
        {"x": random(1, 16, 16, 16)},
        {"x": random(0, 16, 16, 16)},
        {"x": random(8, 16, 16, 16).double(), "weight": random(16, 16, 3, 3).double()},
        {"x": random(8, 16, 16, 16).bfloat16(), "weight": random(16, 16, 3, 3).bfloat16()},
    ],
)
def test_other_convolutions_are_left_as_they_are(change: dict[str, object]) -> None:
    given = {
        "x": random(8, 16, 16, 16),
        "weight": random(16, 16, 3, 3),
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

    engine, plain = Engine("fast", CPU, eager=True, formats=FEWER), Engine("plain", CPU)
    small, large = (random(count, 32, 32, 32) for count in (1, 32))
    weight = random(32, 32, 3, 3, seed=1)
    assert engine.run("layer", layer, small, weight).equal(plain.run("layer", layer, small, weight))
    first = engine.run("layer", layer, large, weight)
    assert not first.equal(plain.run("layer", layer, large, weight))
    assert first.equal(engine.run("layer", layer, large, weight)), "the first call has the bits of all others"


@needs_library
def test_what_is_saved_is_three_quarters_of_whole_tiles() -> None:
    how = [1, 1], [1, 1], [1, 1], False, 1
    weight, direct = random(16, 32, 3, 3), 2 * 16 * 32 * 9
    assert winograd.saved(random(8, 32, 16, 16), weight, *how) == direct * 8 * 16 * 16 * 3 / 4
    assert winograd.saved(random(8, 32, 14, 14), weight, *how) == direct * (8 * 14 * 14 - 8 * 16 * 4)
    assert winograd.saved(random(8, 32, 16, 16), weight, [2, 2], *how[1:]) == 0


@needs_library
def test_operands_that_do_not_belong_together_are_an_error_as_ever() -> None:
    with FewerProducts():
        with pytest.raises(RuntimeError, match="16 channels"):
            F.conv2d(random(8, 32, 16, 16), random(16, 16, 3, 3), padding=1)
        with pytest.raises(RuntimeError, match="bias"):
            F.conv2d(random(8, 16, 16, 16), random(16, 16, 3, 3), random(8), padding=1)
    with pytest.raises(RuntimeError):
        torch.ops.dreamlib.winograd(random(8, 24, 16, 16), random(16, 16, 3, 3), None, False)
    with pytest.raises(RuntimeError):
        torch.ops.dreamlib.winograd_gradient(random(8, 16, 16, 16), random(7, 16, 16, 16))


LOADED = "import torch; from dreamlib.compute import winograd; print(winograd.available(torch.device('cpu')))"


def asked(cache: Path, **environment: str) -> str:
    """What another process finds, with its own cache folder."""
    env = {**os.environ, "DREAMLIB_CACHE": str(cache), **environment}
    done = subprocess.run([sys.executable, "-c", LOADED], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.processes
def test_without_a_compiler_or_a_folder_it_is_not_available(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert asked(tmp_path / "a", CXX="/bin/false") == "False"
    assert asked(tmp_path / "b", PATH="", CXX="") == "False"
    assert asked(tmp_path / "c", CXX="'") == "False"
    assert asked(tmp_path / "file") == "False"
    assert not winograd.available(torch.device("cuda"))


@needs_library
@pytest.mark.processes
def test_it_is_built_once_and_again_where_it_is_damaged(tmp_path: Path) -> None:
    assert asked(tmp_path, CXX="env c++") == "True"  # a command of two words
    (built,) = tmp_path.iterdir()
    before = built.stat().st_mtime_ns
    assert asked(tmp_path, CXX="env c++") == "True"
    assert built.stat().st_mtime_ns == before
    built.write_bytes(built.read_bytes()[:100])
    assert asked(tmp_path, CXX="env c++") == "True"
    assert built.stat().st_size > 100
