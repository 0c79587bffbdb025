"""Rougher operations: what they round is what they say, and only matchers of averages meet them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import generator
from torch import Tensor

from dreamlib import engine as engines
from dreamlib import rough
from dreamlib.data import ClassData, load
from dreamlib.distill import distill
from dreamlib.matchers import Feature, Gradient, Matcher
from dreamlib.networks import NetworkSpec
from dreamlib.recipe import Recipe

CPU = torch.device("cpu")
needs_bytes = pytest.mark.skipif(
    not rough.available(CPU), reason="this processor does not multiply bytes (VNNI)"
)


def on_levels(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Maps and weights moved to the nearest of the levels that the docstring promises, in float64."""
    x, w = x.double(), w.double()
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    step = max((high - low) / 255, 1e-30)
    zero = round(-low / step)
    steps = (w.abs().amax((1, 2, 3), keepdim=True) / 127).clamp(min=1e-30)
    return ((x / step + zero).round().clamp(0, 255) - zero) * step, (w / steps).round() * steps


@needs_bytes
@given(
    channels=st.sampled_from([16, 17, 40]),
    outputs=st.integers(1, 20),
    side=st.sampled_from([1, 3]),
    size=st.integers(5, 9),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    dilation=st.integers(1, 2),
    shift=st.sampled_from([0.0, 0.7, -3.0, 100.0]),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_a_convolution_of_bytes_is_exact_between_levels(
    channels: int,
    outputs: int,
    side: int,
    size: int,
    stride: int,
    padding: int,
    dilation: int,
    shift: float,
    bias: bool,
    seed: int,
) -> None:
    draw = generator(seed)
    x = (torch.randn(3, channels, size, size, generator=draw) + shift).bfloat16()
    w = torch.randn(outputs, channels, side, side, generator=draw).bfloat16()
    b = torch.randn(outputs, generator=draw).bfloat16() if bias else None
    how = ([stride] * 2, [padding] * 2, [dilation] * 2)
    found = rough.convolution(x, w, b, *how, False, [0, 0], 1)
    maps, weights = on_levels(x, w)
    expected = F.conv2d(maps, weights, None if b is None else b.double(), *how)
    assert found.dtype == torch.bfloat16
    assert found.shape == expected.shape
    # A value half way between two levels may go to either, as float32 rounds: a few products differ by a step.
    products = F.conv2d(maps.abs(), weights.abs(), None, *how)
    assert float((found.double() - expected).abs().max()) <= 0.01 * (float(products.max()) + 1e-6)


@needs_bytes
@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_constant_maps_are_kept(value: float) -> None:
    x, w = torch.full((2, 16, 4, 4), value).bfloat16(), torch.ones(3, 16, 1, 1).bfloat16()
    found = rough.convolution(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    torch.testing.assert_close(found.float(), torch.full((2, 3, 4, 4), 16 * value), rtol=0.01, atol=0)


@needs_bytes
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so_and_stops_nothing(value: float) -> None:
    x = torch.ones(2, 16, 4, 4).bfloat16()
    x[0, 0, 0, 0] = value
    w = torch.ones(3, 16, 3, 3).bfloat16()
    found = rough.convolution(x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    assert bool(found.isnan().all())


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 3},
        {"dtype": torch.float32},
        {"groups": 2},
        {"transposed": True},
    ],
    ids=str,
)
def test_what_would_not_be_faster_is_left_to_others(change: dict[str, Any]) -> None:
    given = {"channels": 16, "dtype": torch.bfloat16, "groups": 1, "transposed": False} | change
    x = torch.ones(1, given["channels"], 4, 4, dtype=given["dtype"])
    w = torch.ones(2, given["channels"], 3, 3, dtype=given["dtype"])
    out = rough.convolution(x, w, None, [1, 1], [1, 1], [1, 1], given["transposed"], [0, 0], given["groups"])
    assert out is NotImplemented


@given(
    shift=st.sampled_from([0.0, 1.0, -20.0]),
    affine=st.booleans(),
    size=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_group_norm_in_one_reading_is_the_usual_one(shift: float, affine: bool, size: int, seed: int) -> None:
    draw = generator(seed)
    x = torch.randn(3, 4, size, size, generator=draw) + shift
    weight, bias = (torch.randn(4, generator=draw) if affine else None for _ in range(2))
    expected = torch.ops.aten.native_group_norm(x, weight, bias, 3, 4, size * size, 4, 1e-5)
    with torch.no_grad():
        found = rough.group_norm(x, weight, bias, 3, 4, size * size, 4, 1e-5)
    if size > 1:  # the variance of one number is zero, and what rounding leaves of it is divided by itself
        torch.testing.assert_close(found[0], expected[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[1].view(3, 4), expected[1].view(3, 4), rtol=1e-5, atol=1e-5)


def test_group_norm_over_several_channels_or_to_be_differentiated_is_left_to_others() -> None:
    x = torch.ones(1, 4, 2, 2)
    with torch.no_grad():
        assert rough.group_norm(x, None, None, 1, 4, 4, 2, 1e-5) is NotImplemented
    assert rough.group_norm(x, None, None, 1, 4, 4, 4, 1e-5) is NotImplemented


def recipe(matcher: Matcher, mode: str, width: int = 16) -> Recipe:
    network = NetworkSpec(width=width, depth=2)
    return Recipe(matcher=matcher, network=network, iterations=1, real_batch=16, image_lr=1.0, mode=mode)


def operations(monkeypatch: pytest.MonkeyPatch, matcher: Matcher, mode: str) -> set[str]:
    """Names of the operations that a matching step compiles."""
    seen: set[str] = set()

    def note(traced: Any, **how: Any) -> Any:
        seen.update(str(node.target) for node in traced.graph.nodes)
        return traced

    monkeypatch.setattr(engines, "_COMPILED", {})
    monkeypatch.setattr(torch, "compile", note)
    distill(ClassData(load("digits")), recipe(matcher, mode), 1)
    return seen


@needs_bytes
def test_only_matchers_of_averages_are_rough_and_only_in_fast_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_rough(matcher: Matcher, mode: str) -> bool:
        return "dreamlib.convolution_of_bytes.default" in operations(monkeypatch, matcher, mode)

    assert is_rough(Feature(), "fast")
    assert not is_rough(Feature(), "compiled")
    assert not is_rough(Gradient(), "fast")


def test_without_the_instructions_fast_is_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rough, "_has_instructions", lambda: False)
    names = operations(monkeypatch, Feature(), "fast")
    assert "aten.convolution.default" in names
    assert not any("dreamlib" in name for name in names)


@needs_bytes
def test_feature_matching_in_bytes_moves_images_like_the_plain_one() -> None:
    data = ClassData(load("digits"))
    runs = [distill(data, recipe(Feature(), mode, width=32), 2) for mode in ("plain", "fast", "fast")]
    starts = [run.snapshots[0]["images"] for run in runs]
    moves = [run.stored["images"] - start for run, start in zip(runs, starts, strict=True)]
    assert float(moves[0].norm()) > 0
    assert float((moves[1] - moves[0]).norm()) <= 0.1 * float(moves[0].norm())
    assert runs[1].losses[-1][1] == pytest.approx(runs[0].losses[-1][1], rel=0.01)
    assert torch.equal(runs[1].stored["images"], runs[2].stored["images"])
