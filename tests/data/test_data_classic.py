from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from data_files import noise

from dreamlib.core.errors import DataError
from dreamlib.data import load

LABELS = np.arange(20) % 10


def write_idx(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The four files of MNIST, as they were published."""
    folder.mkdir(parents=True)
    parts = []
    for part, count in (("train", 20), ("t10k", 10)):
        images = noise(count, (1, 28, 28), count)
        head = struct.pack(">iiii", 2051, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        labels = LABELS[:count].astype(np.uint8).tobytes()
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, count) + labels)
        parts.append(images)
    return parts[0], parts[1]


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashionmnist", "FashionMNIST")])
def test_idx_files(tmp_path: Path, name: str, folder: str) -> None:
    train, test = write_idx(tmp_path / folder / "raw")
    data = load(name, tmp_path, download=False)
    assert np.array_equal(data.train_images.numpy(), train)
    assert np.array_equal(data.test_images.numpy(), test)
    assert data.train_labels.tolist() == LABELS.tolist()
    assert data.classes[3] == {"mnist": "3", "fashionmnist": "Dress"}[name]


def test_root_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    monkeypatch.setenv("DREAMLIB_DATA", str(tmp_path))
    assert load("mnist", download=False).name == "mnist"
    monkeypatch.delenv("DREAMLIB_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="data/MNIST/raw"):
        load("mnist", download=False)


@pytest.mark.parametrize("kept", [0, 4, 16, 1000])
@pytest.mark.parametrize("part", ["train-images-idx3", "t10k-labels-idx1"])
def test_truncated_idx(tmp_path: Path, part: str, kept: int) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    file = tmp_path / "MNIST" / "raw" / f"{part}-ubyte"
    file.write_bytes(file.read_bytes()[: min(kept, file.stat().st_size - 1)])
    with pytest.raises(DataError, match=r"mnist: .*MNIST/raw are incomplete or damaged(.|\n)*remove"):
        load("mnist", tmp_path)


def write_svhn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """SVHN's matrices (h, w, c, N), where 10 stands for the digit 0; only the expected checksum is ours."""
    folder.mkdir(parents=True)
    images, known = noise(20, (3, 32, 32)), dict(torchvision.datasets.SVHN.split_list)
    for part in ("train", "test"):
        file = folder / f"{part}_32x32.mat"
        labels = np.where(LABELS == 0, 10, LABELS)[:, None].astype(np.uint8)
        scipy.io.savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": labels})
        known[part] = [known[part][0], file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", known)
    return images


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_svhn(tmp_path / "svhn", monkeypatch)
    data = load("svhn", tmp_path, download=False)
    assert np.array_equal(data.train_images.numpy(), images)
    assert data.test_labels.tolist() == LABELS.tolist()
    assert data.shape == (3, 32, 32)


def test_truncated_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path / "svhn", monkeypatch)
    file = tmp_path / "svhn" / "test_32x32.mat"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DataError, match="svhn are incomplete or damaged"):
        load("svhn", tmp_path, download=False)


def write_cifar(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """CIFAR's pickles, with dtypes written as old numpy wrote them; only the expected checksums are ours."""
    loader = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}[name]
    key, many = {"cifar10": ("labels", 10), "cifar100": ("fine_labels", 100)}[name]
    folder = root / loader.base_folder
    folder.mkdir(parents=True)
    images = noise(2 * many, (3, 32, 32))

    def write(file: str, content: dict[str, object]) -> str:
        raw = pickle.dumps(content, protocol=2).replace(b"\x89\x88\x87", b"K\x00K\x01\x87")
        (folder / file).write_bytes(raw)
        return hashlib.md5(raw).hexdigest()

    part = {"data": images.reshape(len(images), -1), key: [i % many for i in range(len(images))]}
    names = [f"thing{i}" for i in range(many)]
    monkeypatch.setattr(loader, "train_list", [["train_part", write("train_part", part)]])
    monkeypatch.setattr(loader, "test_list", [["test_part", write("test_part", part)]])
    meta = {"filename": "names", "key": "names", "md5": write("names", {"names": names})}
    monkeypatch.setattr(loader, "meta", meta)
    return images


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    images = write_cifar(tmp_path, name, monkeypatch)
    data = load(name, tmp_path, download=False)
    assert np.array_equal(data.train_images.numpy(), images)
    assert data.num_classes == len(images) // 2
    assert data.classes[9] == "thing9"
    assert data.train_labels[3] == 3


def test_failed_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", offline)
    monkeypatch.setattr(torchvision.datasets.svhn, "download_url", offline)
    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", offline)
    for name, folder in (("cifar10", "cifar-10-batches-py"), ("svhn", "svhn"), ("mnist", "MNIST/raw")):
        with pytest.raises(DataError, match=r"downloading failed .*no route to host") as caught:
            load(name, tmp_path)
        assert caught.value.message.startswith(f"{name}: not found in {tmp_path / folder}")
        assert "DREAMLIB_DATA" in caught.value.hint
        assert "digits" in caught.value.hint


def test_download_is_only_tried_when_asked_and_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def fetch(url: str, download_root: str, filename: str, md5: str) -> None:
        calls.append(filename)
        if len(calls) == 4:
            Path(download_root).rmdir()
            write_idx(Path(download_root))

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", fetch)
    with pytest.raises(DataError, match="download=False"):
        load("mnist", tmp_path, download=False)
    assert not calls
    assert load("mnist", tmp_path).num_classes == 10
    assert len(calls) == 4
    load("mnist", tmp_path)
    assert len(calls) == 4


def test_full_disk_and_unreadable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_parquet: Callable[..., Path]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "x.tar.gz")

    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", full)
    with pytest.raises(DataError, match="No space left on device"):
        load("cifar100", tmp_path)

    def denied(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "cifar10").mkdir()
    monkeypatch.setattr(Path, "glob", denied)
    with pytest.raises(DataError, match=r"cifar10: cannot read .*cifar10: Permission denied"):
        load("cifar10", tmp_path)


def test_pixel_statistics_on_request(tmp_path: Path) -> None:
    write_idx(tmp_path / "FashionMNIST" / "raw")
    assert load("fashionmnist", tmp_path, normalisation="pixel").normalisation.mean == (0.2860,)
    assert load("fashionmnist", tmp_path).normalisation.mean == (0.2861,)
    assert load("fashionmnist", str(tmp_path)).train_images.dtype == torch.uint8
