"""The contract of a task, over all kinds: broken off before any step, it goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import torch
from runs import check_task, finish
from tiny import NETWORK, following, generative, recipe
from tiny import toys as toys
from torch import Tensor

from dreamlib.augment import Siamese
from dreamlib.companion.cells import make_cell
from dreamlib.companion.worker import Task
from dreamlib.containers import Drawing, Generator
from dreamlib.criteria import Generative
from dreamlib.criteria import generative as module
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.evaluate import Evaluation, EvaluationRun, Generated
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe, change
from dreamlib.distillation.selection import carried
from dreamlib.networks import NetworkSpec
from dreamlib.networks.training import SGD
from dreamlib.recipes import methods
from dreamlib.teachers.pool import Pool

pytestmark = [pytest.mark.trains, pytest.mark.usefixtures("toys")]

BATCH_NORM = NetworkSpec(width=8, depth=2, norm="batch")
RESNET = NetworkSpec("resnet10", width=4, norm="batch", form="idc")
POOL = Pool(
    bands=((10.0, 20.0), (30.0, 45.0)),
    networks=3,
    training=SGD(epochs=3, batch=64, lr=0.02, decay_at=()),
    held_out=20,
    fresh=True,
)
REGRESSIONS = (
    *("kip", "kip+dream", "kip+dream-weighted", "label-solve"),
    *("frepo", "frepo+dream", "frepo+dream-weighted"),
)
JUDGE = Evaluation(
    "dc",
    SGD(epochs=3, batch=8, lr=0.05, decay_at=(0.5,), augment=Siamese(), cutmix=0.5),
    NETWORK,
    networks=2,
    panel=2,
)


@dataclass(frozen=True)
class Given:
    """What tasks are made from."""

    digits: Dataset
    data: ClassData
    few: ClassData
    first: dict[str, Tensor]  # what a GAN hands on to DiM
    experts: dict[str, Tensor]  # and experts to MTT
    embedding: dict[str, Tensor]  # and a network to a coreset


@pytest.fixture(scope="module")
def given(digits: Dataset, data: ClassData, few: ClassData) -> Given:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COLLAPSED", 0.0)
        gan = finish(Distillation(few, generative("gan"), ipc=1, seed=0))
    trained = finish(Distillation(few, experts(), ipc=1, seed=0))
    embedded = cast(Distillation, finish(embedding("herding", NETWORK)(Given(digits, data, few, {}, {}, {}))))
    return Given(
        digits, data, few, gan.snapshots[2], trained.snapshots[3], carried(embedded.snapshots[embedded.mark])
    )


Make = Callable[[Given], Task]


def distilled(method: str, **changes: Any) -> Make:
    return lambda given: Distillation(given.few, recipe(method, **changes), ipc=1, seed=5)


def embedding(method: str, network: NetworkSpec) -> Make:
    plan = recipe(method, network=network).embedded
    assert plan is not None
    return lambda given: Distillation(given.few, plan, ipc=1, seed=5)


def chosen(method: str) -> Make:
    return lambda given: Distillation(given.few, recipe(method), ipc=1, seed=5, start=given.embedding)


def pooled(network: NetworkSpec) -> Make:
    plan = recipe("dm", teacher__pool=POOL, network=network)
    return lambda given: Distillation(given.data, plan, ipc=1, seed=3)


def matched(*models: NetworkSpec) -> Make:
    plan = generative("dim", teacher__models=models)
    return lambda given: Distillation(given.few, plan, ipc=1, seed=3, start=given.first)


def modelled(method: str) -> Make:
    plan = methods[method].recipe
    container = replace(cast(Generator, plan.container), width=8, noise=24, lr=1e-3)
    plan = replace(
        plan, container=container, criterion=replace(cast(Generative, plan.criterion), epochs=3, batch=50)
    )
    return lambda given: Distillation(given.few, plan, ipc=1, seed=1)


def regressed(method: str) -> Make:
    """Six steps on eight targets of each class."""

    def make(given: Given) -> Task:
        plan = make_cell("quick", method, "digits", 1, 0).recipe
        if plan.steps > 6:
            plan = change(replace(plan, iterations=6), "real_batch", 8)
        return Distillation(given.few, plan, ipc=1, seed=3)

    return make


def experts() -> Recipe:
    first = following().first
    assert first is not None
    return first


def followed(method: str) -> Make:
    return lambda given: Distillation(given.few, following(method), ipc=2, seed=1, start=given.experts)


def toy(method: str) -> Make:
    return lambda given: Distillation(given.few, methods[method].recipe, ipc=1, seed=3)


def judged(images: Callable[[Given], Any], **changes: Any) -> Make:
    return lambda given: EvaluationRun(images(given), given.digits, replace(JUDGE, **changes))


def stored(given: Given) -> Tensor:
    return given.few.take(torch.arange(2).expand(10, 2))


def drawing(given: Given) -> Drawing:
    torch.manual_seed(0)
    net = Generator(noise=16, width=4).module(given.digits.shape, 10)
    return Drawing(net, 16, given.digits.normalisation)


KINDS: dict[str, Make] = {
    # Each method once; both norms under networks that learn from the set, from real images, and of an embedding.
    "dc": distilled("dc", network=NETWORK),
    "dc, batch norm": distilled("dc", network=BATCH_NORM),
    "dsa": distilled("dsa", network=NETWORK),
    "dm": distilled("dm", network=BATCH_NORM),
    "idc": distilled("idc", network=BATCH_NORM),
    "dream": distilled("dream", network=NETWORK, synthetic_batch=3),
    "dream, batch norm": distilled("dream", network=BATCH_NORM, synthetic_batch=3),
    "herding": chosen("herding"),
    "a coreset's network": embedding("forgetting", NETWORK),
    "a coreset's network, batch norm": embedding("herding", BATCH_NORM),
    "dm with a pool": pooled(BATCH_NORM),
    "experts": lambda given: Distillation(given.few, experts(), ipc=1, seed=0),
    **{name: followed(name) for name in ("mtt", "mtt-tesla", "mtt+dream")},
    "gan": lambda given: Distillation(given.few, generative("gan"), ipc=1, seed=3),
    "dim": matched(replace(BATCH_NORM, width=4, depth=1), replace(NETWORK, width=4)),
    "dim with resnets": matched(RESNET, replace(RESNET, name="resnet10ap")),
    **{name: modelled(name) for name in ("gmmn", "vae", "biggan")},
    **{name: regressed(name) for name in REGRESSIONS},
    **{name: toy(name) for name in ("toy-labels", "toy-rate", "toy-ridge")},
    "judging images": judged(stored),
    "judging images, batch norm": judged(stored, network=BATCH_NORM),
    "judging by one network": judged(stored, networks=1),
    "judging the data set": judged(lambda given: given.few, learner=replace(JUDGE.learner, batch=64)),
    "judging a generator": judged(drawing, generated=Generated(2)),
    "judging a draw of a generator": judged(drawing, generated=Generated(2, fresh=False)),
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.nightly) if kind == "dim with resnets" else kind
        for kind in sorted(KINDS)
    ],
)
def test_a_task_goes_on_bit_for_bit_from_every_step(
    given: Given, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "COLLAPSED", 0.0
    )  # in a dozen steps of a tiny generator nothing comes of its noise
    check_task(lambda: KINDS[kind](given))
