"""What a batch costs: drawing it beside training on it."""

from __future__ import annotations

import time

import pytest
import torch
from timing import WARM_UP, BatchTimes, batch_times, not_falling, operations
from torch import Tensor

from dreamlib.core.errors import BadValue
from dreamlib.networks import GeneratorNetwork, NetworkSpec, build
from dreamlib.networks.training import SGD

NETWORK = NetworkSpec(depth=1, width=4)


class Slow:
    """Draws noise, and takes its time."""

    device = torch.device("cpu")

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.asked = seconds, []

    def draw(self, labels: Tensor, stream: torch.Generator) -> Tensor:
        self.asked.append(labels)
        time.sleep(self.seconds)
        return torch.randn(len(labels), 1, 8, 8, generator=stream)


def test_the_time_of_drawing_is_not_that_of_training() -> None:
    slow = Slow(0.05)
    times = batch_times(slow, NETWORK, (1, 8, 8), 10, SGD(), batch=12, repeats=3)
    assert len(times.drawing) == len(times.training) == 3
    assert times.draw >= 50
    assert 0 < times.train < 50
    assert times.share > 0.5
    assert len(slow.asked) == 1 + WARM_UP + 3
    assert all(len(labels) == 12 for labels in slow.asked)
    assert slow.asked[0].unique().tolist() == list(range(10))


def test_a_larger_network_takes_longer() -> None:
    small, large = (
        batch_times(Slow(), NetworkSpec(depth=2, width=width), (1, 8, 8), 10, SGD(), repeats=5).train
        for width in (2, 96)
    )
    assert large > 2 * small


def test_medians_and_share() -> None:
    times = BatchTimes(NETWORK, 128, (1.0, 2.0, 90.0), (6.0, 8.0, 7.0))
    assert (times.draw, times.train) == (2, 7)
    assert times.share == pytest.approx(2 / 9)


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"batch": 0}])
def test_nothing_to_time_is_an_error(wrong: dict[str, int]) -> None:
    with pytest.raises(BadValue, match="expected at least one of each"):
        batch_times(Slow(), NETWORK, (1, 8, 8), 10, SGD(), **wrong)


def test_operations_are_two_for_each_product() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(48, 5)
    )
    assert operations(network, torch.zeros(1, 2, 4, 4)) == 2 * (2 * 3 * 9 * 16 + 48 * 5)
    drawing, training = (
        operations(
            GeneratorNetwork((3, 32, 32), 10).eval(), torch.zeros(1, 100), torch.zeros(1, dtype=torch.int64)
        ),
        3 * operations(build(NetworkSpec(), (3, 32, 32), 10), torch.zeros(1, 3, 32, 32)),
    )
    assert drawing > 2 * training  # what Table 9's page says


def test_one_pair_of_neighbours_breaks_an_order() -> None:
    order = ["C3", "R10", "R50", "D121"]
    assert not_falling({"D121": 0.02, "R50": 0.04, "C3": 0.2, "R10": 0.14}, order) == []
    # The last is far below the first, and still above the one before it.
    assert not_falling({"C3": 0.68, "R10": 0.61, "R50": 0.18, "D121": 0.25}, order) == [("R50", "D121")]
    assert not_falling({"C3": 0.2, "R10": 0.2, "D121": 0.3}, order) == [("C3", "R10"), ("R10", "D121")]
