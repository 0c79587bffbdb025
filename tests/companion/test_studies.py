"""Studies: the right cells, most valuable first, and a command that leads back to them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from dreamlib.companion.plans import PLANS
from dreamlib.companion.store import Store
from dreamlib.companion.studies import Study, items, study
from dreamlib.core import plugins
from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.distillation.loop import snapshot_steps
from dreamlib.recipes import methods


def test_every_plan_names_methods_that_exist() -> None:
    for name, plan in PLANS.items():
        assert name == plan.item
        assert set(plan.methods) <= set(methods)
    assert items()["dream/table1"]


def test_names_are_unique_in_all_studies_together() -> None:
    cells = {cell.name: cell for item in PLANS for cell in study(item, profile="paper").cells}
    assert len({cell.key for cell in cells.values()}) == len(cells)


def test_seed_0_of_everything_comes_first() -> None:
    cells = study("dream/table1", profile="quick", seeds=3, ipcs=(10, 1), datasets=("digits", "mnist")).cells
    order = [(cell.seed, cell.ipc, cell.dataset, cell.method) for cell in cells]
    rows = [
        judged
        for row in PLANS["dream/table1"].methods_of("quick")
        for judged in ((row, f"{row}+common") if methods[row].common else (row,))
    ]
    assert order == [
        (seed, ipc, name, row)
        for seed in range(3)
        for ipc in (10, 1)
        for name in ("digits", "mnist")
        for row in rows
    ]


def test_a_course_is_judged_at_every_step_that_is_kept() -> None:
    cells = study("dream/figure1", methods=("dc",), seeds=1).cells
    assert [cell.step for cell in cells] == list(snapshot_steps(cells[0].recipe.steps))
    assert len({cell.set_key for cell in cells}) == 1
    assert cells[-1].key == study("dream/table1", methods=("dc",), ipcs=(10,), seeds=1).cells[0].key


def test_what_is_named_twice_is_computed_once() -> None:
    twice = study("dream/table1", methods=("dm", "dm"), ipcs=(1, 1), datasets=("digits", "digits"), seeds=1)
    assert len(twice.cells) == 1
    assert (twice.methods, twice.ipcs, twice.datasets) == (("dm",), (1,), ("digits",))


@pytest.mark.parametrize(
    ("choice", "error", "says"),
    [
        ({"item": "dream/tabel1"}, UnknownName, "did you mean 'dream/table1'"),
        ({"profile": "quik"}, UnknownName, "did you mean 'quick'"),
        ({"datasets": ("digits", "mnits")}, UnknownName, "did you mean 'mnist'"),
        ({"methods": ("dm", "dreem")}, UnknownName, "did you mean 'dream'"),
        ({"ipcs": (1, 0)}, BadValue, "IPC is 0"),
        ({"ipcs": (-3,)}, BadValue, "IPC is -3"),
        ({"seeds": -1}, BadValue, "seeds is -1; expected 1 or more"),
        ({"seeds": 10**9}, BadValue, "1000000000 seeds x .* cells; expected at most 100,000"),
    ],
)
def test_bad_choices_are_named(choice: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        study(**{"item": "dream/table1", **choice})


def from_command(text: str) -> Study:
    """What the Makefile makes of a command."""
    make, target, *pairs = shlex.split(text)
    assert make == "make"
    chosen = dict(pair.split("=", 1) for pair in pairs)
    plugins.load(filter(None, chosen.get("PLUGINS", "").split(",")))

    def listed(name: str) -> tuple[str, ...]:
        return tuple(filter(None, chosen.get(name, "").split(",")))

    return study(
        f"dream/{target}",
        profile=chosen["PROFILE"],
        datasets=listed("DATASETS"),
        ipcs=tuple(map(int, listed("IPC"))),
        methods=listed("METHODS"),
        seeds=int(chosen.get("SEEDS", 0)),
        store=chosen.get("RESULTS"),
    )


@pytest.mark.parametrize(
    "one",
    [
        study("dream/table1"),
        study("dream/table1", profile="paper"),
        study("dream/table2", profile="cpu", seeds=4),
        study("dream/figure1", methods=("dc+dream",), datasets=("mnist", "cifar10"), ipcs=(1, 50)),
        study("dream/figure3", datasets=("folder:/home/me/my $HOME's data",), profile="paper"),
        study("dream/figure2", seeds=1, ipcs=(10,), store="elsewhere/my results"),
    ],
    ids=lambda one: one.command(),
)
def test_the_command_leads_back_to_the_same_cells(one: Study) -> None:
    again = from_command(one.command())
    assert [cell.name for cell in again.cells] == [cell.name for cell in one.cells]
    assert again.store.root == one.store.root
    assert "\n" not in one.command()


def test_a_plain_study_has_a_plain_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert study("dream/table1").command() == "make table1 PROFILE=quick"
    assert (
        study("dream/table1", store=str(tmp_path / "reports" / "results")).command()
        == "make table1 PROFILE=quick"
    )
    monkeypatch.setenv("DREAMLIB_RESULTS", str(tmp_path))
    assert study("dream/table1").command() == "make table1 PROFILE=quick"


def test_the_command_names_the_plugins(tiny: None) -> None:
    one = study("dream/table1", profile="tiny", methods=("endless",))
    assert "tinyplugin.py" in one.command()
    assert [cell.name for cell in from_command(one.command()).cells] == [cell.name for cell in one.cells]


def test_records_and_missing(tiny: None, tmp_path: Path) -> None:
    one = study("dream/table1", profile="tiny", methods=("random", "dm"), store=Store(tmp_path))
    assert [cell.method for cell in one.missing()] == ["random", "dm"]
    assert one.records() == []
    summary = one.run(workers=1, device="cpu", progress=False)
    assert summary.computed == 2
    assert one.missing() == []
    assert [record["method"] for record in one.records()] == ["random", "dm"]


@pytest.mark.parametrize(
    ("profile", "narrow", "wide"), [("quick", 8, 64), ("cpu", 16, 128), ("paper", 128, 1024)]
)
def test_dm_beside_kip_has_two_widths_in_its_ratio(profile: str, narrow: int, wide: int) -> None:
    cells = study("dm/comparisons", profile=profile, methods=("dm",), ipcs=(10,), seeds=1).cells
    place = [cell for cell in cells if cell.dataset == cells[0].dataset]
    widths = [(cell.recipe.network.width, cell.evaluation.network.width) for cell in place]
    assert widths == [(narrow, narrow)] * 7 + [(wide, wide)]
    assert [cell.step for cell in place[:7]] == list(snapshot_steps(cells[0].recipe.steps))[::-1]
    assert place[-1].step == place[-1].recipe.steps
    assert place[-1].method == f"dm+width{wide}"
    assert place[-1].base == "dm"
    usual = study("dream/table1", profile=profile, methods=("dm",), ipcs=(10,), seeds=1).cells[0]
    # Under the published protocol what Table 1 has measured is found again.
    assert (place[0].key == usual.key) == (profile == "paper")


@pytest.mark.parametrize(
    ("profile", "dataset", "bands"),
    [("quick", "digits", 4), ("cpu", "mnist", 7), ("cpu", "cifar10", 4), ("paper", "cifar10", 7)],
)
def test_figure_f2_has_untrained_networks_every_band_and_all_mixed(
    profile: str, dataset: str, bands: int
) -> None:
    cells = study("dm/figureF2", profile=profile, datasets=(dataset,)).cells
    pools = [cell.recipe.teacher.pool for cell in cells]
    assert pools[0] is None
    assert (
        cells[0].key
        == study("dream/table1", profile=profile, datasets=(dataset,), methods=("dm",), ipcs=(10,))
        .cells[0]
        .key
    )
    assert [len(pool.bands) for pool in pools[1:]] == [1] * bands + [bands]
    assert [pool.fresh for pool in pools[1:]] == [False] * bands + [True]
    assert len({cell.set_key for cell in cells}) == len(cells) == bands + 2
    assert all(cell.with_set for cell in cells)
    assert len({cell.label for cell in cells}) == len(cells)


@pytest.mark.parametrize(
    ("profile", "resnet"), [("quick", "resnet10"), ("cpu", "resnet10"), ("paper", "resnet18")]
)
def test_every_norm_is_learned_with_and_tested_with(profile: str, resnet: str) -> None:
    data = "digits" if profile == "quick" else "cifar10"
    cells = study("dm/batchnorm", profile=profile, datasets=(data,)).cells
    for method, usual in (("dm", "joint"), ("dsa", "frozen")):
        mine = [cell for cell in cells if cell.method.startswith(method)]
        learned = [(c.recipe.network.name, c.recipe.network.norm, c.recipe.matching.statistics) for c in mine]
        three = [("convnet", "batch", usual), (resnet, "batch", usual), (f"{resnet}ap", "batch", usual)]
        expected = [("convnet", "instance", "joint"), *three, ("convnet", "batch", "per class")]
        expected += [(f"{resnet}ap", "batch", "per class")] if method == "dm" else []
        assert learned == [one for one in expected for _ in range(4)]
        assert [c.evaluation.network for c in mine[:4]] == [c.evaluation.network for c in mine[-4:]]
        assert len({c.set_key for c in mine}) == len(expected)
    usual_cell = study("dream/table1", profile=profile, datasets=(data,), methods=("dm",), ipcs=(10,)).cells[
        0
    ]
    assert (cells[0].key == usual_cell.key) == (profile != "quick")  # there with fewer iterations


@pytest.mark.parametrize(
    "item", [name for name, plan in PLANS.items() if name.startswith("dim/") and plan.methods]
)
def test_of_dims_items_one_gets_the_methods_one_asks_for(item: str) -> None:
    """Ablations are DiM's own rows; whoever asks for DM gets no DiM to wait for."""
    own = study(item, profile="quick").cells
    assert {"dim", "gan", "dim-gradient"} & {
        cell.method.split("+")[0] for cell in own
    } or item == "dim/figure7"
    asked = study(item, profile="quick", methods=("dm",), ipcs=(1,)).cells
    assert {cell.method for cell in asked} == {"dm"}
    assert {cell.budget for cell in asked} == {"ipc"}
