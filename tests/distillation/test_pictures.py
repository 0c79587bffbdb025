"""A distilled set as pictures and back, those of strangers too, and how a set shows itself."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import generator
from torchvision.datasets import ImageFolder

from dreamlib.core.errors import BadValue, DataError, StoreError, UnknownName
from dreamlib.core.streams import Streams
from dreamlib.data import Dataset, load, statistics
from dreamlib.distillation.evaluate import Evaluation, evaluate
from dreamlib.distillation.exports import export, form_of
from dreamlib.distillation.sets import DistilledSet, load_set
from dreamlib.networks import NetworkSpec
from dreamlib.networks.training import SGD

FAST = Evaluation(learner=SGD(epochs=1), network=NetworkSpec(width=8, depth=2), networks=1)


def a_set(classes: Sequence[str] = ("cat", "dog", "owl"), shape: tuple[int, ...] = (3, 8, 8)) -> DistilledSet:
    """Two images of each class whose values are bytes, so that pictures lose nothing."""
    images = torch.randint(0, 256, (len(classes), 2, *shape), generator=generator()).float() / 255
    labels = torch.arange(len(classes)).repeat_interleave(2)
    about = {"dataset": "cifar10", "label": "DM", "seed": 3, "profile": "quick"}
    constants = statistics("cifar10" if shape[0] == 3 else "mnist")
    return DistilledSet(images.flatten(0, 1), labels, images, tuple(classes), constants, about)


ORDERED = ("cat", "dog", "owl")
OTHERWISE = ("owl", "cat/dog", "10")
MANY = tuple(map(str, range(12)))  # "10" is sorted before "2"


@pytest.mark.parametrize("target", ["folder", "set.parquet", "set.safetensors"])
@pytest.mark.parametrize("classes", [ORDERED, OTHERWISE, MANY], ids=["ordered", "otherwise", "many"])
def test_what_was_exported_is_read_again(tmp_path: Path, target: str, classes: tuple[str, ...]) -> None:
    made = a_set(classes)
    found = load_set(export(made, tmp_path / target), "cifar10")
    torch.testing.assert_close(found.images, made.images)
    assert found.labels.equal(made.labels)
    assert found.stored.shape == made.stored.shape
    assert (found.classes, found.normalisation) == (made.classes, made.normalisation)
    assert {name: found.about[name] for name in made.about} == made.about
    with pytest.raises(StoreError, match="holds 'cifar10', not 'mnist'"):
        load_set(tmp_path / target, "mnist")


@pytest.mark.parametrize("classes", [ORDERED, OTHERWISE, MANY], ids=["ordered", "otherwise", "many"])
def test_class_folders_have_numbers_only_where_their_order_needs_them(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    written = ImageFolder(export(a_set(classes), tmp_path / "set"))
    assert written.targets == [label for label in range(len(classes)) for _ in range(2)]
    if classes == ORDERED:
        assert tuple(written.classes) == classes
    (tmp_path / "set/dreamlib.json").unlink()  # as somebody else would copy it
    safe = tuple(name.replace("/", "_") for name in classes)
    assert load_set(tmp_path / "set").classes == safe


@pytest.mark.parametrize(
    ("target", "form", "expected"),
    [
        ("set.parquet", "", "parquet"),
        ("SET.PARQUET", "", "parquet"),
        ("set.safetensors", "", "safetensors"),
        ("set", "", "images"),
        ("v1.0", "images", "images"),
        ("set.bin", "safetensors", "safetensors"),
    ],
)
def test_the_ending_decides_the_format(target: str, form: str, expected: str) -> None:
    assert form_of(target, form) == expected


@pytest.mark.parametrize(
    ("target", "form", "error", "says"),
    [
        ("set.npz", "", BadValue, "ends in .npz; expected .safetensors, .parquet"),
        ("set.parquet", "images", BadValue, "ends in .parquet, and the format is images"),
        ("set.parquet", "gif", UnknownName, "unknown export format 'gif'"),
    ],
)
def test_an_ending_that_says_something_else(
    target: str, form: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        form_of(target, form)


def pictures(folder: Path, count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(count)]
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    return images


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("part", ["", "train"])
def test_a_folder_of_images_with_labels_as_hugging_face_has_it(tmp_path: Path, kind: str, part: str) -> None:
    images, labels = pictures(tmp_path / part if part else tmp_path / "own", 3), ["b", "a", "b"]
    folder = tmp_path / (part or "own")
    rows = [{"file_name": f"{number}.png", "label": label} for number, label in enumerate(labels)]
    if kind == "csv":
        with (folder / "metadata.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["file_name", "label"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_set(tmp_path if part else folder)
    assert (found.classes, found.labels.tolist()) == (("a", "b"), [0, 1, 1])
    expected = np.stack([images[1], images[0], images[2]]).transpose(0, 3, 1, 2)
    assert np.array_equal(found.bytes().numpy(), expected)
    assert found.normalisation.name == "pixel"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lists no images"),
        ('{"file_name": "0.png"}', "does not list images: KeyError"),
        ("[" * 100_000, "does not list images"),
        ('{"file_name": "../../secret.png", "label": 0}', "which lies elsewhere"),
        ('{"file_name": "gone.png", "label": 0}', "gone.png"),
    ],
)
def test_metadata_that_say_nothing_of_use(tmp_path: Path, text: str, says: str) -> None:
    pictures(tmp_path / "own", 1)
    (tmp_path / "own/metadata.jsonl").write_text(text)
    with pytest.raises((StoreError, DataError), match=says):
        load_set(tmp_path / "own")


def test_a_folder_that_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is no set of images: .*holds no class folders"):
        load_set(tmp_path)


def test_values_that_no_picture_can_show(tmp_path: Path) -> None:
    made = a_set()
    made.images[0, 0, 0, 0], made.images[1, 0, 0, 0] = float("nan"), float("inf")
    for target in ("folder", "set.parquet"):
        with pytest.raises(BadValue, match="2 values of the images are NaN or infinite"):
            export(made, tmp_path / target)
        assert not (tmp_path / target).exists()
    export(made, tmp_path / "set.safetensors")  # keeps what there is


def test_a_set_says_in_three_lines_what_it_is() -> None:
    lines = repr(a_set(MANY)).splitlines()
    assert lines == [
        "DistilledSet of 24 images, 3 x 8 x 8, 12 classes (0, 1, 2, 3, ...)",
        "  DM, from cifar10, seed 3, profile quick",
        "  0.0% of the pixels outside [0, 1]; normalisation 'papers'",
    ]


def test_a_set_is_counted_and_indexed() -> None:
    made = a_set()
    assert len(made) == 6
    image, label = made[3]
    assert image.equal(made.images[3])
    assert int(label) == 1
    images, labels = made[-2:]
    assert images.equal(made.images[-2:])
    assert labels.tolist() == [2, 2]
    assert [int(label) for _, label in made] == made.labels.tolist()
    with pytest.raises(IndexError):
        made[6]


def test_a_set_is_judged_as_it_is(digits: Dataset) -> None:
    made = a_set(MANY[:10], (1, 8, 8))
    own = digits.normalised_as(made.normalisation)
    stacked = made.normalised.unflatten(0, (10, 2))
    assert evaluate(made, digits, FAST) == evaluate(stacked, own, FAST)
    order = torch.randperm(20, generator=generator())
    mixed = DistilledSet(
        made.images[order], made.labels[order], made.stored, made.classes, made.normalisation, {}
    )
    assert mixed.by_class.flatten(0, 1).sum() == pytest.approx(float(stacked.sum()), rel=1e-5)
    assert mixed.by_class.shape == stacked.shape
    few = DistilledSet(made.images[1:], made.labels[1:], made.stored, made.classes, made.normalisation, {})
    with pytest.raises(BadValue, match="the classes have 1 to 2 images"):
        _ = few.by_class
    assert len(evaluate(few, digits, FAST)) == FAST.networks  # a network needs no even classes


@pytest.mark.parametrize("shape", [(20, 1, 8, 8), (10, 2, 3, 8, 8), (9, 2, 1, 8, 8), (10, 64)])
def test_images_in_another_shape_are_named_as_they_were_given(
    digits: Dataset, shape: tuple[int, ...]
) -> None:
    with pytest.raises(BadValue) as refused:
        evaluate(torch.zeros(shape), digits, FAST)
    assert f"the synthetic images are {shape}; expected (10, M, 1, 8, 8)" in str(refused.value)


def test_a_data_set_of_one_class_judges_nothing(tmp_path: Path) -> None:
    for part in ("train", "test"):
        pictures(tmp_path / part / "only", 4)
    data = load(f"folder:{tmp_path}")
    with pytest.raises(DataError, match=r"1 class \('only'\), so that every answer is right"):
        evaluate(torch.zeros(1, 2, 3, 8, 8), data, FAST)


def test_a_negative_seed() -> None:
    with pytest.raises(BadValue, match="seed is -1; expected 0 or more"):
        Streams(-1)
    with pytest.raises(BadValue, match="seed is -1"):
        a_set().loader(batch=2, augment=False, seed=-1)
