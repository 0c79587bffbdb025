"""Hugging Face style parquet files: encoded images in a struct column, integer labels in another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from . import cache
from .arrays import TEST, TRAIN, Arrays
from .decoding import decode

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class")
SHARD = re.compile(r"-(\d+)-of-(\d+)(-[0-9a-f]+)?$")  # the Hub's older files have a hash behind their number
BATCH = 256  # rows unpacked at a time
MOST_UNPACKED, LEAST_UNPACKED = 100, 2**28  # times the file's bytes, or bytes: what it may unpack to


def found_in(path: Path) -> bool:
    """Whether ``path`` is a folder with training files of this format."""
    return bool(_files(path, TRAIN))


def read(name: str, path: Path, mode: str | None, test: bool) -> Arrays:
    """Read ``train*.parquet`` and ``test*.parquet`` (or ``val*.parquet``) in ``path`` or ``path/data``.

    The names of the parts are those of :mod:`.arrays`. A clone of a data set of the Hub that has its files in
    ``path/CONFIGURATION`` is read where it has one configuration.

    Raises
    ------
    DataError
        If files are missing or damaged, or columns, labels or images are not of the expected form.
    """
    path = _configuration(name, path)
    train, tested = _files(path, TRAIN), _files(path, TEST)
    if not train:
        raise DataError(f"{name}: no train*.parquet in {path}", "check the path, or set DREAMLIB_DATA")
    if not tested and test:
        raise DataError(
            f"{name}: no test*.parquet or val*.parquet in {path}",
            f"{name}@holdout, which tests on a tenth of the training images",
        )
    for files in (train, tested):
        _check_shards(name, files)
    settings = f"mode={mode} tested={bool(tested)}"
    return cache.through(name, train + tested, settings, lambda: _decode(train, tested, mode))


def _configuration(name: str, path: Path) -> Path:
    """``path``, or its only folder with training files where it has none itself."""
    if found_in(path) or not path.is_dir():
        return path
    inner = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".") and found_in(p))
    if len(inner) > 1:
        configurations = ", ".join(p.name for p in inner)
        raise DataError(
            f"{name}: {path} holds several data sets: {configurations}", f"{name}/{inner[0].name}"
        )
    return inner[0] if inner else path


def _files(path: Path, names: tuple[str, ...]) -> list[Path]:
    """The files of the first part of these names that has any, in ``path`` or else in ``path/data``."""
    for folder in (path, path / "data"):
        files = sorted(p for p in folder.glob("*.parquet") if not p.name.startswith("."))
        # The first name that has any file: a set with "train" and "training" is not read twice.
        for name in names:
            # "train-00000-of-00002" is of "train": what stands before anything that is no letter.
            if found := [p for p in files if re.split(r"[^a-z]", p.stem.lower())[0] == name]:
                return found
    return []


def _check_shards(name: str, files: list[Path]) -> None:
    """Files called ``train-00000-of-00002`` say how many they should be: half a set, or two, must not pass for one."""
    found: dict[
        tuple[str, str], set[int]
    ] = {}  # numbers by (what stands around them, how many there should be)
    for file in files:
        match = SHARD.search(file.stem)
        around = file.stem[: match.start()] if match else file.stem
        # A hash identifies the shard, not the set: only the number says which shard it is.
        found.setdefault((around, match[2] if match else ""), set()).add(int(match[1]) if match else 0)
    for (_, total), numbers in found.items():
        if total and (len(numbers) != int(total) or max(numbers) >= int(total)):
            like = next(file.name for file in files if f"-of-{total}" in file.name)
            raise DataError(
                f"{name}: {len(numbers)} of {int(total)} shards like {like} in {files[0].parent}",
                "download the others too",
            )
    if len(files) != sum(map(len, found.values())) or (len(found) > 1 and any(total for _, total in found)):
        listed = ", ".join(file.name for file in files[:6])
        raise DataError(
            f"{name}: files of several versions of one part lie in {files[0].parent}: {listed}",
            "keep the files of one version only",
        )


def _decode(train: list[Path], test: list[Path], mode: str | None) -> Arrays:
    train_images, train_labels, train_classes = whole = _part(train, mode)
    test_images, test_labels, test_classes = _part(test, mode) if test else whole
    if train_classes != test_classes:
        raise DataError(
            f"{train[0].parent}: training classes {train_classes} are not test classes {test_classes}"
        )
    # Without names the number of classes follows from the labels, so a wild label must not decide it.
    highest = max(int(train_labels.max()), int(test_labels.max()))
    if not train_classes and highest >= len(
        train_labels
    ):  # each class needs an image, and their names take memory
        raise DataError(
            f"{train[0].parent}: label {highest}, but {len(train_labels)} training images; expected labels from 0 to "
            "the number of classes - 1, each with a training image",
            "number the classes 0, 1, 2, ...",
        )
    classes = train_classes or tuple(map(str, range(highest + 1)))
    return Arrays(train_images, train_labels, test_images, test_labels, classes)


def labelled(file: Path, mode: str | None = None) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images, labels and class names of a single file; the classes are numbers where it has no names."""
    images, labels, classes = _part([file], mode)
    return images, labels, classes or tuple(map(str, range(int(labels.max()) + 1)))


def numbers(file: Path, name: str) -> np.ndarray | None:
    """A column of equally long lists of numbers, (rows, length) float32; None where the file has none of this name.

    Raises
    ------
    DataError
        If it holds something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            if name not in opened.schema_arrow.names:
                return None
            lists = _unpacked(file, opened, [name])[name]
        found = np.array(lists.to_pylist(), dtype=np.float32)
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        raise DataError(
            f"{file}: {name} is no column of lists of numbers: {error}", "as many in each row"
        ) from error
    if found.ndim != 2:
        raise DataError(
            f"{file}: {name} is {found.shape}, expected a list in each row", "as many in each row"
        )
    return found


def _part(files: list[Path], mode: str | None) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images, labels and class names (none if the schema has none) of the files of one part."""
    tables = [_table(file) for file in files]
    encoded = [blob for blobs, _, _ in tables for blob in blobs]
    rows = [
        f"{file}, row {i}"
        for file, (blobs, _, _) in zip(files, tables, strict=True)
        for i in range(len(blobs))
    ]
    if not encoded:
        raise DataError(f"{files[0]} holds no rows")
    images = decode(len(encoded), encoded.__getitem__, rows.__getitem__, mode)
    return images, np.concatenate([labels for _, labels, _ in tables]), tables[0][2]


def _table(file: Path) -> tuple[list[Any], np.ndarray, tuple[str, ...]]:
    """Encoded images, labels and class names of one file."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        if not file.is_file():  # reading a pipe would wait for ever
            raise DataError(f"{file} is no regular file", "replace it by a copy")
        with pq.ParquetFile(file) as opened:
            schema = opened.schema_arrow
            image, label = _columns(file, schema)
            table = _unpacked(file, opened, [image, label])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as parquet: {error}", "copy the file again") from error
    encoded, labels = pc.struct_field(table[image], "bytes"), table[label]
    for column, values in ((f"{image}.bytes", encoded), (label, labels)):
        if values.null_count:
            raise DataError(f"{file}: {values.null_count} of {len(values)} rows have no {column}")
    return encoded.to_pylist(), labels.to_numpy().astype(np.int64), _class_names(schema, label)


def _unpacked(file: Path, opened: Any, columns: list[str]) -> Any:
    """The columns as a table, read in small batches: a small compressed file may unpack to more than the memory."""
    import pyarrow as pa

    most = max(LEAST_UNPACKED, MOST_UNPACKED * file.stat().st_size)
    groups = (opened.metadata.row_group(i) for i in range(opened.num_row_groups))
    # What the file says of itself comes first: a bomb that admits its size is refused before a byte is unpacked.
    declared = sum(group.total_byte_size for group in groups)
    batches, size = [], declared
    if declared <= most:
        size = 0
        # What is really unpacked is counted too: a file may say less of itself.
        for batch in opened.iter_batches(BATCH, columns=columns):
            batches.append(batch)
            size += batch.nbytes
            if size > most:
                break
    if size > most:
        raise DataError(
            f"{file} of {file.stat().st_size:,} bytes unpacks to {size:,} or more; expected encoded images, which do "
            "not shrink further",
            "store PNG or JPEG bytes",
        )
    return pa.Table.from_batches(batches, pa.schema([opened.schema_arrow.field(name) for name in columns]))


def _columns(file: Path, schema: Any) -> tuple[str, str]:
    """The names of the image and the label column, found by type, then by name."""
    from pyarrow import types

    images = [f.name for f in schema if types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    labels = [f.name for f in schema if types.is_integer(f.type)]
    return (
        _one(file, "image column (a struct with bytes)", images, IMAGE_COLUMNS, schema),
        _one(file, "integer label column", labels, LABEL_COLUMNS, schema),
    )


def _one(file: Path, what: str, found: list[str], preferred: tuple[str, ...], schema: Any) -> str:
    # A usual name wins; without one, a single column of the right type will do. Two are an error, not a guess.
    chosen = [name for name in preferred if name in found] or found
    if chosen and (len(chosen) == 1 or chosen[0] in preferred):
        return chosen[0]
    if found:
        raise DataError(f"{file}: more than one {what}: {', '.join(found)}", f"call it {preferred[0]!r}")
    problem = f"{file}: no {what} among {', '.join(schema.names)}"
    named = next((name for name in preferred if name in schema.names), None)
    if named is None:
        raise DataError(problem, f"call it {preferred[0]!r}")
    raise DataError(f"{problem}: {named} holds {schema.field(named).type}", f"write {named} as {what}")


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """The names a Hugging Face ClassLabel carries in the schema's metadata; empty if there are none."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (TypeError, KeyError, ValueError, RecursionError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
