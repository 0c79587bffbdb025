"""A method of a new kind is one small file: distilled, judged, killed and resumed, exported and loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from dreamlib.companion.cells import Cell, make_cell
from dreamlib.companion.store import Store
from dreamlib.core import plugins
from dreamlib.core.errors import BadValue
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.evaluate import EvaluationRun
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.sets import export, load_set

pytestmark = pytest.mark.trains

TOYS = {"toy-labels": "learned_labels", "toy-rate": "learned_rate", "toy-ridge": "ridge"}
FOLDER = Path(__file__).parents[1] / "toys"


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    plugins.load([str(FOLDER / f"{file}.py") for file in TOYS.values()])


def cell_of(method: str) -> Cell:
    """One image of each digit, from twelve of them; judged by two networks in a hundred epochs, where it has any."""
    cell = make_cell("quick", method, "digits", 1, 0)
    learner: Any = cell.evaluation.learner
    if method != "toy-ridge":
        learner = replace(learner, epochs=100)
    evaluation = replace(cell.evaluation, learner=learner, networks=1 if method == "toy-ridge" else 2)
    return replace(cell, evaluation=evaluation, recipe=replace(cell.recipe, per_class=12))


def finish(run: Any) -> Any:
    while not run.done:
        run.advance()
    return run


def kept(run: Distillation) -> dict[str, Tensor]:
    return {name: value for name, value in run.state().items() if not name.startswith("seconds.")}


@pytest.mark.parametrize("method", sorted(TOYS))
def test_it_learns_and_goes_on_bit_for_bit_from_every_step(few: ClassData, method: str) -> None:
    recipe = cell_of(method).recipe
    whole = Distillation(few, recipe, 1, 3)
    states = []
    while not whole.done:
        states.append(save({name: value.contiguous() for name, value in whole.state().items()}))
        whole.advance()
    assert len(states) == whole.steps
    for state in states:
        rest = Distillation(few, recipe, 1, 3)
        rest.restore(load(state))
        finish(rest)
        assert kept(rest).keys() == kept(whole).keys()
        assert all(value.equal(kept(whole)[name]) for name, value in kept(rest).items())
    long = finish(Distillation(few, replace(recipe, iterations=10 * recipe.iterations), 1, 3))
    losses = [loss for _, loss in long.losses]
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.parametrize("method", sorted(TOYS))
def test_what_it_has_learned_beside_images_is_used_and_stored(
    few: ClassData, digits: Dataset, tmp_path: Path, method: str
) -> None:
    cell = cell_of(method)
    run = finish(Distillation(few, cell.recipe, 1, 0))
    about = digits.shape, digits.num_classes, digits.normalisation
    made = cell.recipe.container.training_set(run.stored, *about)
    judged = finish(EvaluationRun(made, digits, cell.evaluation))
    assert len(judged.accuracies) == cell.evaluation.networks
    other = replace(
        made, targets=made.targets.flip(0), rates=None if made.rates is None else made.rates / 1e4
    )
    assert finish(EvaluationRun(other, digits, cell.evaluation)).accuracies != judged.accuracies

    metadata = {
        **cell.describe(),
        "container": cell.describe()["recipe"]["container"],
        "classes": list(digits.classes),
        "shape": list(digits.shape),
        "normalisation": {
            "name": digits.normalisation.name,
            "mean": list(digits.normalisation.mean),
            "std": list(digits.normalisation.std),
        },
    }
    store = Store(tmp_path)
    store.write_set(cell, run.stored, run.snapshots, metadata)
    first = load_set(store.set_path(cell))
    again = load_set(export(first, tmp_path / "exported.safetensors", "safetensors"))
    for found in (first, again):
        torch.testing.assert_close(found.normalised, made.images)
        assert found.labels.equal(made.targets)
        assert (found.rates is None) == (made.rates is None)
        assert found.rates is None or found.rates.equal(made.rates)
    if made.targets.is_floating_point():
        assert next(iter(again.loader()))[1].shape[1] == 10
        with pytest.raises(BadValue, match="answers of its own"):
            export(first, tmp_path / "folder", "images")


@pytest.mark.parametrize("method", sorted(TOYS))
def test_killed_and_run_again_it_ends_with_the_same_record(tmp_path: Path, method: str) -> None:
    def command(results: str) -> list[str]:
        options = [
            "--profile",
            "quick",
            "--methods",
            method,
            "--datasets",
            "digits",
            "--ipc",
            "1",
            "--seeds",
            "1",
        ]
        plugin = ["--plugins", str(FOLDER / f"{TOYS[method]}.py"), "--results", str(tmp_path / results)]
        return [sys.executable, "-m", "dreamlib", "run", "dream/table1", *options, *plugin, "--no-forecast"]

    environment = {**os.environ, "DREAMLIB_CHECKPOINT_SECONDS": "0"}
    subprocess.run(command("whole"), check=True, env=environment, capture_output=True)
    victim = subprocess.Popen(
        command("killed"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    unfinished = tmp_path / "killed" / "quick" / "unfinished"
    while victim.poll() is None and not list(unfinished.glob("*.safetensors")):
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    subprocess.run(command("killed"), check=True, env=environment, capture_output=True)

    def record(results: str) -> dict[str, Any]:
        import json

        (path,) = (tmp_path / results / "quick").glob("*.json")
        return dict(json.loads(path.read_text()))

    whole, killed = record("whole"), record("killed")
    assert (whole["accuracies"], whole["set_sha256"]) == (killed["accuracies"], killed["set_sha256"])
