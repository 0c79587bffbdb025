"""The distilled set as a user holds it: loaded as evaluated, exported for others, refused when damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import reference
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from tiny import generator
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from dreamlib.augment import Siamese, cutmix
from dreamlib.companion.cells import make_cell
from dreamlib.containers import Container, MultiFormation, Pixels
from dreamlib.core.errors import BadValue, DreamlibError, StoreError, UnknownName
from dreamlib.core.files import write_tensors
from dreamlib.core.registry import as_data
from dreamlib.core.streams import Streams
from dreamlib.data import load, statistics
from dreamlib.distillation.exports import FORMATS, export
from dreamlib.distillation.sets import DistilledSet, load_set

CLASSES = ("zero", "one/two", "3")
CIFAR = statistics("cifar10")


def stored(space: str) -> Tensor:
    """(3 classes, 2 images, 3, 8, 8), partly outside the range that a picture can show."""
    images = torch.randn(3, 2, 3, 8, 8, generator=generator())
    return images if space == "normalised" else images * 0.4 + 0.5


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write(tmp_path / "set.safetensors", Pixels())


def write(path: Path, container: Container) -> Path:
    about = {
        "container": as_data(container),
        "normalisation": as_data(CIFAR),
        "classes": list(CLASSES),
        "seed": 4,
    }
    write_tensors(path, {"images": stored(container.space)}, about)
    return path


def test_normalised_pixels_come_back_as_networks_saw_them(written: Path) -> None:
    found = load_set(written)
    torch.testing.assert_close(found.normalised, stored("normalised").flatten(0, 1))
    torch.testing.assert_close(found.images, CIFAR.undo(stored("normalised").flatten(0, 1)))
    assert found.stored.flatten(0, 1).equal(found.images)
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.classes == CLASSES
    assert found.normalisation == CIFAR
    assert found.about["seed"] == 4


def test_a_mosaic_comes_back_decoded_and_as_it_was_judged(tmp_path: Path) -> None:
    found = load_set(write(tmp_path / "set.safetensors", MultiFormation(2)))
    tiles = reference.tiles(stored("unit").flatten(0, 1), 2)
    torch.testing.assert_close(found.images, tiles)
    assert found.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert found.clipped > 0
    assert found.stored.equal(stored("unit"))


def test_clipped_is_the_share_no_picture_can_show(written: Path) -> None:
    found = load_set(written)
    outside = [not 0 <= value <= 1 for value in found.images.flatten().tolist()]
    assert found.clipped == pytest.approx(sum(outside) / len(outside))
    assert 0 < found.clipped < 1
    assert found.bytes().dtype == torch.uint8
    assert found.bytes().equal((found.images.clamp(0, 1) * 255).round().to(torch.uint8))


def test_a_set_is_a_torch_data_set(written: Path) -> None:
    found = load_set(written)
    pairs = list(found.dataset())
    assert len(pairs) == 6
    assert pairs[3][0].equal(found.normalised[3])
    assert int(pairs[3][1]) == 1


def evaluated(method: str, classes: int = 10, each: int = 8) -> DistilledSet:
    """A set of noise with the evaluation of a published method."""
    images = torch.rand(classes, each, 3, 16, 16, generator=generator())
    evaluation = make_cell("paper", method, "cifar10", each, 0).evaluation
    labels = torch.arange(classes).repeat_interleave(each)
    names = tuple(map(str, range(classes)))
    about = {"evaluation": as_data(evaluation)}
    return DistilledSet(images.flatten(0, 1), labels, images, names, CIFAR, about)


def epoch(loader: DataLoader[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


def test_a_plain_loader_gives_every_image_once_with_its_label() -> None:
    found = evaluated("dm")
    loader = found.loader(batch=30, augment=False)
    assert [len(images) for images, _ in loader] == [30, 30, 20]
    images, labels = epoch(loader)
    assert labels.tolist() != found.labels.tolist()
    where = (images.flatten(1)[:, None] == found.normalised.flatten(1)).all(2).nonzero()
    assert sorted(where[:, 1].tolist()) == list(range(80))
    assert found.labels[where[:, 1]].equal(labels)


def test_a_loader_augments_as_the_evaluation_does() -> None:
    found = evaluated("dm")
    pairs = list(zip(found.normalised, found.labels, strict=True))
    collate = found.loader().collate_fn
    assert collate.augment == Siamese("color_crop_cutout_flip_scale_rotate")
    streams = Streams(0)
    own = collate(pairs)[0]
    theirs = collate.augment.draw(1, streams["augment"], per_image=80)(found.normalised[None])[0]
    assert own.equal(theirs)
    assert not own.equal(found.normalised)
    assert found.loader().batch_size == 256
    images, labels = epoch(found.loader())
    assert images.shape == (80, 3, 16, 16)
    assert labels.dtype == torch.int64


def test_cutmix_gives_labels_whose_cross_entropy_is_the_loss_of_the_evaluation() -> None:
    found = evaluated("dream", each=20)
    _, labels = epoch(found.loader(seed=3))
    assert labels.shape == (200, 10)
    assert bool((labels.amax(1) < 1).any())
    assert bool((labels.amax(1) == 1).any())
    pairs = list(zip(found.normalised, found.labels, strict=True))
    collate, streams = found.loader(seed=4).collate_fn, Streams(4)
    logits, mixed = torch.randn(200, 10, generator=generator()), False
    for _ in range(4):
        images, soft = collate(pairs)
        draw = collate.augment.draw(1, streams["augment"], per_image=200)(found.normalised[None])
        theirs, first, second, share = cutmix(draw, found.labels[None], streams["augment"], 0.5)
        assert images.equal(theirs[0])
        mixed |= bool(share < 1)
        expected = share * cross_entropy(logits, first[0]) + (1 - share) * cross_entropy(logits, second[0])
        torch.testing.assert_close(cross_entropy(logits, soft), expected[0])
    assert mixed


def test_a_seed_is_an_epoch_and_epochs_differ() -> None:
    found = evaluated("dream")
    loader, again, other = found.loader(seed=1), found.loader(seed=1), found.loader(seed=2)
    first = epoch(loader)
    assert all(a.equal(b) for a, b in zip(first, epoch(again), strict=True))
    assert not first[0].equal(epoch(loader)[0])
    assert not first[0].equal(epoch(other)[0])


def test_a_loader_needs_to_know_the_evaluation_or_be_told() -> None:
    made = by_hand(3)
    for choice in ({}, {"batch": 2}, {"augment": False}):
        with pytest.raises(BadValue, match="does not say how networks are trained"):
            made.loader(**choice)
    assert len(list(made.loader(batch=4, augment=False))) == 2
    with pytest.raises(BadValue, match="batch is 0; expected at least 1"):
        made.loader(batch=0, augment=False)


@pytest.mark.parametrize("container", [Pixels(), MultiFormation(2)], ids=str)
def test_safetensors_are_lossless_and_can_be_loaded_again(tmp_path: Path, container: Container) -> None:
    first = load_set(write(tmp_path / "set.safetensors", container))
    target = export(first, tmp_path / "deep" / "out.safetensors", "safetensors")
    with safe_open(target, framework="pt") as file:
        assert file.get_tensor("images").equal(first.images)
        assert file.get_tensor("labels").equal(first.labels)
    again = load_set(target)
    assert again.images.equal(first.images)
    assert again.labels.equal(first.labels)
    assert again.stored.equal(first.stored)
    assert (again.classes, again.normalisation) == (first.classes, first.normalisation)
    assert again.about["seed"] == 4
    assert load_set(export(again, tmp_path / "twice.safetensors", "safetensors")).images.equal(first.images)


def by_hand(channels: int) -> DistilledSet:
    images = torch.rand(6, channels, 8, 8, generator=generator()) * 1.4 - 0.2
    name = "cifar10" if channels == 3 else "mnist"
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    return DistilledSet(
        images, labels, images.unflatten(0, (2, 3)).transpose(0, 1), CLASSES, statistics(name), {}
    )


def test_a_set_made_by_hand_can_be_exported_and_loaded(tmp_path: Path) -> None:
    made = by_hand(3)
    again = load_set(export(made, tmp_path / "out.safetensors", "safetensors"))
    assert again.images.equal(made.images)
    assert again.normalised.equal(made.normalised)


@pytest.mark.parametrize("channels", [1, 3])
def test_image_folders_are_read_by_torchvision(tmp_path: Path, channels: int) -> None:
    made = by_hand(channels)
    folder = ImageFolder(str(export(made, tmp_path / "images", "images")))
    assert [label for _, label in folder.samples] == [0, 0, 1, 1, 2, 2]
    assert folder.classes == ["000-zero", "001-one_two", "002-3"]
    order = [0, 3, 1, 4, 2, 5]
    for (path, _), number in zip(folder.samples, order, strict=True):
        with Image.open(path) as picture:
            pixels = torch.from_numpy(np.array(picture)).view(8, 8, channels).permute(2, 0, 1)
        assert pixels.equal(made.bytes()[number])
    with pytest.raises(BadValue, match="exists and is not an empty folder"):
        export(made, tmp_path / "images", "images")


@pytest.mark.parametrize("channels", [1, 3])
def test_parquet_is_read_as_a_data_set(tmp_path: Path, channels: int) -> None:
    made = by_hand(channels)
    export(made, tmp_path / "train.parquet", "parquet")
    export(made, tmp_path / "test.parquet", "parquet")
    found = load(f"parquet:{tmp_path}")
    assert found.train_images.equal(made.bytes())
    assert found.train_labels.equal(made.labels)
    assert found.classes == CLASSES
    schema = pq.read_schema(tmp_path / "train.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"] == list(CLASSES)


def test_an_export_replaces_an_earlier_one_and_nothing_else_unless_told_to(
    tmp_path: Path, written: Path
) -> None:
    made = by_hand(3)
    mine, before = tmp_path / "mine.csv", b"a,b\n1,2\n"
    for form in ("safetensors", "parquet"):
        target = tmp_path / f"out.{form}"
        for _ in range(2):
            export(made, target, form)
        mine.write_bytes(before)
        with pytest.raises(
            BadValue, match=f"mine.csv exists and is no {form} that export wrote.*\n.*--overwrite"
        ):
            export(made, mine, form)
        assert mine.read_bytes() == before
        assert export(made, mine, form, overwrite=True).read_bytes() != before
    pq.write_table(pa.table({"x": [1]}), tmp_path / "theirs.parquet")
    with pytest.raises(BadValue, match="exists and is no parquet"):
        export(made, tmp_path / "theirs.parquet", "parquet")
    with pytest.raises(BadValue, match=r"ends in \.safetensors, and the format is parquet"):
        export(made, tmp_path / "out.safetensors", "parquet")


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_export_never_replaces_what_was_computed_nor_a_device(
    tmp_path: Path, written: Path, overwrite: bool
) -> None:
    made, whole = load_set(written), written.read_bytes()
    for form, why in (
        ("safetensors", "is what was computed, not a copy"),
        ("parquet", "the format is parquet"),
    ):
        with pytest.raises(BadValue, match=why):
            export(made, written, form, overwrite=overwrite)
    assert written.read_bytes() == whole
    os.mkfifo(tmp_path / "pipe")
    for form in FORMATS:
        with pytest.raises(DreamlibError, match="pipe"):
            export(made, tmp_path / "pipe", form, overwrite=overwrite)
    assert not list((tmp_path / "pipe").parent.glob("*.tmp"))


def test_an_unknown_format_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown export format 'npz'; valid: safetensors, images, parquet"):
        export(by_hand(3), tmp_path / "x", "npz")


def test_what_is_missing_damaged_or_not_ours_is_refused(tmp_path: Path, written: Path) -> None:
    with pytest.raises(StoreError, match="no distilled set at"):
        load_set(tmp_path / "nothing.safetensors")
    whole = written.read_bytes()
    written.write_bytes(whole[:-10])
    with pytest.raises(StoreError, match="damaged or not ours"):
        load_set(written)
    written.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match="do not match its checksum"):
        load_set(written)
    written.write_bytes(b"PK\x03\x04 a pickle, perhaps")
    with pytest.raises(StoreError, match="damaged or not ours"):
        load_set(written)
    save_file({"images": torch.zeros(2, 2)}, written)
    with pytest.raises(StoreError, match="damaged or not ours"):
        load_set(written)
    write_tensors(written, {"images": torch.zeros(2, 2)}, {"container": {"part": "Cube"}})
    with pytest.raises(StoreError, match="is not a distilled set of this version"):
        load_set(written)
