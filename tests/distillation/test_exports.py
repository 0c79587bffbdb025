"""What an export holds besides pictures: learned labels, rates, a card; and what a format cannot hold is said."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tiny import generator
from torch import Tensor
from torchvision.datasets import ImageFolder

from dreamlib.core.errors import BadValue, StoreError
from dreamlib.core.files import read_metadata, read_tensors
from dreamlib.data import load, statistics
from dreamlib.data.whitening import Whitening
from dreamlib.distillation.exports import WRITTEN, export, probable
from dreamlib.distillation.sets import DistilledSet, load_set

NAMES = ("owl", "cat/dog", "10")  # not in the order of their names


def made(labels: str = "classes", dataset: str = "own", names: tuple[str, ...] = NAMES, side: int = 8) -> Any:
    """Two images of each class whose values are bytes, with labels as asked."""
    count = len(names)
    images = torch.randint(0, 256, (count, 2, 3, side, side), generator=generator()).float() / 255
    numbers: Tensor = torch.randn(2 * count, count, generator=generator())
    kinds = {
        "classes": torch.arange(count).repeat_interleave(2),
        "probabilities": numbers.softmax(1),
        "real": numbers,
    }
    about = {"dataset": dataset, "method": "dm"}
    return DistilledSet(images.flatten(0, 1), kinds[labels], images, names, statistics("cifar10"), about)


LEARNED = ("probabilities", "real")


@pytest.mark.parametrize("target", ["folder", "set.parquet", "set.safetensors"])
@pytest.mark.parametrize("labels", LEARNED)
def test_learned_labels_and_rates_come_back_to_the_last_bit(tmp_path: Path, labels: str, target: str) -> None:
    first = replace(made(labels), rates=torch.tensor(0.1) / 3, steps=7)
    found = load_set(export(first, tmp_path / target))
    assert found.labels.dtype == torch.float32
    assert found.labels.equal(first.labels)
    assert found.rates is not None
    assert found.rates.equal(first.rates)
    assert (found.steps, found.classes) == (7, NAMES)
    torch.testing.assert_close(found.images, first.images)
    assert found.stored.shape == first.stored.shape


def test_parquet_has_learned_labels_in_a_column_and_classes_next_to_it(tmp_path: Path) -> None:
    first = made("real")
    table = pq.read_table(export(first, tmp_path / "set.parquet"))
    assert table.column_names == ["image", "label", "soft_label"]
    assert table["label"].to_pylist() == [0, 0, 1, 1, 2, 2]
    assert torch.tensor(table["soft_label"].to_pylist()).equal(first.labels)
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["soft_label"]["feature"]["dtype"] == "float32"
    export(first, tmp_path / "data" / "train.parquet")
    export(first, tmp_path / "data" / "test.parquet")
    assert load(f"parquet:{tmp_path / 'data'}").train_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_folder_lists_learned_labels_and_is_an_image_folder_all_the_same(tmp_path: Path) -> None:
    first = made("real")
    folder = export(first, tmp_path / "set", card="# A set")
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == [0, 0, 1, 1, 2, 2]
    assert torch.tensor([row["soft_label"] for row in rows]).equal(first.labels)
    assert all((folder / row["file_name"]).is_file() for row in rows)
    seen = ImageFolder(str(folder))
    assert seen.targets == [0, 0, 1, 1, 2, 2]
    assert not (export(made(), tmp_path / "plain") / "metadata.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"file_name": "000-owl/00000.png", "label": 0}', "soft_label in 5 of 6 lines"),
        ('{"file_name": "000-owl/00000.png", "label": 0, "soft_label": [1, 2]}', "is no set of images"),
        ('{"file_name": "000-owl/00000.png", "label": 0, "soft_label": "much"}', "is no set of images"),
        ('{"file_name": "000-owl/00000.png", "label": 9, "soft_label": [1, 2, 3]}', "is no set of images"),
    ],
)
def test_learned_labels_that_do_not_fit_are_refused(tmp_path: Path, line: str, says: str) -> None:
    notes = export(made("real"), tmp_path / "set") / "metadata.jsonl"
    notes.write_text("\n".join([line, *notes.read_text().splitlines()[1:]]) + "\n")
    with pytest.raises(StoreError, match=says):
        load_set(tmp_path / "set")


def test_images_by_class_are_not_given_without_their_learned_labels() -> None:
    first = made("real")
    assert first.hard_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert made().hard_labels.equal(made().labels)
    with pytest.raises(BadValue, match=r"3 learned numbers.*\n.*evaluate\(distilled"):
        _ = first.by_class
    odd = replace(first, images=first.images[:5], labels=first.labels[:5])
    with pytest.raises(BadValue, match="5 images with learned labels, and 3 classes"):
        _ = odd.hard_labels


@pytest.mark.processes
def test_equal_sets_are_equal_bytes_in_every_process(tmp_path: Path) -> None:
    first = made("real")
    one = export(first, tmp_path / "one.safetensors")
    code = (
        "import sys; from dreamlib.distillation.exports import export; "
        "from dreamlib.distillation.sets import load_set; export(load_set(sys.argv[1]), sys.argv[2])"
    )
    for again in ("two", "three"):
        other = tmp_path / f"{again}.safetensors"
        subprocess.run([sys.executable, "-c", code, str(one), str(other)], check=True)
        assert other.read_bytes() == one.read_bytes()
    assert read_metadata(one) == read_tensors(one)[1]


TEN = tuple(map(str, range(10)))


@pytest.mark.parametrize("labels", ["classes", *LEARNED])
def test_dd_ranking_gets_tensors_that_need_no_pickle(tmp_path: Path, labels: str) -> None:
    """Its own constants, in whatever normalisation the set was learned."""
    first = replace(made(labels, "cifar10", TEN, 32), normalisation=statistics("cifar10", "pixel"))
    if labels == "real":
        first = replace(first, rates=torch.tensor(0.02))
    folder = export(first, tmp_path / "set", "ddranking", card="# A set")
    found = {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}
    torch.testing.assert_close(found["images"], statistics("cifar10").apply(first.images))
    assert found["images"].dtype == torch.float32
    if labels == "probabilities":
        torch.testing.assert_close(found["labels"].softmax(1), first.labels)
        assert probable(first.labels)
    else:
        assert found["labels"].equal(first.labels)
    assert sorted(found) == sorted(["images", "labels", *(["lr"] if labels == "real" else [])])
    assert labels != "real" or float(found["lr"]) == pytest.approx(0.02)
    assert (folder / "README.md").is_file()
    with pytest.raises(StoreError, match=r"tensors for DD-Ranking, and pickles are not read"):
        load_set(folder)


def test_a_certain_label_has_a_finite_logarithm(tmp_path: Path) -> None:
    first = replace(made("probabilities", "cifar10", TEN, 32), labels=torch.eye(10).repeat_interleave(2, 0))
    export(first, tmp_path / "set", "ddranking")
    labels = torch.load(tmp_path / "set" / "labels.pt", weights_only=True)
    assert bool(labels.isfinite().all())
    torch.testing.assert_close(labels.softmax(1), first.labels)


@pytest.mark.parametrize("kind", ["kornia", "frepo"])
def test_dd_ranking_gets_whitened_images_where_it_whitens_alike(tmp_path: Path, kind: str) -> None:
    size = 3 * 32 * 32
    how = Whitening(
        f"{kind} whitening",
        (0.0,) * 3,
        (1.0,) * 3,
        kind,
        1.0,
        torch.zeros(3, 32, 32),
        2 * torch.eye(size),
        "0",
    )
    first = made("classes", "cifar10", TEN, 32)
    first = replace(first, normalisation=how, whitened=2 * first.images)
    if kind == "frepo":
        with pytest.raises(BadValue, match="frepo whitening, and DD-Ranking whitens CIFAR10 as kornia does"):
            export(first, tmp_path / "set", "ddranking")
        return
    export(first, tmp_path / "set", "ddranking")
    assert torch.load(tmp_path / "set" / "images.pt", weights_only=True).equal(2 * first.images)
    with pytest.raises(BadValue, match="pictures in 8 bits do not lead back"):
        export(first, tmp_path / "set.parquet")


@pytest.mark.parametrize(
    ("dataset", "names", "side", "says"),
    [
        ("mnist", TEN, 32, r"a set of mnist, with 10 classes of 3 x 32 x 32: DD-Ranking judges"),
        ("cifar10@5steps-order0-step1", NAMES, 32, "with 3 classes"),
        ("cifar10", TEN, 8, "3 x 8 x 8"),
        ("", TEN, 32, "whose data set is not known"),
    ],
)
def test_what_dd_ranking_does_not_judge_is_said(
    tmp_path: Path, dataset: str, names: tuple[str, ...], side: int, says: str
) -> None:
    with pytest.raises(BadValue, match=says):
        export(made("classes", dataset, names, side), tmp_path / "set", "ddranking")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("name", ["set.parquet", "set.safetensors"])
def test_a_card_lies_next_to_a_file_and_replaces_no_text_of_others(tmp_path: Path, name: str) -> None:
    card = tmp_path / f"{name}.md"
    for text in ("# One", "# Two"):
        export(made(), tmp_path / name, card=text)
        assert card.read_text() == f"{text}\n\n{WRITTEN}\n"
    card.write_text("mine")
    with pytest.raises(BadValue, match=rf"{name}.md exists, and the set's card would replace it"):
        export(made(), tmp_path / name, card="# Three")
    assert card.read_text() == "mine"
    export(made(), tmp_path / name, card="# Three", overwrite=True)
    assert card.read_text().startswith("# Three")
