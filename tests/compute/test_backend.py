"""The one place where a device is chosen."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator

import pytest
import torch

from dreamlib.compute import backend
from dreamlib.core.errors import BadValue


@pytest.fixture
def products() -> Iterator[None]:
    """Puts back what a process-wide choice has changed."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    yield
    torch.backends.cudnn.allow_tf32 = before[0]
    torch.set_float32_matmul_precision(before[1])


@pytest.mark.usefixtures("products")
def test_a_gpu_that_is_chosen_multiplies_float32_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("high")
    backend.resolve_device("cpu")
    assert torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    backend.resolve_device()
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.usefixtures("products")
def test_auto_takes_the_accelerator_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert backend.resolve_device().type == kind
    assert backend.resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "meta"])
def test_a_device_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(BadValue, match=f"device '{name}' cannot be used") as caught:
        backend.resolve_device(name)
    assert "--device cpu" in caught.value.hint


def test_the_machine_is_described() -> None:
    assert re.search(r", \d+ threads?$", backend.describe(torch.device("cpu")))
    assert backend.peak_memory(torch.device("cpu")) > 10 * 2**20


def test_tuning_the_allocator_changes_no_number() -> None:
    images = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    before = images @ images
    assert isinstance(backend.tune_allocator(), bool)
    assert before.equal(images @ images)


def test_a_stopwatch_adds_up_by_phase_and_goes_on_where_it_was() -> None:
    watch = backend.Stopwatch(torch.device("cpu"), "one", "two")
    for _ in range(2):
        with watch.phase("one"):
            sum(range(1000))
    assert watch.seconds["one"] > watch.seconds["two"] == 0
    assert watch.core_seconds > 0
    watch.restore({"one": 5.0, "two": 1.0}, 7.0)
    with watch.phase("two"):
        sum(range(1000))
    assert watch.core_seconds > 7
    assert watch.seconds["one"] == 5
    assert watch.seconds["two"] > 1


def test_waiting_takes_seconds_of_a_clock_and_none_of_a_processor() -> None:
    watch = backend.Stopwatch(torch.device("cpu"), "one")
    with watch.phase("one"):
        time.sleep(0.2)
    assert watch.seconds["one"] >= 0.2 > 2 * watch.core_seconds


def test_a_stopwatch_marks_the_queue_of_a_gpu_and_waits_when_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue: deque[Mark] = deque()  # what the device has not come to yet

    class Mark:
        clock = 0

        def __init__(self, enable_timing: bool) -> None:
            self.at: int | None = None
            assert enable_timing

        def record(self, stream: object) -> None:
            queue.append(self)

        def query(self) -> bool:
            return self.at is not None

        def synchronize(self) -> None:
            while queue:
                passed()

        def elapsed_time(self, end: Mark) -> float:
            assert self.at is not None
            assert end.at is not None
            return 1000.0 * (end.at - self.at)

    def passed() -> None:
        Mark.clock += 1
        queue.popleft().at = Mark.clock

    monkeypatch.setattr(torch.cuda, "Event", Mark)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    watch = backend.Stopwatch(torch.device("cuda"), "one", "two")
    for phase in ("one", "two", "one"):
        with watch.phase(phase):
            pass
    assert len(queue) == 6  # nothing has waited
    assert watch.seconds == {"one": 2.0, "two": 1.0}
    assert not queue
    for _ in range(50):
        with watch.phase("two"):
            pass
        passed()
    assert len(watch._marks) <= 26  # those that are done are not kept
    assert watch.seconds == {"one": 2.0, "two": 51.0}
