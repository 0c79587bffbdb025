"""Rougher operations: what they round is what they say, and only matchers of averages meet them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import generator

from dreamlib.compute import rough

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
