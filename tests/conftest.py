"""One thread, no display, a cache of its own: tests disturb neither each other nor the user's files."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dreamlib.data import ClassData, Dataset, load

os.environ["MPLBACKEND"] = "Agg"
# What TorchInductor compiles is shared by all tests and all runs of them.
os.environ.setdefault(
    "TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir(), f"torchinductor-tests-{os.getuid()}"))
)
torch.set_num_threads(1)
# Four thousand tests and what they import stay until the end. To look through them for garbage while they are collected
# takes a third of that time; so they are set apart once they are all there.
gc.disable()
# A shell ignores Ctrl-C for what it starts in the background, and so would the tests of Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DREAMLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Layers that a test makes without saying how begin with the same weights every time."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """Scikit-learn's digits: 1,347 training and 450 test images of 1 x 8 x 8."""
    return load("digits")


@pytest.fixture(scope="session")
def data(digits: Dataset) -> ClassData:
    """All training images; classes of 130 to 137."""
    return ClassData(digits)


@pytest.fixture(scope="session")
def few(digits: Dataset) -> ClassData:
    """Twelve training images of each class."""
    return ClassData(digits, per_class=12)
