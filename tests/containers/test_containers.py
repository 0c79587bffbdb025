"""Containers: mosaics and their tiles against loops over single images."""

from __future__ import annotations

import pytest
import reference
import torch
from tiny import generator
from torch import Tensor

from dreamlib.containers import CONTAINERS, Container, MultiFormation, Pixels
from dreamlib.core.errors import BadValue, UnknownName

SHAPE = (3, 12, 6)


def images(classes: int, count: int) -> Tensor:
    return torch.rand(classes, count, *SHAPE, generator=generator())


def begun(container: Container, start: Tensor, ipc: int) -> dict[str, Tensor]:
    """What is stored to begin with."""
    return container.start(start, ipc, SHAPE, len(start), generator())


@pytest.mark.parametrize("ipc", [1, 2])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_packing_is_a_mosaic_of_smaller_images(factor: int, ipc: int) -> None:
    container = MultiFormation(factor)
    assert container.slots(ipc) == ipc * factor**2
    start = images(2, container.slots(ipc))
    stored = begun(container, start, ipc)
    assert set(stored) == {"images"}
    assert stored["images"].shape == (2, ipc, *SHAPE)
    for label in range(2):
        assert stored["images"][label].equal(reference.mosaics(start[label], factor))


@pytest.mark.parametrize("ipc", [1, 2])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_decoding_enlarges_each_tile(factor: int, ipc: int) -> None:
    stored = images(2, ipc)
    decoded = MultiFormation(factor).decode({"images": stored})
    assert decoded.shape == (2, ipc * factor**2, *SHAPE)
    for label in range(2):
        torch.testing.assert_close(decoded[label], reference.tiles(stored[label], factor))


@pytest.mark.parametrize(("factor", "count"), [(1, 1), (2, 5), (3, 14)])
def test_multi_scale_decoding_has_all_tilings(factor: int, count: int) -> None:
    container = MultiFormation(factor, "multi-scale")
    stored = images(2, 2)
    decoded = container.decode({"images": stored})
    assert decoded.shape == (2, 2 * count, *SHAPE)
    start = 0
    for scale in range(1, factor + 1):
        part = decoded[:, start : start + 2 * scale**2]
        torch.testing.assert_close(part, MultiFormation(scale).decode({"images": stored}))
        start += 2 * scale**2


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_flat_images_survive_packing_and_decoding(factor: int) -> None:
    container = MultiFormation(factor)
    start = images(2, container.slots(2)).mean((3, 4), keepdim=True).expand(-1, -1, -1, *SHAPE[1:])
    # Tile k of a mosaic took the k-th group of images; decoding gives the tiles of a mosaic one after the other.
    by_mosaic = start.unflatten(1, (factor**2, 2)).transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(container.decode(begun(container, start, 2)), by_mosaic)


@pytest.mark.parametrize("container", [Pixels(), MultiFormation(1)], ids=str)
def test_whole_images_survive_to_the_bit_and_are_copied(container: Container) -> None:
    start = images(2, 3)
    kept = start.clone()
    stored = begun(container, start, 3)
    assert container.decode(stored).equal(start)
    if isinstance(container, Pixels):
        stored["images"].zero_()
        assert start.equal(kept)


@pytest.mark.parametrize(
    "container", [Pixels(), MultiFormation(2), MultiFormation(3, "multi-scale")], ids=str
)
def test_decoding_teaches_every_stored_pixel_of_its_own_image(container: Container) -> None:
    stored = images(2, 2).requires_grad_()
    decoded = container.decode({"images": stored})
    per_image = decoded.shape[1] // 2
    (gradient,) = torch.autograd.grad(
        decoded[1, :per_image].sum() if per_image in (1, 4) else decoded[1].sum(), stored
    )
    assert not bool(gradient[0].any())
    assert bool((gradient[1, 0] > 0).all())


@pytest.mark.parametrize(
    ("shape", "factor", "fits", "hint"),
    [
        ((1, 8, 8), 3, "1, 2, 4, 8", "factor=2"),
        ((3, 12, 6), 4, "1, 2, 3, 6", "factor=3"),
        ((3, 12, 6), 0, "1, 2, 3, 6", "factor=3"),
        ((1, 7, 7), 2, "1, 7", "factor=1"),
    ],
)
def test_a_factor_that_does_not_divide_names_those_that_do(
    shape: tuple[int, int, int], factor: int, fits: str, hint: str
) -> None:
    with pytest.raises(
        BadValue, match=rf"factor {factor} does not divide an image of .*factors that do: {fits}"
    ) as caught:
        MultiFormation(factor).check(shape, 10, 1)
    assert caught.value.hint == hint


def test_multi_scale_needs_every_factor_to_divide() -> None:
    MultiFormation(4).check((1, 8, 8), 10, 1)
    with pytest.raises(BadValue, match="factor 3 does not divide"):
        MultiFormation(4, "multi-scale").check((1, 8, 8), 10, 1)


@pytest.mark.parametrize("kind", [Pixels, MultiFormation])
def test_an_unknown_space_is_an_error(kind: type) -> None:
    kind(space="unit").check((1, 8, 8), 10, 1)
    with pytest.raises(UnknownName, match="unknown space of a container 'raw'; valid: normalised, unit"):
        kind(space="raw").check((1, 8, 8), 10, 1)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UnknownName, match="unknown decoding 'bounded'; valid: uniform, multi-scale"):
        MultiFormation(2, "bounded").check((1, 8, 8), 10, 1)
    with pytest.raises(UnknownName, match="unknown container 'pixel'"):
        CONTAINERS["pixel"]
