"""Data as strangers have them: layouts and files that public reports tell of, each read right or refused by name."""

from __future__ import annotations

import gzip
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_files import encoded, noise
from PIL import Image

from dreamlib.core.errors import DataError
from dreamlib.data import load

Write = Callable[..., Path]


def folder_of(path: Path, parts: tuple[str, ...] = ("train", "test"), classes: str = "ab") -> Path:
    """Three colour images of each class and part."""
    for seed, part in enumerate(parts):
        images = iter(noise(3 * len(classes), (3, 8, 8), seed))
        for word in classes:
            for number in range(3):
                file = path / part / word / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(encoded(next(images)))
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "own")


# Folders


@pytest.mark.parametrize("left", [".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX"])
@pytest.mark.parametrize("where", ["train", "train/a"])
def test_what_other_programs_leave_behind_is_no_image_and_no_class(own: Path, left: str, where: str) -> None:
    (own / where / left).mkdir()
    shutil.copy(own / "test/b/0.png", own / where / left / "0.png")
    data = load(f"folder:{own}")
    assert (len(data.train_labels), data.classes) == (6, ("a", "b"))


def test_only_a_training_part_and_a_tenth_of_it_held_out(own: Path) -> None:
    shutil.rmtree(own / "test")
    data = load(f"folder:{own}@holdout")
    assert (len(data.test_labels), len(data.train_labels)) == (1, 5)  # round(0.1 * 6) of 6
    with pytest.raises(DataError, match=r"no folder .*test (.|\n)*@holdout"):
        load(f"folder:{own}")
    with pytest.raises(
        DataError, match=r"no folder .*test"
    ):  # classes of a sequence are tested on the parent's images
        load(f"folder:{own}@2steps-order0-step1")


@pytest.mark.parametrize("name", ["dev", "test", "testing", "val", "valid", "validation", "Test", "VAL"])
def test_names_of_the_test_part_of_a_folder(tmp_path: Path, name: str) -> None:
    data = load(f"folder:{folder_of(tmp_path, ('train', name))}")
    assert len(data.test_labels) == 6


@pytest.mark.parametrize("notes", [False, True])
def test_tinyimagenet_that_was_sorted_into_classes(tmp_path: Path, notes: bool) -> None:
    own = folder_of(tmp_path, ("train", "val"))
    (own / "test/images").mkdir(parents=True)  # the test images have no labels
    shutil.copy(own / "val/a/0.png", own / "test/images/0.png")
    if notes:
        (own / "val/val_annotations.txt").write_text("0.png\ta\t0\t0\t1\t1\n")
        (own / "val/images").mkdir()  # empty, once all have been moved
    data = load(f"folder:{own}")
    assert data.test_labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_annotations_that_are_no_text(tmp_path: Path) -> None:
    own = folder_of(tmp_path, ("train", "val"))
    (own / "val/images").mkdir()
    shutil.copy(own / "val/a/0.png", own / "val/images/0.png")
    (own / "val/val_annotations.txt").write_bytes(b"\xff\xfe0\x00")
    with pytest.raises(DataError, match=r"val_annotations.txt is no text"):
        load(f"folder:{own}")


@pytest.mark.parametrize("kind", ["ppm", "tif", "tiff", "jfif"])
def test_every_kind_of_image_that_is_read_is_counted(own: Path, kind: str) -> None:
    format_ = {"ppm": "PPM", "jfif": "JPEG"}.get(kind, "TIFF")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(own / f"train/a/9.{kind}", format_)
    assert len(load(f"folder:{own}").train_labels) == 7


@pytest.mark.parametrize("kind", [".avif", ".gif", ".heic", ".jp2"])
def test_an_image_of_another_kind_is_never_left_out_in_silence(own: Path, kind: str) -> None:
    (own / f"train/a/9{kind}").write_bytes(b"?")
    with pytest.raises(DataError, match=rf"9{kind} is an image of a kind that is not read(.|\n)*convert it"):
        load(f"folder:{own}")


def test_an_image_that_lies_in_no_class_folder(own: Path) -> None:
    shutil.copy(own / "train/a/0.png", own / "train/stray.png")
    with pytest.raises(DataError, match=r"stray.png lies in no class folder"):
        load(f"folder:{own}")


def test_a_folder_whose_name_ends_in_rgb(tmp_path: Path) -> None:
    own = folder_of(tmp_path / "scans@rgb")
    file = own / "train/a/0.png"
    Image.open(file).convert("L").save(file)
    with pytest.raises(DataError, match="grey"):  # the folder of that very name, and nothing converted
        load(f"folder:{own}")
    assert load(f"folder:{own}@rgb").shape == (3, 8, 8)


# Images


def test_one_grey_image_among_colour_ones(own: Path) -> None:
    file = own / "train/a/0.png"
    Image.open(file).convert("L").save(file)
    with pytest.raises(DataError, match=r"all must be alike\n  try: @rgb behind the name"):
        load(f"folder:{own}")
    assert load(f"folder:{own}@rgb").shape == (3, 8, 8)
    assert load(f"folder:{own}@grey").shape == (1, 8, 8)


@pytest.mark.parametrize("value", [0, 255, 256, 4000, 65535])
def test_of_sixteen_bits_the_upper_eight_are_read(own: Path, value: int) -> None:
    file = own / "train/a/0.png"
    Image.fromarray(np.full((8, 8), value, np.uint16)).save(file)
    with pytest.raises(DataError, match=r"has image mode I;16(.|\n)*@grey reads all in grey"):
        load(f"folder:{own}")
    assert (load(f"folder:{own}@grey").train_images[0] == value // 256).all()


def test_a_photograph_is_turned_as_the_camera_noted(own: Path) -> None:
    file, wide = own / "train/a/0.png", np.zeros((8, 8), np.uint8)
    wide[0] = 200  # the first row
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees, clockwise, to be seen upright
    Image.fromarray(wide).save(file.with_suffix(".jpg"), quality=100, exif=exif)
    file.unlink()
    seen = load(f"folder:{own}@grey").train_images[0, 0]
    assert (seen[:, -1] > 190).all()
    assert (seen[:, :-1] < 10).all()


def test_a_file_with_several_images(own: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), shade, np.uint8)) for shade in (0, 90)]
    frames[0].save(own / "train/a/9.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"9.tif holds 2 images; expected one"):
        load(f"folder:{own}")


# Parquet


def hashed(number: int, of: int, mark: str) -> str:
    """The name that older versions of ``datasets`` gave a shard: every shard has a hash of its own."""
    return f"train-{number:05}-of-{of:05}-{mark * 16}.parquet"


def test_shards_with_a_hash_in_their_names(tmp_path: Path, write_parquet: Write) -> None:
    write_parquet(tmp_path / "test-00000-of-00001-fedcba9876543210.parquet", noise(2), [0, 1])
    write_parquet(tmp_path / hashed(0, 2, "a"), noise(2), [0, 1])
    with pytest.raises(DataError, match=r"1 of 2 shards like train-00000-of-00002-aaaaaaaaaaaaaaaa.parquet"):
        load(f"parquet:{tmp_path}")
    write_parquet(tmp_path / hashed(1, 2, "b"), noise(2), [0, 1])
    assert len(load(f"parquet:{tmp_path}").train_labels) == 4


@pytest.mark.parametrize(
    "other", ["train-00000-of-00001.parquet", "train.parquet", hashed(0, 1, "a"), hashed(0, 2, "c")]
)
def test_two_generations_of_shards_beside_each_other(
    tmp_path: Path, write_parquet: Write, other: str
) -> None:
    write_parquet(tmp_path / "test.parquet", noise(2), [0, 1])
    for name in (hashed(0, 2, "a"), hashed(1, 2, "b"), other):
        write_parquet(tmp_path / name, noise(2), [0, 1])
    with pytest.raises(DataError, match="files of several versions of one part") as refused:
        load(f"parquet:{tmp_path}")
    assert other in str(refused.value)


def test_a_number_of_shards_that_cannot_be_counted_up(tmp_path: Path, write_parquet: Write) -> None:
    write_parquet(tmp_path / "test.parquet", noise(2), [0, 1])
    write_parquet(tmp_path / "train-00000-of-99999999999999.parquet", noise(2), [0, 1])
    with pytest.raises(DataError, match="1 of 99999999999999 shards"):
        load(f"parquet:{tmp_path}")


@pytest.mark.parametrize("name", ["dev", "test", "testing", "val", "valid", "validation"])
def test_names_of_the_test_part_of_parquet_files(tmp_path: Path, write_parquet: Write, name: str) -> None:
    for part in ("train", name):
        write_parquet(tmp_path / f"{part}-00000-of-00001.parquet", noise(2), [0, 1])
    assert len(load(f"parquet:{tmp_path}").test_labels) == 2


def test_a_clone_of_the_hub_with_its_configuration(tmp_path: Path, write_parquet: Write) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path / f"plain_text/{part}-00000-of-00001.parquet", noise(2), [0, 1])
    assert len(load(f"parquet:{tmp_path}").train_labels) == 2
    write_parquet(tmp_path / "other/train.parquet", noise(2), [0, 1])
    with pytest.raises(DataError, match=r"several data sets: other, plain_text\n  try: parquet:.*/other"):
        load(f"parquet:{tmp_path}")


def test_parquet_with_only_a_training_part(tmp_path: Path, write_parquet: Write) -> None:
    write_parquet(tmp_path / "train.parquet", noise(20), np.arange(20) % 2)
    assert len(load(f"parquet:{tmp_path}@holdout").test_labels) == 2
    with pytest.raises(DataError, match=r"no test\*.parquet(.|\n)*@holdout"):
        load(f"parquet:{tmp_path}")


def test_a_test_part_whose_labels_are_kept_secret(tmp_path: Path, write_parquet: Write) -> None:
    write_parquet(tmp_path / "train.parquet", noise(20), np.arange(20) % 2)
    write_parquet(tmp_path / "test.parquet", noise(2), [-1, -1])  # as on the Hub: huggingface/datasets#5624
    with pytest.raises(DataError, match=r"test label -1 is outside(.|\n)*@holdout"):
        load(f"parquet:{tmp_path}")
    assert len(load(f"parquet:{tmp_path}@holdout").test_labels) == 2


def test_labels_as_pandas_keeps_categories(tmp_path: Path, write_parquet: Write) -> None:
    for part in ("train", "test"):
        file = write_parquet(tmp_path / f"{part}.parquet", noise(2), [0, 1])
        table = pq.read_table(file)
        pq.write_table(table.set_column(1, "label", pa.array(["a", "b"]).dictionary_encode()), file)
    with pytest.raises(DataError, match=r"label holds dictionary<(.|\n)*write label as integer"):
        load(f"parquet:{tmp_path}")


def test_what_a_macintosh_writes_beside_every_image_on_other_disks(own: Path) -> None:
    (own / "train/a/._0.png").write_bytes(b"\0\5\x16\7" + bytes(4000))  # AppleDouble: no image
    (own / "train/a/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert len(load(f"folder:{own}").train_labels) == 6


# Pillow raises struct.error, SyntaxError and OSError for these.
@pytest.mark.parametrize("kept", [8, 20, 41, 60])
def test_a_png_that_ends_early(own: Path, kept: int) -> None:
    file = own / "train/a/0.png"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"a/0.png cannot be decoded"):
        load(f"folder:{own}")


# MNIST as browsers and Kaggle leave it: pytorch/vision#451, #3554


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_mnist_packed_or_with_other_names_needs_no_network(
    tmp_path: Path, dotted: bool, packed: bool
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images, labels = noise(20, (1, 28, 28)), np.arange(20, dtype=np.uint8) % 10
    for part in ("train", "t10k"):
        for kind, head, body in (
            ("images-idx3", struct.pack(">iiii", 2051, 20, 28, 28), images),
            ("labels-idx1", struct.pack(">ii", 2049, 20), labels),
        ):
            content = head + body.tobytes()
            stem = f"{part}-{kind.replace('-', '.') if dotted else kind}-ubyte"
            (raw / f"{stem}{'.gz' * packed}").write_bytes(gzip.compress(content) if packed else content)
    data = load("mnist", tmp_path, download=False)
    assert np.array_equal(data.train_images.numpy(), images)
    assert data.test_labels.tolist() == labels.tolist()
    assert data.classes == tuple("0123456789")
    damaged = next(iter(sorted(raw.iterdir())))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(DataError, match="incomplete or damaged"):
        load("mnist", tmp_path, download=False)
