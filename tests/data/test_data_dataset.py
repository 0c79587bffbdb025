from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from dreamlib.core.errors import DataError, UnknownName
from dreamlib.data import Dataset, Normalisation, load, names

DIGITS = "4c02be70f1fd7da2fbdfdb6e1d62f35e834841462b07668e957b8023243ecff6"


def test_digits_are_what_they_always_were() -> None:
    data = load("digits")
    assert data.fingerprint == DIGITS
    assert data.shape == (1, 8, 8)
    assert data.num_classes == 10
    assert data.train_images.dtype == torch.uint8
    assert int(data.train_images.max()) == 255


def test_digits_split_is_stratified_and_complete() -> None:
    data = load("digits")
    train, test = torch.bincount(data.train_labels), torch.bincount(data.test_labels)
    assert len(data.train_labels) + len(data.test_labels) == 1797
    assert ((test / (train + test) - 0.25).abs() < 0.004).all()


def test_names_and_unknown_name() -> None:
    assert names() == ("digits", "mnist", "fashionmnist", "svhn", "cifar10", "cifar100")
    with pytest.raises(UnknownName, match=r"'cifar'.*digits.*parquet:PATH, folder:PATH.*\n.*cifar10"):
        load("cifar")
    with pytest.raises(UnknownName, match="parquet:PATH"):
        load("parquet:")
    with pytest.raises(UnknownName, match="papers, pixel"):
        load("digits", normalisation="zca")
    with pytest.raises(UnknownName, match="L, RGB"):
        load("digits", mode="RGBA")


def test_fingerprint_sees_content_and_nothing_else(make: Callable[..., Dataset]) -> None:
    data, again = make([3, 4]), make([3, 4])
    assert data.fingerprint == again.fingerprint == replace(data, name="other").fingerprint
    changed = data.test_images.clone()
    changed[0, 0, 0, 0] ^= 1
    assert replace(data, test_images=changed).fingerprint != data.fingerprint
    assert replace(data, train_labels=data.train_labels.flip(0)).fingerprint != data.fingerprint


def test_repr_is_short(make: Callable[..., Dataset]) -> None:
    assert "tensor" not in repr(make([3, 4]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": torch.zeros(7, 3, 4, 5)}, r"train images are torch.float32 \(7, 3, 4, 5\)"),
        (
            {"train_images": torch.zeros(7, 4, 5, dtype=torch.uint8)},
            r"train images.*expected uint8 \(N, channels",
        ),
        ({"train_labels": torch.zeros(7)}, "train labels are torch.float32"),
        ({"train_labels": torch.zeros(6, dtype=torch.int64)}, "7 train images, but 6 labels"),
        ({"test_labels": torch.tensor([0, 2, 0])}, r"test label 2 is outside 0 to 1 \(2 classes\)"),
        ({"test_labels": torch.tensor([0, -1, 0])}, "test label -1"),
        (
            {"train_labels": torch.ones(7, dtype=torch.int64)},
            r"no training image of 1 of 2 classes: 0 \('class0'\)",
        ),
        (
            {"test_images": torch.zeros(3, 3, 4, 4, dtype=torch.uint8)},
            r"\(3, 4, 5\), test images \(3, 4, 4\)",
        ),
        (
            {"test_images": torch.zeros(3, 1, 4, 5, dtype=torch.uint8)},
            r"\(3, 4, 5\), test images \(1, 4, 5\)",
        ),
        (
            {"test_images": torch.zeros(0, 3, 4, 5, dtype=torch.uint8), "test_labels": torch.zeros(0).long()},
            "test part is empty",
        ),
        ({"normalisation": Normalisation("own", (0.5,), (0.5,))}, "3 channels, its normalisation 1"),
    ],
)
def test_what_does_not_fit_is_refused(
    make: Callable[..., Dataset], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        replace(make([3, 4]), **change)
