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

from dreamlib.compute import engine as engines
from dreamlib.compute import rough
from dreamlib.compute.engine import Engine
from dreamlib.compute.formats import Formats
from dreamlib.data import ClassData, load
from dreamlib.distillation.loop import distill
from dreamlib.distillation.recipe import Recipe
from dreamlib.matchers import Feature, Gradient, Matcher, measure_under
from dreamlib.networks import NetworkSpec, build, initialise

CPU = torch.device("cpu")
needs_bytes = pytest.mark.skipif(
    not rough.available(CPU), reason="this processor does not multiply bytes (VNNI)"
)


@needs_bytes
@given(
    channels=st.sampled_from([16, 17, 40]),
    outputs=st.integers(2, 20),
    side=st.sampled_from([1, 3]),
    size=st.integers(5, 9),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    dilation=st.integers(1, 2),
    zero=st.sampled_from([0, 1, 128, 255]),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_values_on_levels_are_convolved_exactly(
    channels: int,
    outputs: int,
    side: int,
    size: int,
    stride: int,
    padding: int,
    dilation: int,
    zero: int,
    bias: bool,
    seed: int,
) -> None:
    draw = generator(seed)
    levels = torch.randint(0, 256, (3, channels, size, size), generator=draw)
    levels.view(-1)[:2] = torch.tensor([0, 255])
    x = ((levels - zero) / 4).bfloat16()
    weights = torch.randint(-127, 128, (outputs, channels, side, side), generator=draw)
    weights[:, 0, 0, 0], weights[0] = 127, 0
    w = (weights / 2.0 ** torch.arange(outputs).remainder(5).view(-1, 1, 1, 1)).bfloat16()
    b = torch.randn(outputs, generator=draw).bfloat16() if bias else None
    how = ([stride] * 2, [padding] * 2, [dilation] * 2)
    found = rough.convolution(x, w, b, *how, False, [0, 0], 1)
    expected = F.conv2d(x.double(), w.double(), None if b is None else b.double(), *how)
    # What is returned in bfloat16 has eight bits; nothing else may be lost.
    torch.testing.assert_close(found, expected.bfloat16(), rtol=2**-7, atol=1e-3)


@needs_bytes
def test_rounding_takes_the_nearest_level() -> None:
    x = torch.tensor([0.0, 255.0, 30.25, 30.75]).bfloat16().view(1, 1, 2, 2).expand(1, 16, 2, 2)
    w = torch.full((1, 16, 1, 1), 1 / 16).bfloat16()
    found = rough.convolution(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    assert found.flatten().tolist() == [0.0, 255.0, 30.0, 31.0]


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
    size=st.integers(2, 6),
    short=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_group_norm_in_one_reading_is_the_usual_one(
    shift: float, affine: bool, size: int, short: bool, seed: int
) -> None:
    draw = generator(seed)
    kind, tolerance = (torch.bfloat16, 2e-2) if short else (torch.float32, 1e-3)
    x = (torch.randn(3, 4, size, size, generator=draw) + shift).to(kind)
    weight, bias = (torch.randn(4, generator=draw).to(kind) if affine else None for _ in range(2))
    expected = torch.ops.aten.native_group_norm(x, weight, bias, 3, 4, size * size, 4, 1e-5)
    with torch.no_grad():
        found = rough.group_norm(x, weight, bias, 3, 4, size * size, 4, 1e-5)
    for ours, usual in zip(found, expected, strict=True):
        assert ours.dtype == usual.dtype
        torch.testing.assert_close(ours.view(usual.shape), usual, rtol=tolerance, atol=tolerance)


def test_a_norm_of_equal_values_is_finite() -> None:
    with torch.no_grad():
        out, _, _ = rough.group_norm(torch.full((2, 4, 3, 3), 7.7), None, None, 2, 4, 9, 4, 1e-5)
    assert float(out.abs().max()) < 0.1


def test_group_norm_over_several_channels_or_to_be_differentiated_is_left_to_others() -> None:
    x = torch.ones(1, 4, 2, 2)
    with torch.no_grad():
        assert rough.group_norm(x, None, None, 1, 4, 4, 2, 1e-5) is NotImplemented
    assert rough.group_norm(x, None, None, 1, 4, 4, 4, 1e-5) is NotImplemented


def recipe(matcher: Matcher, mode: str, width: int = 16) -> Recipe:
    network = NetworkSpec(width=width, depth=2)
    return Recipe(matcher=matcher, network=network, iterations=1, real_batch=16, image_lr=1.0, mode=mode)


def compiled(monkeypatch: pytest.MonkeyPatch, matcher: Matcher, mode: str) -> list[set[str]]:
    """Names of the operations of what a matching step compiles: of its real half, and of its synthetic half."""
    seen: list[set[str]] = []

    def note(traced: Any, **how: Any) -> Any:
        seen.append({str(node.target) for node in traced.graph.nodes})
        return traced

    monkeypatch.setattr(engines, "_COMPILED", {})
    monkeypatch.setattr(torch, "compile", note)
    distill(ClassData(load("digits")), recipe(matcher, mode), 1)
    return seen


@needs_bytes
def test_only_matchers_of_averages_are_rough_and_only_in_fast_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    def are_rough(matcher: Matcher, mode: str) -> list[bool]:
        return [
            "dreamlib.convolution_of_bytes.default" in names for names in compiled(monkeypatch, matcher, mode)
        ]

    assert are_rough(Feature(), "fast") == [True, True]
    assert are_rough(Feature(), "compiled") == [False, False]
    assert are_rough(Gradient(), "fast") == [False, False]


@needs_bytes
def test_derivatives_are_not_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    _, synthetic = compiled(monkeypatch, Feature(), "fast")
    assert "aten.convolution_backward.default" in synthetic


def test_without_the_instructions_fast_is_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "formats_of", lambda device: Formats("bfloat16"))
    for names in compiled(monkeypatch, Feature(), "fast"):
        assert "aten.convolution.default" in names
        assert not any("dreamlib" in name for name in names)


@needs_bytes
def test_bytes_change_mean_features_much_less_than_another_draw_of_the_images() -> None:
    data, labels = ClassData(load("digits")), torch.arange(10)
    network = initialise(build(NetworkSpec(width=32, depth=2), data.shape, 10), generator(0))
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    one, other = (data.take(data.draw(64, generator(seed))) for seed in (1, 2))
    engine = Engine("fast", torch.device("cpu"))

    def mean(weights: dict[str, Tensor], images: Tensor) -> Tensor:
        given = engine.lower(weights), Feature(), network, engine.lower(images), labels, False
        return measure_under(*given)[0]

    plain, redrawn = (measure_under(weights, Feature(), network, x, labels, False)[0] for x in (one, other))
    rounded = engine.run("mean features", mean, weights, one, averages=True)
    assert 0 < float((rounded - plain).norm()) < 0.1 * float((redrawn - plain).norm())


@needs_bytes
def test_values_that_are_not_finite_show_in_a_compiled_function_too() -> None:
    w = torch.randn(4, 16, 3, 3, generator=generator(0)).bfloat16()

    def mean(x: Tensor) -> Tensor:
        return F.conv2d(x.relu(), w, padding=1).float().mean((2, 3))

    run = Engine("fast", torch.device("cpu")).run
    x = torch.randn(2, 16, 6, 6, generator=generator(1)).bfloat16()
    torch.testing.assert_close(run("a mean", mean, x, averages=True), mean(x), rtol=0.05, atol=0.05)
    x[0, 0, 0, 0] = torch.nan
    assert bool(run("a mean", mean, x, averages=True).isnan().all())


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
