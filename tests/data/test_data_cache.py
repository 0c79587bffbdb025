from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import noise

from dreamlib.data import cache, decoding, load
from dreamlib.data.arrays import Arrays

Write = Callable[..., Path]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of all images decoded so far."""
    calls: list[str] = []
    plain = decoding.pixels

    def counted(raw: bytes, label: str, mode: str | None) -> np.ndarray:
        calls.append(label)
        return plain(raw, label, mode)

    monkeypatch.setattr(decoding, "pixels", counted)
    return calls


@pytest.fixture
def source(tmp_path: Path, write_parquet: Write) -> str:
    write_parquet(tmp_path / "set" / "train.parquet", noise(6), [0, 1] * 3, classes=["cat", "dög"])
    write_parquet(tmp_path / "set" / "test.parquet", noise(2, seed=1), [0, 1], classes=["cat", "dög"])
    return f"parquet:{tmp_path / 'set'}"


def cached() -> Path:
    (file,) = cache.folder().iterdir()
    return file


def test_second_load_decodes_nothing(source: str, decoded: list[str]) -> None:
    first = load(source)
    assert decoded
    decoded.clear()
    second = load(source)
    assert not decoded
    assert second.fingerprint == first.fingerprint
    assert second.classes == ("cat", "dög")


def test_cached_tensors_can_be_written_without_touching_the_cache(source: str) -> None:
    first = load(source).fingerprint
    again = load(source)
    again.train_images.zero_()
    again.train_labels.add_(1)
    assert load(source).fingerprint == first


def test_nothing_is_left_or_written_beside_the_data(source: str, tmp_path: Path) -> None:
    load(source)
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == ["test.parquet", "train.parquet"]
    assert cached().suffix == ".safetensors"


def test_changed_data_or_mode_decode_again(source: str, decoded: list[str], tmp_path: Path) -> None:
    load(source)
    decoded.clear()
    load(source, mode="L")
    assert decoded
    decoded.clear()
    os.utime(tmp_path / "set" / "test.parquet", (1, 1))
    load(source)
    assert decoded


def places(raw: bytes) -> list[int]:
    """Places to damage: in the header, in each array, and at the end."""
    return [3, 40, raw.index(b"__metadata__") + 20, len(raw) // 2, len(raw) - 64]


@pytest.mark.parametrize("place", range(5))
def test_a_flipped_bit_is_seen_and_repaired(source: str, decoded: list[str], place: int) -> None:
    first = load(source).fingerprint
    raw = bytearray(cached().read_bytes())
    raw[places(bytes(raw))[place]] ^= 1
    cached().write_bytes(raw)
    decoded.clear()
    assert load(source).fingerprint == first
    assert decoded
    decoded.clear()
    assert load(source).fingerprint == first
    assert not decoded


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_cache_is_seen_and_repaired(source: str, decoded: list[str], keep: float) -> None:
    first = load(source).fingerprint
    raw = cached().read_bytes()
    cached().write_bytes(raw[: int(keep * len(raw))])
    decoded.clear()
    assert load(source).fingerprint == first
    assert decoded
    decoded.clear()
    assert load(source).fingerprint == first
    assert not decoded


def test_unwritable_cache(
    source: str, decoded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DREAMLIB_CACHE", str(tmp_path / "file" / "cache"))
    assert torch.equal(load(source).train_images, load(source).train_images)
    assert len(decoded) > 8


def test_full_disk_leaves_no_draft(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    load(source)
    assert not list(cache.folder().iterdir())


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMLIB_CACHE", "~/own")
    assert cache.folder() == Path.home() / "own"
    monkeypatch.delenv("DREAMLIB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache.folder() == Path("/caches/dreamlib")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path.home() / ".cache" / "dreamlib"


def test_a_draft_that_nobody_writes_any_more_is_removed_by_the_next(tmp_path: Path) -> None:
    old, young = tmp_path / ".a.1.tmp", tmp_path / ".a.2.tmp"
    for draft in (old, young):
        draft.write_bytes(b"half")
    long_ago = time.time() - 2 * cache.ABANDONED
    os.utime(old, (long_ago, long_ago))
    images, labels = np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int64)
    cache._save(tmp_path / "b", Arrays(images, labels, images, labels, ("a",)))
    assert not old.exists()
    assert young.exists()
