"""What a notebook's session shows of generators."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from dreamlib.companion.cells import Cell, first_stage
from dreamlib.companion.session import Session
from dreamlib.containers import Generator
from dreamlib.distillation.loop import BESIDE
from dreamlib.networks import initialise


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session("dim/figure5", results=str(tmp_path / "results"), device="cpu")


def state(cell: Cell, seed: int) -> dict[str, Tensor]:
    """A generator with fresh weights, as a course holds it."""
    module = cast(Generator, cell.recipe.container).module((1, 8, 8), 10)
    initialise(module, torch.Generator().manual_seed(seed))
    return {name: value.clone() for name, value in module.state_dict().items()}


def keep(session: Session, cell: Cell, states: dict[int, int]) -> None:
    """Write a course whose state at each epoch has the weights of a seed."""
    course = {epoch: state(cell, seed) for epoch, seed in states.items()}
    partner = {f"{BESIDE}partner.weight": torch.zeros(1)}
    session.study.store.write_set(
        cell, {}, {epoch: {**one, **partner} for epoch, one in course.items()}, {"container": {}}
    )


def test_images_along_training_show_both_stages_from_the_same_noise(session: Session) -> None:
    cell = session.cell("dim", "digits", 10)
    first = first_stage(cell)
    assert first is not None
    keep(session, first, {0: 1, 5: 2, 12: 3, 20: 4})  # the GAN alone goes on to 20
    keep(session, cell, {12: 3, 15: 2, 20: 5})
    found = session.generated(cell, 3)
    assert list(found) == [0, 5, 12, 15, 20]
    assert all(images.shape == (10, 3, 1, 8, 8) for images in found.values())
    assert torch.equal(found[5], found[15])  # the same weights
    assert not torch.equal(found[5], found[12])
    assert all(bool(((images >= 0) & (images <= 1)).all()) for images in found.values())
    alone = session.generated(first, 3)
    assert list(alone) == [0, 5, 12, 20]
    assert torch.equal(alone[12], found[12])
    assert not torch.equal(alone[20], found[20])


def test_a_part_of_the_course_is_shown_and_none_is_empty(session: Session) -> None:
    cell = session.cell("dim", "digits", 10)
    assert session.generated(cell) == {}
    first = first_stage(cell)
    assert first is not None
    keep(session, first, {0: 1, 5: 2, 12: 3, 20: 4})
    assert list(session.generated(cell)) == [0, 5]


def test_what_is_measured_is_told_from_what_can_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records lie in a repository, sets do not."""
    session = Session("dm/tableT1", ipcs="10", methods="dm,mmd", results=str(tmp_path), workers=-1)
    told: list[str] = []
    monkeypatch.setattr(Session, "say", lambda self, text: told.append(text))
    session.run()
    dm, _ = session.study.cells
    session.study.store.write_record(dm, {"accuracies": [80.0] * dm.evaluation.networks})
    session.run()
    assert told == [
        "0 of 2 cells are measured.",
        "1 of 2 cells are measured. The sets of 1 are not in this results folder, so their images are not shown.",
    ]
