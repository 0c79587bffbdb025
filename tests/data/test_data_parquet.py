from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_files import encoded, noise

from dreamlib.core.errors import DataError
from dreamlib.data import load, statistics
from dreamlib.data.normalisation import measured

Write = Callable[..., Path]


def test_shards_are_read_in_order_bit_for_bit(tmp_path: Path, write_parquet: Write) -> None:
    train, test, names = noise(300), noise(4, seed=1), ["cat", "dog"]
    write_parquet(tmp_path / "train-00000-of-00002.parquet", train[:290], np.arange(290) % 2, classes=names)
    write_parquet(tmp_path / "train-00001-of-00002.parquet", train[290:], np.arange(10) % 2, classes=names)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", test, [0, 1, 1, 0], classes=names)
    data = load(f"parquet:{tmp_path}")
    assert np.array_equal(data.train_images.numpy(), train)
    assert np.array_equal(data.test_images.numpy(), test)
    assert data.test_labels.tolist() == [0, 1, 1, 0]
    assert data.classes == ("cat", "dog")
    assert data.shape == (3, 6, 5)
    assert data.normalisation == measured(data.train_images)


def test_built_in_name_prefers_parquet_and_published_statistics(tmp_path: Path, write_parquet: Write) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path / "cifar10" / f"{part}-00000-of-00001.parquet", noise(4), [0, 1, 0, 1])
    data = load("cifar10", tmp_path, download=False)
    assert data.normalisation == statistics("cifar10")
    assert data.classes == ("0", "1")


def test_other_column_names_data_folder_and_validation(tmp_path: Path, write_parquet: Write) -> None:
    for part in ("train", "validation"):
        file = tmp_path / "sub" / "data" / f"{part}.parquet"
        write_parquet(
            file, noise(4), [1, 0, 1, 0], image="picture", label="fine_label", extra={"coarse": [0, 0, 0, 0]}
        )
    assert load("parquet:sub", tmp_path).train_labels.tolist() == [1, 0, 1, 0]


def test_grey_images(tmp_path: Path, write_parquet: Write) -> None:
    grey = noise(4, (1, 5, 5))
    for part in ("train", "test"):
        write_parquet(tmp_path / f"{part}.parquet", [encoded(i) for i in grey], [0, 1, 0, 1])
    assert np.array_equal(load(f"parquet:{tmp_path}").train_images.numpy(), grey)
    assert load(f"parquet:{tmp_path}", mode="RGB").shape == (3, 5, 5)


def test_missing_parts(tmp_path: Path, write_parquet: Write) -> None:
    with pytest.raises(DataError, match=r"parquet:nowhere: no train\*.parquet in .*nowhere"):
        load("parquet:nowhere", tmp_path)
    write_parquet(tmp_path / "train.parquet", noise(2), [0, 1])
    with pytest.raises(DataError, match=r"no test\*.parquet or val\*.parquet"):
        load(f"parquet:{tmp_path}")


def test_missing_shard(tmp_path: Path, write_parquet: Write) -> None:
    write_parquet(tmp_path / "train-00001-of-00003.parquet", noise(2), [0, 1])
    write_parquet(tmp_path / "test.parquet", noise(2), [0, 1])
    with pytest.raises(DataError, match="1 of 3 shards like train-00001-of-00003"):
        load(f"parquet:{tmp_path}")


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.98])
def test_truncated_file(tmp_path: Path, write_parquet: Write, keep: float) -> None:
    write_parquet(tmp_path / "test.parquet", noise(2), [0, 1])
    file = write_parquet(tmp_path / "train.parquet", noise(20), np.arange(20) % 2)
    raw = file.read_bytes()
    file.write_bytes(raw[: int(keep if keep >= 1 else keep * len(raw))])
    with pytest.raises(DataError, match=r"train.parquet cannot be read as parquet"):
        load(f"parquet:{tmp_path}")


def bad_labels(write: Write, file: Path) -> None:
    write(file, noise(2), [0, None])


def no_bytes(write: Write, file: Path) -> None:
    write(file, [encoded(noise(1)[0]), None], [0, 1])


def broken_image(write: Write, file: Path) -> None:
    write(file, [encoded(noise(1)[0]), encoded(noise(1)[0])[:60]], [0, 1])


def not_an_image(write: Write, file: Path) -> None:
    write(file, [encoded(noise(1)[0]), b"GIF89a, or so it says"], [0, 1])


def two_sizes(write: Write, file: Path) -> None:
    write(file, [encoded(noise(1)[0]), encoded(noise(1, (3, 6, 6))[0])], [0, 1])


def two_modes(write: Write, file: Path) -> None:
    write(file, [encoded(noise(1)[0]), encoded(noise(1, (1, 6, 5))[0])], [0, 1])


def no_rows(write: Write, file: Path) -> None:
    write(file, [], [])


def other_names(write: Write, file: Path) -> None:
    write(file, noise(2), [0, 1], classes=["dog", "cat"])


def label_beyond_names(write: Write, file: Path) -> None:
    write(file, noise(2), [0, 2], classes=["cat", "dog"])


def no_image_column(write: Write, file: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": [0]}), file)


def no_label_column(write: Write, file: Path) -> None:
    write(file, noise(2), [0, 1], label="word")
    table = pq.read_table(file)
    pq.write_table(table.set_column(1, "word", pa.array(["a", "b"])), file)


def labels_are_text(write: Write, file: Path) -> None:
    write(file, noise(2), [0, 1])
    table = pq.read_table(file)
    pq.write_table(table.set_column(1, "label", pa.array(["cat", "dog"])), file)


def two_label_columns(write: Write, file: Path) -> None:
    write(file, noise(2), [0, 1], label="one", extra={"two": [0, 1]})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (bad_labels, "1 of 2 rows have no label"),
        (no_bytes, "1 of 2 rows have no img.bytes"),
        (broken_image, r"train.parquet, row 1 cannot be decoded"),
        (not_an_image, r"train.parquet, row 1 cannot be decoded"),
        (two_sizes, r"row 1 is 6x6 RGB, but .*row 0 is 6x5 RGB"),
        (two_modes, r"row 1 is 6x5 grey, but .*row 0 is 6x5 RGB(.|\n)*@rgb behind the name"),
        (no_rows, "holds no rows"),
        (other_names, r"\('dog', 'cat'\) are not test classes \('cat', 'dog'\)"),
        (label_beyond_names, "train label 2 is outside 0 to 1"),
        (no_image_column, "no image column .* among text, label"),
        (no_label_column, "no integer label column among img, word"),
        (labels_are_text, r"label holds string(.|\n)*write label as integer label column"),
        (two_label_columns, "more than one integer label column: one, two(.|\n)*call it 'label'"),
    ],
)
def test_damage(
    tmp_path: Path, write_parquet: Write, spoil: Callable[[Write, Path], None], message: str
) -> None:
    write_parquet(tmp_path / "test.parquet", noise(2), [0, 1], classes=["cat", "dog"])
    spoil(write_parquet, tmp_path / "train.parquet")
    with pytest.raises(DataError, match=message):
        load(f"parquet:{tmp_path}")


@pytest.mark.parametrize("label", [10**12, 6])
def test_a_label_beyond_the_number_of_images_names_no_classes(
    tmp_path: Path, write_parquet: Write, label: int
) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path / f"{part}.parquet", noise(6), [0, 1, 2, 3, 4, label])
    with pytest.raises(DataError, match=f"label {label}, but 6 training images; expected labels from 0"):
        load(f"parquet:{tmp_path}")


@pytest.mark.parametrize("dictionary", [False, True])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, dictionary: bool) -> None:
    """Without a dictionary the file says how large it gets, with one it does not: the same value again and again."""
    table = pa.table({"image": [{"bytes": bytes(10**6)}] * 300, "label": [0] * 300})
    for part in ("train", "test"):
        pq.write_table(
            table,
            tmp_path / f"{part}.parquet",
            compression="zstd",
            use_dictionary=dictionary,
            row_group_size=100,
        )
    assert (tmp_path / "train.parquet").stat().st_size < 500_000
    with pytest.raises(
        DataError, match=r"train.parquet of [\d,]+ bytes unpacks to \d\d\d,\d\d\d,\d\d\d or more"
    ):
        load(f"parquet:{tmp_path}")
