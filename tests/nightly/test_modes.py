"""No mode is slower than plain on the machine at hand, nor where convolutions have neither bfloat16 nor AVX-512."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from dreamlib.compute import backend
from dreamlib.compute.engine import MODES
from dreamlib.data import ClassData, Dataset
from dreamlib.data.normalisation import measured
from dreamlib.distillation.evaluate import EvaluationRun
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import change
from dreamlib.recipes import methods, protocol

SLOWER = 1.25  # what noise can do on a machine that does something else too
ROUNDS = 5
# The convolutions of a processor with AVX2 alone, taken by one that could do more. The rest runs as it does here.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}


def noise() -> Dataset:
    """Pictures of noise in ten classes: what they show costs nothing and changes no time."""
    source = torch.Generator().manual_seed(0)
    images = torch.randint(256, (3000, 3, 32, 32), generator=source).to(torch.uint8)
    labels = torch.arange(3000) % 10
    return Dataset("cifar10", images, labels, images, labels, tuple("abcdefghij"), measured(images))


def matching(
    method: str, mode: str, dataset: Dataset, width: int = 64, iterations: int | None = None
) -> Callable[[], object]:
    recipe, _ = methods[method].resolve("cifar10", 1)
    recipe = replace(recipe, mode=mode, network=replace(recipe.network, width=width))
    recipe = change(recipe, "real_batch", width)
    if iterations is not None:
        recipe = replace(recipe, iterations=iterations)
    run = Distillation(ClassData(dataset), recipe, 1, 0)
    run.advance()  # chooses the images to start from
    return run.advance


def evaluating(mode: str, dataset: Dataset) -> Callable[[], object]:
    how, _ = protocol("dsa", methods["dm"].facts("cifar10", 10))
    how = replace(how, mode=mode, networks=2, network=replace(how.network, width=64))
    return EvaluationRun(torch.randn(10, 10, 3, 32, 32), dataset, how).advance


def ratios() -> dict[str, float]:
    """Time of each work in each mode, as a share of its time in plain mode: medians of steps taken in turn."""
    backend.tune_allocator()
    torch.set_num_threads(1)
    dataset, found = noise(), {}
    for work in ("dm", "dsa", "evaluation", "small"):
        make = {
            "evaluation": evaluating,
            # Small and short, so that fast mode does not compile it: what a mode costs by itself is seen here.
            "small": partial(matching, "dsa", width=8, iterations=50),
        }.get(work, partial(matching, work))
        steps = {mode: make(mode=mode, dataset=dataset) for mode in MODES}
        times: dict[str, list[float]] = {mode: [] for mode in MODES}
        for step in steps.values():
            step()  # compiles
        for _ in range(ROUNDS):
            for mode, step in steps.items():
                start = time.perf_counter()
                step()
                times[mode].append(time.perf_counter() - start)
        medians = {mode: statistics.median(values) for mode, values in times.items()}
        found |= {f"{work}, {mode}": medians[mode] / medians["plain"] for mode in MODES}
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("environment", [{}, AVX2], ids=["this machine", "convolutions of AVX2"])
def test_no_mode_is_slower_than_plain(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    slow = {name: round(ratio, 2) for name, ratio in found.items() if ratio > SLOWER}
    assert not slow, f"times plain mode takes: {slow}"


if __name__ == "__main__":
    print(json.dumps(ratios()))
