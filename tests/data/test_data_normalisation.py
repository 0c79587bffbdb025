from __future__ import annotations

import pytest
import torch

from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.data import Normalisation, load, names, statistics
from dreamlib.data.normalisation import measured


@pytest.mark.parametrize("shape", [(3, 4, 4), (7, 3, 4, 4), (2, 5, 3, 4, 6)])
def test_apply_is_the_equation_and_undo_its_inverse(shape: tuple[int, ...]) -> None:
    norm = statistics("cifar10")
    unit = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = norm.apply(unit)
    for channel in range(3):
        expected = (unit.select(-3, channel) - norm.mean[channel]) / norm.std[channel]
        torch.testing.assert_close(out.select(-3, channel), expected, rtol=0, atol=0)
    torch.testing.assert_close(norm.undo(out), unit)
    assert out.dtype == torch.float64


def test_apply_and_undo_pass_gradients() -> None:
    norm = statistics("mnist")
    unit = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (grad,) = torch.autograd.grad(norm.apply(unit).sum(), unit)
    torch.testing.assert_close(grad, torch.full_like(unit, 1 / 0.3081))


def test_normalisation_refuses_bytes_and_other_channels() -> None:
    norm = statistics("cifar10")
    with pytest.raises(BadValue, match="uint8"):
        norm.apply(torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(BadValue, match=r"\(2, 1, 4, 4\).*\(\.\.\., 3, h, w\)"):
        norm.undo(torch.zeros(2, 1, 4, 4))


@pytest.mark.parametrize(
    ("mean", "std"), [((), ()), ((0.5,), (0.5, 0.5)), ((0.5,), (0.0,)), ((0.5,), (-1.0,))]
)
def test_constants_are_checked(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(BadValue):
        Normalisation("own", mean, std)


def test_papers_and_pixel_differ_for_cifar10() -> None:
    assert statistics("cifar10").std == (0.2023, 0.1994, 0.2010)
    assert statistics("cifar10", "pixel").std == (0.2470, 0.2435, 0.2616)
    assert statistics("mnist") == Normalisation("papers", (0.1307,), (0.3081,))


@pytest.mark.parametrize("which", ["papers", "pixel"])
def test_every_built_in_data_set_has_statistics(which: str) -> None:
    for name in names():
        assert statistics(name, which).channels == (3 if name in ("svhn", "cifar10", "cifar100") else 1)


def test_unknown_names() -> None:
    with pytest.raises(UnknownName, match="cifar10"):
        statistics("cifar11")
    with pytest.raises(UnknownName, match="papers, pixel"):
        statistics("cifar10", "truth")


def test_digits_constants_are_those_of_its_training_images() -> None:
    data = load("digits")
    unit = data.train_images.double() / 255
    assert data.normalisation.mean == (round(float(unit.mean()), 4),)
    assert data.normalisation.std == (round(float(unit.std(correction=0)), 4),)


def test_measured_is_mean_and_std_per_channel() -> None:
    images = torch.randint(0, 256, (20, 3, 7, 5), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    images[:, 1] = 9
    unit = images.double() / 255
    norm = measured(images)
    torch.testing.assert_close(torch.tensor(norm.mean).double(), unit.mean((0, 2, 3)))
    assert norm.std[1] == 1.0
    torch.testing.assert_close(torch.tensor(norm.std[::2]), unit.std((0, 2, 3), correction=0)[::2].float())
