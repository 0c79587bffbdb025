"""Pools of trained networks: in their bands, apart from the test set, honest about what was not reached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import generator, recipe

from dreamlib.core.errors import BadValue
from dreamlib.core.registry import as_data
from dreamlib.core.streams import Streams
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.loop import Distillation
from dreamlib.networks import NetworkSpec, build
from dreamlib.networks.training import SGD
from dreamlib.teachers.pool import Pool, PoolTraining, band_name

pytestmark = pytest.mark.trains

SPEC = NetworkSpec(width=8, depth=2)
TRAINING = SGD(epochs=3, batch=64, lr=0.02, decay_at=())
POOL = Pool(bands=((10.0, 20.0), (30.0, 45.0)), networks=3, training=TRAINING, held_out=20)


def trained(data: ClassData, pool: Pool = POOL, seed: int = 0, spec: NetworkSpec = SPEC) -> PoolTraining:
    run = PoolTraining(data, spec, pool, Streams(seed))
    while not run.done:
        run.advance()
    return run


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_networks_have_the_accuracy_of_their_band_on_images_held_out(data: ClassData, norm: str) -> None:
    spec = replace(SPEC, norm=norm)
    run = trained(data, spec=spec)
    network = build(spec, data.shape, 10)
    for (low, high), states in zip(POOL.bands, run.kept, strict=True):
        assert states
        for state in states.values():
            network.load_state_dict(state.tensors)
            with torch.no_grad():
                found = network.eval()(run._validation).argmax(1) == run._validation_labels
            assert 100 * float(found.double().mean()) == pytest.approx(state.accuracy)
            assert low <= state.accuracy < high
    assert run.summary()["bands"]["10-20"]["accuracies"] == [s.accuracy for s in run.kept[0].values()]


def test_held_out_images_are_training_images_that_are_not_trained_on(
    data: ClassData, digits: Dataset
) -> None:
    run = PoolTraining(data, SPEC, POOL, Streams(0))
    used = data.take(run._position.unsqueeze(1), run._label).flatten(1)
    held = run._validation.flatten(1)
    assert len(used) + len(held) == data.total
    assert run._validation_labels.bincount().tolist() == [20] * 10
    every = data.normalisation.apply(digits.train_images.float() / 255).flatten(1)
    both = torch.cat([used, held])
    assert torch.equal(both[_order(both)], every[_order(every)])  # the training images, each once


def _order(rows: torch.Tensor) -> torch.Tensor:
    weights = torch.randn(rows.shape[1], dtype=torch.float64, generator=generator())
    return (rows.double() @ weights).argsort()


def test_training_ends_when_every_network_is_above_the_bands(data: ClassData) -> None:
    low = trained(data, replace(POOL, bands=((10.0, 20.0),)))
    high = trained(data, replace(POOL, bands=((10.0, 20.0), (50.0, 60.0))))
    assert low.step < high.step < high.training.steps
    assert low.steps == low.step


def test_every_state_is_the_nearest_to_the_middle_of_its_band(data: ClassData) -> None:
    run, seen = PoolTraining(data, SPEC, POOL, Streams(0)), []
    while not run.done:
        run.advance()
        seen.append(run.training.stack.accuracy(run._validation.__getitem__, run._validation_labels))
    for (low, high), states in zip(POOL.bands, run.kept, strict=True):
        for state in states.values():
            inside = [one[state.network] for one in seen if low <= one[state.network] < high]
            middle = (low + high) / 2
            assert abs(state.accuracy - middle) == min(abs(accuracy - middle) for accuracy in inside)


def test_bands_are_drawn_alike_whatever_they_hold(data: ClassData) -> None:
    run = trained(data, replace(POOL, fresh=True))
    del run.kept[1][next(iter(run.kept[1]))]
    names = {id(s.tensors): band for band, states in enumerate(run.kept) for s in states.values()}
    stream, counts = generator(1), {0: 0, 1: 0, 2: 0}
    for _ in range(1500):
        tensors = run.choose(stream)
        counts[2 if tensors is None else names[id(tensors)]] += 1
    assert all(abs(count - 500) < 75 for count in counts.values())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"bands": ((10.0, 20.0), (98.0, 100.0))},
            r"validation accuracy of 98-100 % on digits.*the best has \d",
        ),
        ({"bands": ((10.0, 20.0), (98.0, 100.0))}, "bands reached: 10-20"),
        ({"every": 40, "bands": ((12.0, 13.0),)}, "jump over it"),
    ],
)
def test_a_band_that_no_network_reaches_says_how_far_they_came(
    data: ClassData, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadValue, match=says):
        trained(data, replace(POOL, **changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bands": ()}, "a pool of networks without bands"),
        ({"bands": ((20.0, 10.0),)}, r"band \(20.0, 10.0\)"),
        ({"bands": ((90.0, 101.0),)}, "expected \\(low, high\\) in percent"),
        ({"networks": 0}, "networks is 0"),
        ({"held_out": 0}, "held_out is 0"),
        ({"every": 0}, "every is 0"),
    ],
)
def test_bad_pools_are_refused_before_anything_is_computed(
    few: ClassData, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadValue, match=says):
        Distillation(few, recipe("dm", teacher__pool=replace(POOL, **changes)), ipc=1, seed=0)


def test_a_class_that_would_be_held_out_whole_is_an_error(few: ClassData) -> None:
    with pytest.raises(
        BadValue, match=r"holds out 20 images of each class, but the smallest class .* has 12"
    ):
        PoolTraining(few, SPEC, POOL, Streams(0))


# Inside a distillation


PLAN = recipe("dm", teacher__pool=replace(POOL, fresh=True))


def test_a_recipe_says_its_pool() -> None:
    assert as_data(recipe("dm"))["teacher"]["pool"] is None
    assert as_data(PLAN)["teacher"]["pool"]["bands"] == [[10.0, 20.0], [30.0, 45.0]]


def test_matching_uses_networks_of_the_pool_and_fresh_ones(data: ClassData) -> None:
    run = Distillation(data, replace(PLAN, iterations=12), ipc=1, seed=0)
    drawn = []
    while not run.done:
        run.advance()
        if run.matched:
            drawn.append({name: value.clone() for name, value in run.network.state_dict().items()})
    assert run.teaching.pool is not None
    pool = [state.tensors for states in run.teaching.pool.kept for state in states.values()]

    def known(state: dict[str, torch.Tensor]) -> bool:
        return any(all(value.equal(one[name]) for name, value in state.items()) for one in pool)

    kinds = {known(state) for state in drawn}
    assert kinds == {True, False}
    assert run.seconds["pool"] > 0
    assert list(run.notes["pool"]["bands"]) == ["10-20", "30-45"]
    assert run.step == run.steps


def test_without_matching_no_pool_is_trained(few: ClassData) -> None:
    run = Distillation(few, replace(PLAN, iterations=0), ipc=1, seed=0)
    run.advance()
    assert run.done
    assert run.notes == {}
    assert "pool" not in run.seconds


def test_bands_have_names() -> None:
    assert band_name((20.0, 30.0)) == "20-30"
    assert band_name((2.5, 100.0)) == "2.5-100"
