"""The one place where a device is chosen."""

from __future__ import annotations

import pytest
import torch

from dreamlib import backend
from dreamlib.errors import BadValue


def test_auto_takes_the_accelerator_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert backend.resolve_device().type == kind
    assert backend.resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(BadValue, match=f"device '{name}' cannot be used") as caught:
        backend.resolve_device(name)
    assert "--device cpu" in caught.value.hint


def test_the_machine_is_described() -> None:
    assert "thread(s)" in backend.describe(torch.device("cpu"))
    assert backend.peak_memory(torch.device("cpu")) > 10 * 2**20


def test_tuning_the_allocator_changes_no_number() -> None:
    images = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    before = images @ images
    assert isinstance(backend.tune_allocator(), bool)
    assert before.equal(images @ images)
