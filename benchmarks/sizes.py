"""What one matching step costs as the problem grows: classes, images per class, pixels, width, threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from dreamlib.data import ClassData
from dreamlib.distillation.loop import Distillation

from .measure import memory, seconds
from .works import endless, images_of, published

REPEATS = 3
LONG = 10.0  # a step of more seconds is timed once


@dataclass(frozen=True)
class Size:
    """One problem; the values are those that stay while another grows."""

    classes: int = 10
    images: int = 10  # per class: IPC
    pixels: int = 32
    width: int = 128
    threads: int = 0  # 0: all


AXES: dict[str, tuple[str, tuple[int, ...]]] = {
    "classes": ("classes", (10, 100, 200)),
    "images per class": ("images", (1, 10, 50)),
    "pixels a side": ("pixels", (16, 32, 64)),
    "width": ("width", (32, 64, 128)),
    "threads": ("threads", (1, 2)),
}

# By what is compared: the method whose published step is timed (DM, DSA), and the images per class that stay.
WORKS = {"features": ("dm", 10), "gradients": ("dsa", 1)}


def points(work: str, threads: int) -> Iterator[tuple[str, int, Size]]:
    """Axis, value and size of every point of a work; each problem once, but for the one that all axes share."""
    for axis, (name, values) in AXES.items():
        for value in values:
            if name == "threads" and value > threads:
                continue
            yield axis, value, replace(Size(images=WORKS[work][1]), **{name: value})


def measure(work: str, size: Size, device: torch.device) -> dict[str, Any]:
    """Seconds of a step in fast mode, and the MiB it holds at its peak."""
    method, _ = WORKS[work]
    recipe = endless(published(method, size.images))
    recipe = replace(recipe, mode="fast", network=replace(recipe.network, width=size.width))
    before = torch.get_num_threads()
    torch.set_num_threads(size.threads or before)
    try:
        dataset = images_of(max(300, recipe.matching.real_batch), classes=size.classes, side=size.pixels)
        run = Distillation(ClassData(dataset, device), recipe, size.images, 0)
        for _ in range(3):  # the choice of the first images, a first step that compiles, and one that is warm
            run.advance()
        times = [seconds(run.advance, device)]
        while len(times) < REPEATS and times[0] < LONG:
            times.append(seconds(run.advance, device))
        return {"seconds": times, "peak_memory_mib": memory(run.advance, device)}
    finally:
        torch.set_num_threads(before)
