"""Drawing, sharing and selecting transforms."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamlib.augment import Siamese, Transform, names, operations, siamese
from dreamlib.core.errors import BadValue, UnknownName

torch.set_num_threads(1)

ALL = "color_crop_cutout_flip_scale_rotate"
REST = ("crop", "scale", "rotate")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=seeded(seed))


@pytest.fixture(params=["dsa", "idc"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_real_and_synthetic_images_see_one_transform(family: str) -> None:
    real, synthetic = pictures(20, 6, 3, 8, 8), pictures(20, 2, 3, 8, 8, seed=2)
    transform = Siamese(family=family).draw(20, seeded())
    together = transform(torch.cat((real, synthetic), dim=1))
    assert torch.equal(torch.cat((transform(real), transform(synthetic)), dim=1), together)
    assert torch.equal(transform(real), transform(real))


def test_equal_images_of_a_group_stay_equal_unless_drawn_per_image(family: str) -> None:
    images = pictures(30, 1, 3, 8, 8).expand(30, 5, 3, 8, 8)
    shared = Siamese(family=family).draw(30, seeded())(images)
    torch.testing.assert_close(shared, shared[:, :1].expand_as(shared), atol=0.0, rtol=0.0)
    own = Siamese("color_scale_rotate", family).draw(30, seeded(), per_image=5)(images)
    for one, other in itertools.combinations(range(5), 2):
        assert bool((own[:, one] != own[:, other]).flatten(1).any(dim=1).all())


def test_per_image_draws_are_the_images_own(family: str) -> None:
    images = pictures(9, 4, 3, 8, 8)
    transform = Siamese(family=family).draw(9, seeded(), per_image=4)
    for image in range(4):
        alone = dataclasses.replace(transform, numbers=transform.numbers[:, image : image + 1], per_image=1)
        torch.testing.assert_close(
            transform(images)[:, image : image + 1], alone(images[:, image : image + 1])
        )


@pytest.mark.parametrize("per_image", [None, 4])
@pytest.mark.parametrize("strategy", [ALL, "flip_color", "crop", "none"])
def test_tensors_alone_do_what_the_transform_does(family: str, strategy: str, per_image: int | None) -> None:
    recipe, images = Siamese(strategy, family), pictures(20, 4, 3, 8, 8)
    transform = recipe.draw(20, seeded(), per_image=per_image)
    numbers, choice = transform.tensors(images.device)
    assert choice.shape == (20, len(recipe.stages))
    torch.testing.assert_close(recipe.apply(images, numbers, choice), transform(images))
    part = slice(3, 9)
    found = recipe.apply(images[part], numbers[part], choice[part])
    torch.testing.assert_close(found, transform(images)[part])


@pytest.mark.parametrize("per_image", [None, 4])
@pytest.mark.parametrize(
    "groups",
    [
        slice(2, 7),
        slice(None, None, 3),
        torch.tensor([5, 0, 11, 5]),
        torch.tensor([3]),
        torch.tensor([True, False] * 6),
    ],
    ids=str,
)
def test_selecting_groups_selects_results(family: str, groups: Tensor | slice, per_image: int | None) -> None:
    images = pictures(12, 4, 3, 8, 8)
    transform = Siamese(family=family).draw(12, seeded(), per_image=per_image)
    selected = transform.select(groups)
    assert isinstance(selected, Transform)
    assert torch.equal(selected(images[groups]), transform(images)[groups])


def test_selecting_twice_is_selecting_once(family: str) -> None:
    images = pictures(12, 4, 3, 8, 8)
    transform = Siamese(family=family).draw(12, seeded())
    twice = transform.select(slice(4, 10)).select(torch.tensor([5, 1]))
    assert torch.equal(twice(images[[9, 5]]), transform(images)[[9, 5]])


@pytest.mark.parametrize("groups", [torch.tensor([12]), torch.tensor([True] * 5), slice(12, 20)], ids=str)
def test_selecting_what_is_not_there(groups: Tensor | slice) -> None:
    with pytest.raises(BadValue, match="12 groups"):
        Siamese().draw(12, seeded()).select(groups)


def test_the_generator_decides_everything(family: str) -> None:
    images = pictures(12, 4, 3, 8, 8)
    before = torch.get_rng_state()
    first, again, other = (
        Siamese(family=family).draw(12, seeded(seed), per_image=4)(images) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_strength_does_not_change_what_is_drawn(family: str) -> None:
    generators = seeded(), seeded()
    weak = Siamese(family=family, rotate=1.0, flip=0.1).draw(7, generators[0])
    strong = Siamese(family=family).draw(7, generators[1])
    assert weak.kinds == strong.kinds
    assert torch.equal(weak.numbers, strong.numbers)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_one_operation_of_six_is_drawn_with_equal_chances() -> None:
    draws = 6000
    (kinds,) = Siamese().draw(draws, seeded()).kinds
    counts = Counter(kinds)
    assert set(counts) == set(names())
    expected = draws / 6
    assert (
        sum((count - expected) ** 2 / expected for count in counts.values()) < 20.5
    )  # 0.999 quantile, 5 dof


def test_numbers_are_uniform() -> None:
    numbers = Siamese().draw(2000, seeded()).numbers
    assert float(numbers.min()) >= 0
    assert float(numbers.max()) < 1
    torch.testing.assert_close(numbers.mean(dim=(0, 1)), torch.full((11,), 0.5), atol=0.03, rtol=0.0)
    torch.testing.assert_close(numbers.var(dim=(0, 1)), torch.full((11,), 1 / 12), atol=0.01, rtol=0.0)
    off_diagonal = torch.corrcoef(numbers[:, 0].T) - torch.eye(11)
    assert float(off_diagonal.abs().max()) < 0.1


def test_dsa_applies_the_drawn_operation_alone() -> None:
    images = pictures(40, 2, 3, 8, 8)
    transform = Siamese().draw(40, seeded())
    out = transform(images)
    for group, kind in enumerate(transform.kinds[0]):
        only = Transform(Siamese(kind), ((kind,),), transform.numbers[group : group + 1])
        torch.testing.assert_close(out[group : group + 1], only(images[group : group + 1]))


def test_idc_applies_flip_colour_and_cutout_always_and_one_of_the_rest() -> None:
    assert Siamese(ALL, "idc").stages == (("flip",), ("color",), ("crop", "scale", "rotate"), ("cutout",))
    images = pictures(40, 2, 3, 8, 8)
    transform = Siamese(ALL, "idc").draw(40, seeded())
    flips, colors, drawn, cutouts = transform.kinds
    assert set(flips) == {"flip"}
    assert set(colors) == {"color"}
    assert set(cutouts) == {"cutout"}
    assert set(drawn) == set(REST)
    out = transform(images)
    for group, kind in enumerate(drawn):
        step = images[group : group + 1]
        for name in ("flip", "color", kind, "cutout"):
            step = Transform(Siamese(name), ((name,),), transform.numbers[group : group + 1])(step)
        torch.testing.assert_close(out[group : group + 1], step)


@pytest.mark.parametrize(
    ("strategy", "stages"),
    [
        ("color_crop_cutout", (("color",), ("crop",), ("cutout",))),
        ("color_crop_flip_scale_rotate", (("flip",), ("color",), REST)),
        ("rotate_crop", (("rotate", "crop"),)),
        ("flip", (("flip",),)),
        ("none", ()),
        ("", ()),
    ],
)
def test_idc_stages(strategy: str, stages: tuple[tuple[str, ...], ...]) -> None:
    recipe = Siamese(strategy, "idc")
    assert recipe.stages == stages
    assert recipe.draw(3, seeded())(pictures(3, 2, 3, 8, 8)).shape == (3, 2, 3, 8, 8)


def test_colour_is_brightness_then_saturation_then_contrast() -> None:
    images = pictures(3, 2, 3, 8, 8)
    transform = Siamese("color").draw(3, seeded())
    expected = operations.brightness(images, transform.numbers[..., 0], 1.0)
    expected = operations.saturation(expected, transform.numbers[..., 1], 2.0)
    assert torch.equal(transform(images), operations.contrast(expected, transform.numbers[..., 2], 0.5))


@pytest.mark.parametrize("strategy", ["none", ""])
def test_no_strategy_changes_nothing(family: str, strategy: str) -> None:
    images = pictures(3, 2, 3, 8, 8)
    assert Siamese(strategy, family).draw(3, seeded(), per_image=2)(images) is images


def test_one_transform_fits_images_of_any_size(family: str) -> None:
    transform = Siamese(family=family).draw(10, seeded())
    for shape in ((10, 1, 1, 28, 28), (10, 3, 3, 5, 9), (10, 2, 4, 1, 1)):
        assert transform(pictures(*shape)).shape == shape


def test_gradients_reach_every_group(family: str) -> None:
    images = pictures(12, 1, 2, 4, 4).double().requires_grad_()
    transform = Siamese(family=family).draw(12, seeded(3))
    assert torch.autograd.gradcheck(transform, images)
    (gradient,) = torch.autograd.grad(transform(images).square().sum(), images)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient.abs().flatten(1).sum(1).min()) > 0


def test_names_are_the_operations() -> None:
    assert names() == tuple(ALL.split("_")) == tuple(Siamese().strategy.split("_"))


def test_unknown_operations_are_named_with_the_closest() -> None:
    with pytest.raises(UnknownName, match=r"unknown augmentation 'colour'; valid: color, crop") as caught:
        Siamese("crop_colour")
    assert caught.value.hint == "did you mean 'color'?"


@pytest.mark.parametrize("strategy", ["color_none", "crop__flip", "_", "Color"])
def test_malformed_strategies(strategy: str) -> None:
    with pytest.raises(UnknownName, match="unknown augmentation"):
        Siamese(strategy)


def test_an_operation_listed_twice() -> None:
    with pytest.raises(BadValue, match="twice") as caught:
        Siamese("crop_flip_crop")
    assert caught.value.hint == "crop_flip"


def test_unknown_family() -> None:
    with pytest.raises(UnknownName, match="unknown augmentation family 'idsa'; valid: dsa, idc"):
        Siamese(family="idsa")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("brightness", -0.1),
        ("saturation", float("nan")),
        ("contrast", float("inf")),
        ("crop_pad", -0.125),
        ("crop_pad", 1.01),
        ("cutout", 1.5),
        ("scale", 0.9),
        ("rotate", 181.0),
        ("flip", 2.0),
    ],
)
def test_numbers_out_of_range(name: str, value: float) -> None:
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(BadValue, match=f"augmentation {name} is .*, expected a number") as caught:
        Siamese(**arguments)
    assert caught.value.hint.startswith(f"Siamese({name}=")


def test_wrong_counts() -> None:
    with pytest.raises(BadValue, match="groups is 0"):
        Siamese().draw(0, seeded())
    with pytest.raises(BadValue, match="per_image is 0"):
        Siamese().draw(1, seeded(), per_image=0)


def test_images_that_do_not_fit() -> None:
    shared, own = Siamese().draw(3, seeded()), Siamese().draw(3, seeded(), per_image=4)
    with pytest.raises(BadValue, match="drawn for 4 images in a group got 5"):
        own(pictures(3, 5, 3, 8, 8))
    with pytest.raises(BadValue, match="drawn for 3 groups got images of 2"):
        shared(pictures(2, 5, 3, 8, 8))
    with pytest.raises(BadValue, match="shape"):
        shared(pictures(3, 3, 8, 8))
    with pytest.raises(BadValue, match=r"torch\.uint8"):
        shared(torch.zeros(3, 1, 3, 8, 8, dtype=torch.uint8))


def test_operations_are_drawn_on_the_host_from_where_the_generator_of_a_gpu_stands() -> None:
    class OnGpu:
        """As PyTorch's: its numbers are on the device, its state is not."""

        device = torch.device("cuda")

        def __init__(self, seed: int, offset: int) -> None:
            self.numbers = [seed, offset]

        def get_state(self) -> Tensor:
            return torch.tensor(self.numbers).view(torch.uint8)

    def drawn(seed: int, offset: int) -> list[float]:
        found = siamese._on_host(OnGpu(seed, offset))  # type: ignore[arg-type]  # PyTorch's needs a GPU
        assert found.device.type == "cpu"
        return torch.rand(8, generator=found).tolist()

    assert drawn(1, 0) == drawn(1, 0)
    assert drawn(1, 0) != drawn(1, 4)
    assert drawn(1, 0) != drawn(2, 0)
    own = seeded()
    assert siamese._on_host(own) is own
