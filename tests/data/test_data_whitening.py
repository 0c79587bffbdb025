"""The four whitenings: twelve digits each, what they are for, the way back, and data they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.core.files import read_tensors, write_tensors
from dreamlib.data import ClassData, Dataset, Normalisation, cache, load
from dreamlib.data.whitening import KINDS, fit, fitted, read


def formula() -> Tensor:
    """The 20 images of the fixtures: .5 + .5 sin(1 + .37 i^2 + .7 h + 1.3 w + 2.1 c + .05 i h c), (20, 3, 2, 2)."""
    i, c, h, w = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (20, 3, 2, 2)), indexing="ij")
    return 0.5 + 0.5 * torch.sin(1 + 0.37 * i**2 + 0.7 * h + 1.3 * w + 2.1 * c + 0.05 * i * h * c)


def images(count: int = 60, seed: int = 0) -> Tensor:
    """Smooth random images (count, 3, 4, 4) in [0, 1]: their pixels are correlated, as those of pictures are."""
    noise = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.7 * noise.mean((1, 2), keepdim=True) + 0.3 * noise


PUBLISHED = {
    "kornia": (
        0.390592634275,
        0.25562128925,
        0.399790020682,
        -0.019916703774,
        -0.06179109364,
        -0.41770696622,
    ),
    "kip": (0.844241350221, 0.222830534097, -0.634488968499, 0.300591768181, -0.513947241969, 0.649140326186),
    "frepo": (
        0.546519833643,
        -0.215439078947,
        -0.330612434596,
        0.215240781624,
        -0.550228947493,
        0.336967317866,
    ),
    "rfad": (
        0.583458340654,
        0.133734749327,
        -0.801277502776,
        0.095466738897,
        -0.595915827926,
        0.419502209344,
    ),
}


@pytest.mark.parametrize("kind", sorted(PUBLISHED))
def test_each_kind_has_the_digits_of_its_own_code(kind: str) -> None:
    """Kornia's code counts the pixels of an image by channel, row and column, the others by row, column and channel."""
    data = formula()
    first = fit(data, kind, dtype=torch.float64).apply(data)[0]
    found = first.flatten() if kind == "kornia" else first.permute(1, 2, 0).flatten()
    torch.testing.assert_close(
        found[:6], torch.tensor(PUBLISHED[kind], dtype=torch.float64), rtol=0, atol=1e-11
    )
    assert sorted(PUBLISHED) == sorted(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_with_little_regularisation_the_pixels_become_uncorrelated(kind: str) -> None:
    """What whitening means: the second moments of the training images become the identity (over N or N - 1)."""
    data = images(400)
    white = fit(data, kind, 1e-9, torch.float64).apply(data).flatten(1)
    moments = white.T @ white / (len(data) - 1 if kind == "kornia" else len(data))
    # Images without a mean of their own do not move along one direction, which stays empty.
    expected = torch.eye(48, dtype=torch.float64) - (1 / 48 if kind == "kip" else 0)
    torch.testing.assert_close(moments, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_test_images_are_whitened_by_the_training_images(kind: str) -> None:
    train, test = images(), images(10, seed=1)
    white = fit(train, kind, dtype=torch.float64)
    alone = torch.stack([white.apply(image) for image in test])
    torch.testing.assert_close(white.apply(test), alone)
    assert white.apply(test.unflatten(0, (2, 5))).shape == (2, 5, 3, 4, 4)
    own = fit(test, kind, dtype=torch.float64).apply(test)
    assert float((white.apply(test) - own).abs().max()) > 0.05


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_whitened_images_come_back(kind: str) -> None:
    data = images()
    white = fit(data, kind, dtype=torch.float64)
    back = white.undo(white.apply(data))
    if kind != "kip":
        torch.testing.assert_close(back, data)
        return
    # KIP's kind has taken an image's own mean and norm: it comes back with those of the average image.
    standard = [Normalisation("", white.mean, white.std).apply(each) for each in (back, data)]
    own = [each - each.mean((1, 2, 3), keepdim=True) for each in standard]
    norms = [each.flatten(1).norm(dim=1).view(-1, 1, 1, 1) for each in own]
    torch.testing.assert_close(own[0] / norms[0], own[1] / norms[1])
    torch.testing.assert_close(norms[0], norms[1].mean().expand_as(norms[0]))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_gradients_pass(kind: str) -> None:
    white = fit(images(), kind, dtype=torch.float64)
    some = images(2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(white.apply, some)
    assert torch.autograd.gradcheck(white.undo, some)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_whitening_survives_its_file_to_the_last_bit(kind: str, tmp_path: Path) -> None:
    data = images()
    white = fit(data, kind)
    assert white.transform.dtype == torch.float32
    write_tensors(tmp_path / "white.safetensors", white.tensors(), white.about())
    tensors, about = read_tensors(tmp_path / "white.safetensors")
    again = read(about, tensors)
    assert again == white
    unit = data.float()
    assert again.apply(unit).equal(white.apply(unit))
    assert again.undo(unit).equal(white.undo(unit))


def test_bytes_are_images_from_0_to_1_and_chunks_change_nothing(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = digits.train_images, digits.test_images.double() / 255
    for kind in sorted(KINDS):
        found = fit(train, kind, dtype=torch.float64).apply(test)
        with monkeypatch.context() as patch:
            patch.setattr("dreamlib.data.whitening.CHUNK", len(train))
            torch.testing.assert_close(
                fit(train.double() / 255, kind, dtype=torch.float64).apply(test), found
            )
        assert bool(found.isfinite().all())  # many digits have pixels that are always black


def test_with_fewer_images_than_pixels_frepo_and_kip_leave_the_other_axes_alone() -> None:
    """Released code of both: factors of the axes beyond the number of images are 1."""
    data = images(5)
    for kind in ("frepo", "kip"):
        values = torch.linalg.eigvalsh(fit(data, kind, dtype=torch.float64).transform)
        assert int(((values - 1).abs() < 1e-9).sum()) == 48 - 5
    values = torch.linalg.eigvalsh(fit(data, "rfad", dtype=torch.float64).transform)
    assert int(((values - values.max()).abs() < 1e-9).sum()) == 48 - 5


def test_images_of_one_colour_stay_finite() -> None:
    data = images()
    data[0] = 0.3
    data[:, 2] = 0.5  # a channel that never changes
    for kind in sorted(KINDS):
        assert bool(fit(data, kind).apply(data.float()).isfinite().all())
    grey = data[:, :1]  # where one colour is no contrast at all, and not rounding errors of length 1
    white = fit(grey, "kip").apply(grey.float())
    assert float(white[0].abs().max()) < 0.05 < 0.5 < float(white[1].abs().max())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fit(images(), "zca"), UnknownName, "unknown whitening 'zca'.*kornia, kip, frepo, rfad"),
        (lambda: replace(fit(images(), "kip"), kind="zca"), UnknownName, "unknown whitening 'zca'"),
        (lambda: fitted(images(), "zca"), UnknownName, "unknown whitening 'zca'.*kornia, kip, frepo, rfad"),
        (lambda: fit(images(1), "kip"), BadValue, r"\(1, 3, 4, 4\).*at least two"),
        (lambda: fit(images()[0], "kip"), BadValue, r"\(3, 4, 4\).*expected \(N, c, h, w\)"),
        (lambda: fit(images().long(), "kip"), BadValue, "int64"),
        (lambda: fit(images() / 0, "frepo"), BadValue, "NaN or infinite"),
        (lambda: fit(images(), "kip", 0.0), BadValue, "regularisation 0.0; expected above 0"),
        (lambda: fit(images(), "kip").apply(torch.zeros(2, 3, 4, 4).byte()), BadValue, "uint8, not floats"),
        (
            lambda: fit(images(), "kip").apply(torch.zeros(2, 1, 4, 4)),
            BadValue,
            r"\(2, 1, 4, 4\) do not fit a whitening 'kip'.*\(\.\.\., 3, 4, 4\)(.|\n)*training images",
        ),
        (lambda: fit(images(), "rfad").undo(torch.zeros(3, 8, 8)), BadValue, r"\(3, 8, 8\) do not fit"),
    ],
)
def test_what_does_not_fit_is_named(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_data_set_is_whitened_as_its_training_images_say(digits: Dataset, kind: str) -> None:
    white = digits.whitened(kind)
    expected = fit(digits.train_images, kind)
    assert white.normalisation == expected
    assert white.normalisation != digits.normalisation
    unit = digits.test_images[:5].float() / 255
    assert white.normalisation.apply(unit).equal(expected.apply(unit))
    # Also where only a part of the training images is drawn from: what decides is all of them.
    few = ClassData(digits, per_class=12).normalised_as(expected)
    assert few.normalisation == expected
    index = torch.arange(12).expand(10, -1)
    torch.testing.assert_close(few.take(index), expected.apply(few.unit(index)))
    torch.testing.assert_close(few.at(torch.arange(12))[0], few.take(index)[0])
    again = ClassData(white, per_class=12)
    assert again.take(index).equal(few.take(index))
    back = few.normalised_as(digits.normalisation)
    assert back.take(index).equal(ClassData(digits, per_class=12).take(index))


def test_a_whitening_is_fitted_once(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("digits").whitening("kornia")
    (path,) = cache.folder().glob("whitening-1-kornia-*.safetensors")
    with monkeypatch.context() as patch:
        patch.delattr("dreamlib.data.whitening.fit")
        assert load("digits").whitening("kornia") == first
    path.write_bytes(path.read_bytes()[:-1])
    assert load("digits").whitening("kornia") == first
    assert read(*read_tensors(path)[::-1]) == first  # it was damaged, and is made anew
    monkeypatch.setenv("DREAMLIB_CACHE", "/proc/nowhere")
    assert load("digits").whitening("kornia") == first


def test_a_whitening_of_other_images_is_refused(digits: Dataset) -> None:
    white = digits.whitening("kornia")
    with pytest.raises(BadValue, match=r"kornia whitening was fitted on .*not those of 'digits@holdout'"):
        load("digits@holdout").normalised_as(white)
    with pytest.raises(BadValue, match="not those of 'digits@holdout'"):
        ClassData(load("digits@holdout")).normalised_as(white)
    larger = replace(
        digits, name="larger", train_images=digits.train_images.repeat(1, 1, 2, 2),
        test_images=digits.test_images.repeat(1, 1, 2, 2),
    )  # fmt: skip
    with pytest.raises(
        BadValue, match=r"fitted on training images \(1, 8, 8\).*its images are \(1, 16, 16\)"
    ):
        larger.normalised_as(white)
    # Other test images change nothing: it has not seen them.
    assert replace(digits, test_images=255 - digits.test_images).normalised_as(white).normalisation == white


@pytest.mark.parametrize(
    ("about", "tensors", "message"),
    [
        ({}, {}, "says that its images have kornia whitening, and holds no whitening"),
        ({}, {"centre": torch.ones(3, 4, 4)}, "holds another whitening"),
        (
            {"name": "pixel", "mean": [0.0], "std": [1.0]},
            {"centre": torch.ones(3)},
            "holds a whitening, and says that its images are normalised as 'pixel'",
        ),
    ],
)
def test_a_file_holds_the_whitening_that_it_speaks_of(
    about: dict[str, object], tensors: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(about or fit(images(), "kornia").about(), tensors)
