"""Small data sets on disk, in every layout the readers know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from data_files import encoded, noise

from dreamlib.data import Dataset, Normalisation


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, a cache of its own, and nobody's data folder."""
    torch.set_num_threads(1)
    monkeypatch.setenv("DREAMLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DREAMLIB_DATA", raising=False)


@pytest.fixture
def write_parquet() -> Callable[..., Path]:
    def write(
        file: Path,
        images: np.ndarray | list[bytes | None],
        labels: np.ndarray | list[int | None],
        *,
        image: str = "img",
        label: str = "label",
        classes: list[str] | None = None,
        extra: dict[str, list[int]] | None = None,
    ) -> Path:
        blobs = [encoded(i, "WEBP") if isinstance(i, np.ndarray) else i for i in images]
        struct = pa.array(
            [{"bytes": b, "path": None} for b in blobs],
            pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        )
        table = pa.table({image: struct, label: pa.array(list(labels), pa.int64()), **(extra or {})})
        if classes:
            features = {image: {"_type": "Image"}, label: {"names": classes, "_type": "ClassLabel"}}
            table = table.replace_schema_metadata(
                {"huggingface": json.dumps({"info": {"features": features}})}
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file)
        return file

    return write


@pytest.fixture
def make() -> Callable[..., Dataset]:
    """A random data set whose training classes have the given sizes, in shuffled order."""

    def build(sizes: list[int], shape: tuple[int, int, int] = (3, 4, 5), seed: int = 0) -> Dataset:
        labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
        normalisation = Normalisation("own", (0.4, 0.5, 0.6)[: shape[0]], (0.2, 0.25, 0.3)[: shape[0]])
        return Dataset(
            name="noise",
            train_images=torch.from_numpy(noise(len(labels), shape, seed)),
            train_labels=torch.from_numpy(labels),
            test_images=torch.from_numpy(noise(3, shape, seed + 1)),
            test_labels=torch.tensor([0, 1, 0]),
            classes=tuple(f"class{i}" for i in range(len(sizes))),
            normalisation=normalisation,
        )

    return build
