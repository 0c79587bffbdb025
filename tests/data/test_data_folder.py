from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from data_files import encoded, noise
from PIL import Image

from dreamlib.core.errors import DataError
from dreamlib.data import load


def write(file: Path, image: np.ndarray, kind: str = "PNG") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded(image, kind))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """train/{a,b} and test/{a,b} with PNG, BMP and WebP files, and things that are no images."""
    for part in ("train", "test"):
        for number, image in enumerate(noise(6)):
            kind = ("PNG", "BMP", "WEBP")[number % 3]
            write(tmp_path / "set" / part / "ab"[number // 3] / f"{number}.{kind}", image, kind)
    (tmp_path / "set" / "train" / "notes.txt").write_text("not a class")
    (tmp_path / "set" / "train" / "a" / "notes.txt").write_text("not an image")
    (tmp_path / "set" / "train" / ".hidden").mkdir()
    return tmp_path / "set"


def test_a_folder_for_every_class(tree: Path) -> None:
    data = load("folder:set", tree.parent)
    assert np.array_equal(data.train_images.numpy(), noise(6))
    assert data.test_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.classes == ("a", "b")
    assert data.normalisation.name == "pixel"
    (tree / "test").rename(tree / "val")
    assert load(f"folder:{tree}").fingerprint == data.fingerprint


def test_tiny_imagenet_layout(tmp_path: Path) -> None:
    for number, image in enumerate(noise(4)):
        file = tmp_path / "train" / f"n0{number % 2}" / "images" / f"{number}.JPEG"
        write(file, image[:1] if number == 3 else image, "JPEG")
        write(tmp_path / "val" / "images" / f"val_{number}.JPEG", image, "JPEG")
    lines = [f"val_{number}.JPEG\tn0{number % 2}\t0\t0\t9\t9\n" for number in range(4)]
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(lines))
    write(tmp_path / "test" / "images" / "test_0.JPEG", noise(1)[0], "JPEG")
    data = load(f"folder:{tmp_path}")
    assert data.shape == (3, 6, 5)
    assert data.train_labels.tolist() == [0, 0, 1, 1]
    assert data.test_labels.tolist() == [0, 1, 0, 1]
    assert (data.train_images[3, 0] == data.train_images[3, 2]).all()


@pytest.mark.parametrize(
    ("content", "message"), [("", "is empty"), ("val_0.JPEG n00\n", "line 1: expected image")]
)
def test_bad_annotations(tree: Path, content: str, message: str) -> None:
    (tree / "val").mkdir()
    (tree / "val" / "val_annotations.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        load(f"folder:{tree}")


def test_annotated_image_that_is_not_there(tree: Path) -> None:
    (tree / "val").mkdir()
    (tree / "val" / "val_annotations.txt").write_text("gone.JPEG\ta\n")
    with pytest.raises(DataError, match=r"cannot read .*gone.JPEG: No such file"):
        load(f"folder:{tree}")


def test_missing_and_empty_folders(tree: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere/train\n.*train/CLASS"):
        load("folder:nowhere", tree)
    (tree / "train" / "empty").mkdir()
    with pytest.raises(DataError, match=r"class folder .*empty holds no image"):
        load(f"folder:{tree}")
    (tree / "train" / "empty").rmdir()
    (tree / "test").rename(tree / "elsewhere")
    with pytest.raises(DataError, match=r"no folder .*test"):
        load(f"folder:{tree}")
    (tree / "test").mkdir()
    with pytest.raises(DataError, match="test holds no class folders"):
        load(f"folder:{tree}")


def test_test_class_without_training_images(tree: Path) -> None:
    (tree / "test" / "b").rename(tree / "test" / "c")
    with pytest.raises(DataError, match="test classes without training images: c"):
        load(f"folder:{tree}")


@pytest.mark.parametrize("part", ["train", "test"])
def test_broken_image(tree: Path, part: str) -> None:
    file = tree / part / "b" / "3.PNG"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=rf"{part}/b/3.PNG cannot be decoded"):
        load(f"folder:{tree}")


@pytest.mark.parametrize("side", [4500, 10400])
def test_an_image_of_many_megapixels_is_refused_by_its_header(tree: Path, side: int) -> None:
    """Of 20, and of 108, of which Pillow warns too: warnings are errors here."""
    write(tree / "train" / "a" / "huge.png", np.zeros((1, side, side), np.uint8))
    says = (
        rf"huge\.png cannot be decoded: (it has {side} x {side} pixels; resize|Image size .* exceeds limit)"
    )
    with pytest.raises(DataError, match=says):
        load(f"folder:{tree}")


def test_a_pipe_is_not_waited_for_and_an_endless_file_not_read(tree: Path) -> None:
    file = tree / "train" / "a" / "pipe.png"
    os.mkfifo(file)
    with pytest.raises(DataError, match=r"pipe\.png: it is no regular file"):
        load(f"folder:{tree}")
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"pipe\.png: it is no regular file"):
        load(f"folder:{tree}")


def test_binary_annotations(tree: Path) -> None:
    (tree / "val").mkdir()
    (tree / "val" / "val_annotations.txt").write_bytes(b"\xff\xfe\0")
    with pytest.raises(DataError, match=r"val_annotations\.txt is no text"):
        load(f"folder:{tree}")


def test_a_class_whose_name_is_not_utf_8(tree: Path) -> None:
    (tree / "train" / "\udcff").mkdir()
    with pytest.raises(DataError, match="is not UTF-8"):
        load(f"folder:{tree}")


def test_train_and_test_of_different_size(tree: Path) -> None:
    for number in range(6):
        kind = ("PNG", "BMP", "WEBP")[number % 3]
        write(tree / "test" / "ab"[number // 3] / f"{number}.{kind}", noise(1, (3, 9, 9))[0], kind)
    with pytest.raises(DataError, match=r"training images are \(3, 6, 5\), test images \(3, 9, 9\)"):
        load(f"folder:{tree}")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_modes_that_need_a_decision(tree: Path, mode: str) -> None:
    file = tree / "train" / "a" / "0.PNG"
    if mode == "I;16":
        Image.fromarray(np.zeros((6, 5), np.uint16)).save(file)
    elif mode == "P":
        Image.new("P", (5, 6)).save(file, transparency=b"\x00\x10")
    else:
        Image.new(mode, (5, 6)).save(file)
    with pytest.raises(DataError, match=f"0.PNG has image mode {mode}"):
        load(f"folder:{tree}")
    for name, channels in (("grey", 1), ("rgb", 3)):  # the same word in every command, and in Python
        assert load(f"folder:{tree}@{name}").shape == (channels, 6, 5)


def test_palette_images_are_read_in_colour(tree: Path) -> None:
    file, image = tree / "train" / "a" / "0.PNG", noise(1)[0]
    palette = Image.fromarray(image.transpose(1, 2, 0)).quantize(256)
    palette.save(file)
    assert np.array_equal(
        load(f"folder:{tree}").train_images[0].numpy(), np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    )
