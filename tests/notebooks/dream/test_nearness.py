"""How far real images are from a set."""

import pytest
import torch
from nearness import reach

from dreamlib.data import ClassData, Dataset


def test_a_set_reaches_the_images_that_it_holds(digits: Dataset) -> None:
    few = ClassData(digits, per_class=6)
    every = few.take(torch.arange(6).expand(10, -1))
    assert reach(every, few) == pytest.approx(0, abs=1e-3)  # cdist takes a root of a difference
    assert 0.1 < reach(every[:, :3], few) < reach(every[:, :1], few) < 1.5
