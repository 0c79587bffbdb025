"""Operations that stand in for PyTorch's own in a trace: the same numbers, and for what they do not do, its own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dreamlib.compute import operations
from dreamlib.compute.operations import FASTER

NORM, BACKWARD = torch.ops.aten.native_group_norm.default, torch.ops.aten.native_group_norm_backward.default


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(seed: int, size: int, shift: float, affine: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
    draw = generator(seed)
    x = torch.randn(3, 4, size, size, generator=draw) + shift
    weight, bias = (torch.randn(4, generator=draw) if affine else None for _ in range(2))
    return x, weight, bias


@given(
    shift=st.sampled_from([0.0, 1.0, -20.0, 1000.0]),
    affine=st.booleans(),
    size=st.integers(2, 6),
    short=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_instance_norm_in_one_pass_is_the_usual_one(
    shift: float, affine: bool, size: int, short: bool, seed: int
) -> None:
    kind, tolerance = (torch.bfloat16, 2e-2) if short else (torch.float32, 1e-3)
    x, weight, bias = (
        value if value is None else value.to(kind) for value in maps(seed, size, shift, affine)
    )
    # The moments of rounded values, not rounded themselves: what is compared is this file's own arithmetic.
    exactly = [None if value is None else value.double() for value in (x, weight, bias)]
    out, mean, inverse = NORM(*exactly, 3, 4, size**2, 4, 1e-5)
    found = FASTER[NORM](x, weight, bias, 3, 4, size**2, 4, 1e-5)
    assert found[0].dtype == kind
    torch.testing.assert_close(found[0].double(), out, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found[1].double(), mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[2].double(), inverse, rtol=1e-3, atol=1e-5)


@given(
    shift=st.sampled_from([0.0, 1.0, -20.0]),
    affine=st.booleans(),
    size=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_its_derivative_is_the_usual_one(shift: float, affine: bool, size: int, seed: int) -> None:
    x, weight, bias = maps(seed, size, shift, affine)
    gradient = torch.randn(x.shape, generator=generator(seed + 1))
    _, mean, inverse = NORM(x, weight, bias, 3, 4, size**2, 4, 1e-5)
    given_ = gradient, x, mean, inverse, weight, 3, 4, size**2, 4, [True, affine, affine]
    for ours, usual in zip(FASTER[BACKWARD](*given_), BACKWARD(*given_), strict=True):
        if usual is None or not usual.numel():
            assert ours is None
        else:
            torch.testing.assert_close(ours, usual, rtol=1e-3, atol=1e-3)


def test_a_norm_of_equal_values_is_finite() -> None:
    out, _, _ = FASTER[NORM](torch.full((2, 4, 3, 3), 7.7), None, None, 2, 4, 9, 4, 1e-5)
    assert float(out.abs().max()) < 0.1


def test_a_norm_over_several_channels_is_left_to_others() -> None:
    x = torch.ones(1, 4, 2, 2)
    assert FASTER[NORM](x, None, None, 1, 4, 4, 2, 1e-5) is NotImplemented
    mean, inverse = torch.ones(1, 2), torch.ones(1, 2)
    wanted = [True, False, False]
    assert FASTER[BACKWARD](x, x, mean, inverse, None, 1, 4, 4, 2, wanted) is NotImplemented


POOL, POOL_BACKWARD = torch.ops.aten.avg_pool2d.default, torch.ops.aten.avg_pool2d_backward.default


@pytest.mark.parametrize("window", [2, 3, 4])
@pytest.mark.parametrize("side", [(8, 8), (7, 9), (4, 4)])
def test_pooling_by_tiles_is_the_usual_one(window: int, side: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *side, generator=generator(0))
    usual = POOL(x, [window, window])
    torch.testing.assert_close(FASTER[POOL](x, [window, window]), usual)
    gradient = torch.randn(usual.shape, generator=generator(1))
    given_ = gradient, x, [window, window], [window, window], [0, 0], False, True, None
    torch.testing.assert_close(FASTER[POOL_BACKWARD](*given_), POOL_BACKWARD(*given_))


def test_pooling_with_windows_that_overlap_is_left_to_others() -> None:
    x = torch.randn(2, 3, 8, 8, generator=generator(0))
    assert FASTER[POOL](x, [3, 3], [2, 2], [1, 1]) is NotImplemented
    assert FASTER[POOL](x, [3, 3], None, 0, True) is NotImplemented
    gradient = POOL(x, [3, 3], [2, 2], [1, 1])
    given_ = gradient, x, [3, 3], [2, 2], [1, 1], False, True, None
    assert FASTER[POOL_BACKWARD](*given_) is NotImplemented


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_put_into_form_by_their_strides_too(channels: int) -> None:
    """PyTorch calls images of one channel channels-last whatever their strides, and then gives maps that are not."""
    found = operations._channels_last(torch.randn(2, channels, 8, 8))
    assert found.stride() == (64 * channels, 1, 8 * channels, channels)
    assert operations._is_channels_last(found)
    assert not operations._is_channels_last(torch.randn(2, channels, 8, 8))


CONV, CONV_BACKWARD = torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default


@pytest.mark.parametrize(
    ("channels", "side", "pad"), [(1, 28, 3), (1, 8, 1), (3, 8, 3), (3, 8, 1), (3, 8, 0)]
)
def test_a_convolution_with_more_zeros_is_the_same(channels: int, side: int, pad: int) -> None:
    draw = generator(0)
    x = torch.randn(2, channels, side, side, generator=draw)
    weight, bias = torch.randn(5, channels, 3, 3, generator=draw), torch.randn(5, generator=draw)
    how = [1, 1], [pad, pad], [1, 1], False, [0, 0], 1
    usual = CONV(x, weight, bias, *how)
    found = FASTER[CONV](x, weight, bias, *how)
    torch.testing.assert_close(found, usual, rtol=1e-4, atol=1e-4)
    gradient = torch.randn(usual.shape, generator=draw)
    expected = CONV_BACKWARD(gradient, x, weight, [5], *how, [True, True, True])
    for ours, theirs in zip(
        FASTER[CONV_BACKWARD](gradient, x, weight, [5], *how, [True, True, True]), expected, strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    only = FASTER[CONV_BACKWARD](gradient, x, weight, [5], *how, [False, True, False])
    assert only[0] is None
    torch.testing.assert_close(only[1], expected[1], rtol=1e-4, atol=1e-4)


def test_groups_and_good_form_are_left_as_they_are() -> None:
    x = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    how = [1, 1], [1, 1], [1, 1], False, [0, 0]
    assert FASTER[CONV](x, torch.randn(4, 4, 3, 3), None, *how, 1) is NotImplemented
    assert FASTER[CONV](x, torch.randn(4, 1, 3, 3), None, *how, 4) is NotImplemented
