"""Each operation against a plain loop, or against torchvision and SciPy where it interpolates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as vision
from scipy import ndimage
from torch import Tensor

from dreamlib.augment import operations

torch.set_num_threads(1)

SHAPES = [(2, 3, 3, 8, 8), (1, 4, 1, 7, 7), (3, 2, 2, 6, 9), (2, 1, 3, 1, 5)]


def draw(shape: tuple[int, ...], per_image: bool, count: int = 2, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    columns = shape[1] if per_image else 1
    return [torch.rand(shape[0], columns, generator=generator) for _ in range(count)]


def pictures(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def number(u: Tensor, group: int, image: int) -> float:
    return float(u[group, image if u.shape[1] > 1 else 0])


def each(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(group, image) for group in range(shape[0]) for image in range(shape[1])]


def half_up(value: float) -> int:
    return math.floor(value + 0.5)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_brightness_saturation_and_contrast_match_a_loop(shape: tuple[int, ...], per_image: bool) -> None:
    images = pictures(shape)
    (u,) = draw(shape, per_image, 1)
    bright, saturated, contrasted = (
        operations.brightness(images, u, 1.0),
        operations.saturation(images, u, 2.0),
        operations.contrast(images, u, 0.5),
    )
    for group, image in each(shape):
        x, number_ = images[group, image].numpy(), number(u, group, image)
        grey = x.mean(axis=0, keepdims=True)
        np.testing.assert_allclose(bright[group, image], x + (number_ - 0.5) * 1.0, atol=1e-7)
        np.testing.assert_allclose(saturated[group, image], (x - grey) * (number_ * 2.0) + grey, atol=1e-6)
        np.testing.assert_allclose(
            contrasted[group, image], (x - x.mean()) * (number_ + 0.5) + x.mean(), atol=1e-6
        )


def test_saturation_leaves_greyscale_images_as_they_are() -> None:
    images = pictures((2, 3, 1, 4, 4))
    (u,) = draw((2, 3), True, 1)
    assert torch.equal(operations.saturation(images, u, 2.0), images)


@pytest.mark.parametrize("pad", [0.0, 0.125, 0.5, 1.0])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_crop_is_an_exact_move_that_shifts_zeros_in(
    shape: tuple[int, ...], per_image: bool, pad: float
) -> None:
    images = pictures(shape)
    u_y, u_x = draw(shape, per_image)
    out = operations.crop(images, u_y, u_x, pad)
    height, width = shape[-2:]
    for group, image in each(shape):
        reach_y, reach_x = half_up(height * pad), half_up(width * pad)
        shift_y = math.floor(number(u_y, group, image) * (2 * reach_y + 1)) - reach_y
        shift_x = math.floor(number(u_x, group, image) * (2 * reach_x + 1)) - reach_x
        expected = np.zeros(shape[2:])
        for i in range(height):
            for j in range(width):
                if 0 <= i + shift_y < height and 0 <= j + shift_x < width:
                    expected[:, i, j] = images[group, image, :, i + shift_y, j + shift_x]
        np.testing.assert_array_equal(out[group, image], expected)


def test_crop_reaches_every_move_and_no_other() -> None:
    images = torch.arange(1.0, 65.0).view(1, 1, 1, 8, 8).expand(500, 1, 1, 8, 8)
    u_y, u_x = draw((500, 1), False)
    centre = operations.crop(images, u_y, u_x, 0.25)[:, 0, 0, 3, 3].long() - 1
    assert set((centre // 8 - 3).tolist()) == set((centre % 8 - 3).tolist()) == {-2, -1, 0, 1, 2}


def test_crop_stays_in_range_for_the_largest_number_below_one() -> None:
    last = torch.full((1, 1), 1 - 2**-24)
    images = torch.arange(1.0, 3200.0 + 1).view(1, 1, 1, 1, 3200)
    for side in range(1, 3200, 97):
        moved = operations.crop(images[..., :side], last, last, 1.0)
        assert (
            float(moved.abs().sum()) == 0.0
        )  # moved by a whole side, and not one pixel further: no wrapping


@pytest.mark.parametrize("size", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_cutout_zeroes_a_clipped_box(shape: tuple[int, ...], per_image: bool, size: float) -> None:
    images = pictures(shape)
    u_y, u_x = draw(shape, per_image)
    out = operations.cutout(images, u_y, u_x, size)
    height, width = shape[-2:]
    for group, image in each(shape):
        expected = images[group, image].numpy().copy()
        box_y, box_x = half_up(height * size), half_up(width * size)
        top = math.floor(number(u_y, group, image) * (height + (1 - box_y % 2))) - box_y // 2
        left = math.floor(number(u_x, group, image) * (width + (1 - box_x % 2))) - box_x // 2
        for i in range(max(top, 0), min(top + box_y, height)):
            for j in range(max(left, 0), min(left + box_x, width)):
                expected[:, i, j] = 0.0
        np.testing.assert_array_equal(out[group, image], expected)


def test_cutout_covers_the_published_corners() -> None:
    images = torch.ones(1, 1, 1, 4, 4)
    first, last = torch.zeros(1, 1), torch.full((1, 1), 1 - 2**-24)
    assert (
        operations.cutout(images, first, first, 0.5)[0, 0, 0].sum() == 15
    )  # centre on the corner: one pixel left
    assert operations.cutout(images, last, last, 0.5)[0, 0, 0].sum() == 15
    assert operations.cutout(images, first, last, 1.0)[0, 0, 0].sum() == 12


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_flip_mirrors_left_and_right(shape: tuple[int, ...], per_image: bool) -> None:
    images = pictures(shape)
    (u,) = draw(shape, per_image, 1)
    out = operations.flip(images, u, 0.5)
    for group, image in each(shape):
        x = images[group, image].numpy()
        expected = x[..., ::-1] if number(u, group, image) < 0.5 else x
        np.testing.assert_array_equal(out[group, image], expected)


def test_flip_with_probability_zero_and_one() -> None:
    images = pictures((3, 4, 2, 5, 6))
    (u,) = draw((3, 4), True, 1)
    assert torch.equal(operations.flip(images, u, 0.0), images)
    assert torch.equal(operations.flip(images, u, 1.0), images.flip(-1))


def bilinear(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Zero-padded bilinear reading of (c, h, w) at matrix @ (y, x), about the centre, by SciPy."""
    height, width = picture.shape[-2:]
    centre = (np.array([height, width]) - 1) / 2
    # Padded, because SciPy stops at the outermost pixel where grid_sample fades to zero beyond it.
    wide = np.pad(picture, ((0, 0), (9, 9), (9, 9)))
    rows = [
        ndimage.affine_transform(
            channel, matrix, offset=centre + 9 - matrix @ centre, output_shape=(height, width), order=1
        )
        for channel in wide
    ]
    return np.stack(rows)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_scale_matches_scipy(shape: tuple[int, ...], per_image: bool) -> None:
    images = pictures(shape)
    u_y, u_x = draw(shape, per_image)
    out = operations.scale(images, u_y, u_x, 1.2)
    for group, image in each(shape):
        factors = [number(u, group, image) * (1.2 - 1 / 1.2) + 1 / 1.2 for u in (u_y, u_x)]
        expected = bilinear(images[group, image].numpy(), np.diag(factors))
        np.testing.assert_allclose(out[group, image], expected, atol=1e-5)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_rotate_matches_scipy(shape: tuple[int, ...], per_image: bool) -> None:
    images = pictures(shape)
    (u,) = draw(shape, per_image, 1)
    out = operations.rotate(images, u, 15.0)
    for group, image in each(shape):
        angle = math.radians((number(u, group, image) - 0.5) * 30.0)
        matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        expected = bilinear(images[group, image].numpy(), matrix)
        np.testing.assert_allclose(out[group, image], expected, atol=1e-5)


def test_rotate_matches_torchvision() -> None:
    images = pictures((1, 2, 3, 16, 16)).float()
    (u,) = draw((1, 2), True, 1)
    out = operations.rotate(images, u, 15.0)
    for image in range(2):
        angle = (float(u[0, image]) - 0.5) * 30.0
        expected = vision.rotate(images[0, image], angle, vision.InterpolationMode.BILINEAR)
        # torchvision also fades its zeros in with a mask, so only the interior is comparable.
        inner = slice(4, 12)
        torch.testing.assert_close(
            out[0, image, :, inner, inner], expected[:, inner, inner], atol=1e-4, rtol=0.0
        )


@pytest.mark.parametrize("align_corners", [False, True])
def test_scale_and_rotate_match_the_published_grids_on_square_images(align_corners: bool) -> None:
    images = pictures((1, 1, 3, 8, 8))
    u, v = draw((1, 1), False)
    factor_y, factor_x = (float(value) * (1.2 - 1 / 1.2) + 1 / 1.2 for value in (u, v))
    angle = math.radians((float(u) - 0.5) * 30.0)
    cases = {
        operations.scale(images, u, v, 1.2): [[factor_x, 0, 0], [0, factor_y, 0]],
        operations.rotate(images, u, 15.0): [
            [math.cos(angle), -math.sin(angle), 0],
            [math.sin(angle), math.cos(angle), 0],
        ],
    }
    for out, theta in cases.items():
        matrix = torch.tensor([theta], dtype=torch.float64)
        grid = torch.nn.functional.affine_grid(matrix, [1, 3, 8, 8], align_corners=align_corners)
        expected = torch.nn.functional.grid_sample(images[0], grid, align_corners=align_corners)
        torch.testing.assert_close(out[0], expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("side", [1, 7, 28, 32])
def test_interpolation_at_rest_changes_nothing(side: int) -> None:
    images = pictures((2, 3, 1, side, side)).float()
    u, v = draw((2, 3), True)
    for out in (operations.scale(images, u, v, 1.0), operations.rotate(images, u, 0.0)):
        torch.testing.assert_close(out, images, atol=1e-5, rtol=1e-5)


OPERATIONS = {
    "brightness": lambda x, u, v: operations.brightness(x, u, 1.0),
    "saturation": lambda x, u, v: operations.saturation(x, u, 2.0),
    "contrast": lambda x, u, v: operations.contrast(x, u, 0.5),
    "crop": lambda x, u, v: operations.crop(x, u, v, 0.25),
    "cutout": lambda x, u, v: operations.cutout(x, u, v, 0.5),
    "flip": lambda x, u, v: operations.flip(x, u, 0.5),
    "scale": lambda x, u, v: operations.scale(x, u, v, 1.2),
    "rotate": lambda x, u, v: operations.rotate(x, u, 15.0),
}


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients(name: str, per_image: bool) -> None:
    images = pictures((2, 2, 2, 4, 3)).requires_grad_()
    u, v = draw((2, 2), per_image)

    def squared(x: Tensor) -> Tensor:
        return OPERATIONS[name](x, u, v).square()  # squared, so that the second derivative is not zero

    assert torch.autograd.gradcheck(squared, images)
    # No matcher differentiates twice by the images, and grid_sample, behind these two, allows it from torch 2.12 on.
    if name not in ("scale", "rotate"):
        assert torch.autograd.gradgradcheck(squared, images)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPERATIONS)
def test_dtype_shape_and_memory_layout(name: str, dtype: torch.dtype) -> None:
    shape = (2, 3, 3, 6, 5)
    images = pictures(shape)
    u, v = draw(shape, True)
    expected = OPERATIONS[name](images, u, v)
    out = OPERATIONS[name](images.to(dtype), u, v)
    assert out.dtype == dtype
    assert out.shape == shape
    tolerance = 1e-5 if dtype.itemsize >= 4 else 0.08
    torch.testing.assert_close(out.double(), expected, atol=tolerance, rtol=tolerance)
    apart = images.permute(4, 3, 2, 1, 0).contiguous().permute(4, 3, 2, 1, 0)
    assert not apart.is_contiguous()
    torch.testing.assert_close(OPERATIONS[name](apart, u, v), expected, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("shape", [(3, 4, 3, 8, 8), (2, 5, 1, 7, 10), (1, 2, 1, 1, 7)])
def test_lookups_for_repeatable_gradients_sample_as_pytorch_does(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, weight = pictures(shape).float().requires_grad_(), pictures(shape, 2).float()
    numbers = draw(shape, True)

    def both() -> list[Tensor]:
        found = operations.scale(images, numbers[0], numbers[1], 1.2)
        found = operations.rotate(found, numbers[0], 15.0)
        return [found, *torch.autograd.grad(found, images, weight)]

    expected = both()
    monkeypatch.setattr(operations, "_sample", operations._gathered)
    for ours, theirs in zip(both(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
