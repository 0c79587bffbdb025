"""Cells: a key says what was computed, no more and no less."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from copy import copy
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dreamlib.companion.cells import Cell, first_stage, judged_again, make_cell, union
from dreamlib.companion.plans.base import final
from dreamlib.companion.profiles import profiles
from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.distillation.evaluate import Generated
from dreamlib.distillation.recipe import change
from dreamlib.recipes import methods, rule

# The first ten letters of the key of (paper, METHOD, cifar10, IPC 10, seed 0), as in the names of committed records.
PINNED = {
    "random": "86c2738ff5",
    "dc": "3f51996ec8",
    "dm": "a123265b67",
    "idc": "f55c85206d",
    "dream": "14ecbd2d7b",
    "dc+dream": "03602d0984",
}


def paper(method: str = "dm") -> Cell:
    return make_cell("paper", method, "cifar10", 10, 0)


@pytest.mark.parametrize("method", PINNED)
def test_keys_are_those_under_which_records_were_written(method: str) -> None:
    cell = paper(method)
    assert cell.key[:10] == PINNED[method], (
        f"the key of {method} has changed, so every record of it is missing from now on. If its recipe was meant to "
        "change, pin the new key here. If numbers change under an old key, raise NUMERICS in companion/cells.py."
    )


@pytest.mark.processes
def test_keys_are_the_same_in_another_process_with_another_hash_seed() -> None:
    program = (
        "from dreamlib.companion.cells import make_cell\n"
        "from dreamlib.recipes import methods\n"
        "for m in sorted(methods): print(m, make_cell('paper', m, 'mnist', 1, 3).key)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    theirs = dict(line.split() for line in run.stdout.splitlines())
    assert {"dm", "dc", "dream"} <= set(theirs)
    assert theirs == {method: make_cell("paper", method, "mnist", 1, 3).key for method in theirs}


def other(value: Any) -> Any:
    """A value of the same kind that is not this one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case None:
            return 7
        case tuple():
            return (*value, 0.25)
    raise AssertionError(value)


def variants(data: Any) -> list[tuple[str, Any]]:
    """``data`` with each of its plain fields changed in turn, at any depth."""
    out = []
    for field in fields(data):
        value = getattr(data, field.name)
        changed = variants(value) if is_dataclass(value) else [("", other(value))]
        out += [(f"{field.name}.{path}", _with(data, field.name, inner)) for path, inner in changed]
    return out


def _with(data: Any, name: str, value: object) -> Any:
    """``replace`` without the checks of the class: a key need not make sense."""
    changed = copy(data)
    object.__setattr__(changed, name, value)
    return changed


@pytest.mark.parametrize("method", ["dc", "dim", "dream", "gan", "herding"])
def test_every_setting_counts(method: str) -> None:
    cell = paper(method)
    seen = {cell.key: "the cell itself"}
    candidates = [(path, replace(cell, recipe=recipe)) for path, recipe in variants(cell.recipe)]
    candidates += [(path, replace(cell, evaluation=how)) for path, how in variants(cell.evaluation)]
    # Of a generator's images none is stored: their number is a setting of its evaluation.
    names = ("seed", "step") if cell.recipe.drawn else ("ipc", "seed", "step")
    candidates += [(name, replace(cell, **{name: other(getattr(cell, name))})) for name in names]
    candidates += [("dataset", replace(cell, dataset="mnist"))]
    for path, changed in candidates:
        assert changed.key not in seen, f"{path} and {seen.get(changed.key)} have one key"
        seen[changed.key] = path
    assert len(seen) > 40


def test_a_generator_is_one_for_every_inpc() -> None:
    few, many = (make_cell("paper", "dim", "cifar10", inpc, 0) for inpc in (1, 50))
    assert few.set_key == many.set_key
    assert few.set_name == many.set_name
    assert few.key != many.key
    assert "-inpc50-" in many.name
    assert (many.evaluation.generated, many.budget) == (Generated(per_class=50), "inpc")
    once = replace(many, evaluation=replace(many.evaluation, generated=Generated(50, fresh=False)))
    assert (once.budget, once.set_key) == ("ipc", many.set_key)
    assert replace(many, seed=1).set_key != many.set_key


def test_stored_images_stay_what_they_are_where_they_are_judged_as_generators_are() -> None:
    cell = make_cell("paper", "dm", "cifar10", 10, 0, judged_as="dim")
    assert (cell.budget, cell.evaluation.generated, cell.evaluation.protocol) == ("ipc", None, "dim")
    assert make_cell("paper", "dim", "cifar10", 10, 0, judged_as="dsa").budget == "inpc"


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_ablations_of_the_matcher_share_one_first_stage_that_is_the_gan(profile: str) -> None:
    gan = make_cell(profile, "gan", "digits", 10, 0)
    rows = [
        make_cell(profile, method, "digits", ipc, 0) for method in ("dim", "dim-gradient") for ipc in (1, 10)
    ]
    for setting in ({"criterion.weight": 1.0}, {"criterion.matched_batch": 32}, {"teacher.lr": 0.1}):
        rows.append(make_cell(profile, "dim", "digits", 10, 0, recipe_rules=(rule("test", setting),)))
    assert len({row.set_key for row in rows}) == 5
    for row in rows:
        first = first_stage(row)
        assert first is not None
        assert (first.set_key, first.set_name) == (gan.set_key, gan.set_name)
        assert first.step == row.recipe.kept[0] in gan.recipe.kept
    wider = make_cell(profile, "dim", "digits", 10, 0, recipe_rules=(rule("test", {"container.width": 8}),))
    other_first = first_stage(wider)
    assert other_first is not None
    assert other_first.set_key != gan.set_key
    assert first_stage(gan) is None
    assert first_stage(make_cell(profile, "dm", "digits", 10, 0)) is None


@pytest.mark.parametrize("profile", ["quick", "cpu", "paper"])
def test_coresets_of_a_seed_are_chosen_by_one_network(profile: str) -> None:
    """That of Herding, K-Center and Forgetting at every budget; another seed or data set has another one."""

    def network(method: str, ipc: int, seed: int, dataset: str = "digits") -> str:
        (need,) = make_cell(profile, method, dataset, ipc, seed).needs
        return need.set_key

    names = ("herding", "k-center", "forgetting")
    assert len({network(name, ipc, 0) for name in names for ipc in (1, 10, 50)}) == 1
    assert len({network("herding", 1, 0), network("herding", 1, 1), network("herding", 1, 0, "mnist")}) == 3
    assert make_cell(profile, "random", "digits", 1, 0).needs == ()


def test_generators_make_no_union() -> None:
    cell = paper("dim")
    with pytest.raises(BadValue, match="a union of generators"):
        union(cell, [cell])


def test_another_class_of_part_counts_even_with_the_same_fields() -> None:
    assert methods["dm"].recipe.matching.sampler.every == 1
    sampler = paper("dm+dream").recipe.matching.sampler
    plugged = replace(paper(), recipe=change(paper().recipe, "sampler", sampler))
    assert plugged.key == paper("dm+dream").key != paper().key


def test_what_only_a_reader_sees_does_not_count() -> None:
    cell = paper()
    for name, value in (
        ("label", "D M"),
        ("base", "dc"),
        ("sources", {"all": "hearsay"}),
        ("profile", "mine"),
    ):
        changed = replace(cell, **{name: value})
        assert (changed.key, changed.set_key) == (cell.key, cell.set_key), name


def test_cells_that_are_judged_differently_share_their_set() -> None:
    final, early = paper("dc"), make_cell("paper", "dc", "cifar10", 10, 0, step=0)
    assert final.set_key == early.set_key
    assert final.key != early.key
    assert final.set_name == early.set_name
    assert final.name != early.name
    assert "-at0-" in early.name
    judged = replace(final, evaluation=replace(final.evaluation, networks=1))
    assert judged.set_key == final.set_key != paper("dsa").set_key


def test_a_row_of_the_common_protocol_is_judged_by_the_set_of_its_method() -> None:
    own = paper("kip")
    again = judged_again(own)
    assert again is not None
    assert (again.set_key, again.set_name) == (own.set_key, own.set_name)
    assert again.key != own.key
    assert (again.method, again.base, again.evaluation.protocol) == ("kip+common", "kip", "dsa-squares")
    assert [cell.key for cell in final("paper", "kip", "cifar10", 10, 0)] == [own.key, again.key]
    assert again.sources["evaluation"].startswith("DSA's protocol")


@pytest.mark.parametrize("dataset", ["cifar10", "mnist"])
def test_the_common_protocol_is_dsas_but_for_what_the_labels_need(dataset: str) -> None:
    """Issue 19: ConvNet-3, the labels as the set has them."""
    dsa = make_cell("paper", "dsa", dataset, 10, 0).evaluation
    assert judged_again(paper("dsa")) is None
    made = judged_again(make_cell("paper", "kip", dataset, 10, 0))
    assert made is not None
    again = made.evaluation
    assert vars(again.learner) == vars(dsa.learner)
    assert replace(again, protocol="dsa", learner=dsa.learner) == dsa


def test_a_cell_survives_pickling_and_hashing() -> None:
    cell = paper("dream")
    copy = pickle.loads(pickle.dumps(cell))
    assert copy == cell
    assert {copy: 1}[cell] == 1
    assert copy.key == cell.key


def test_names_are_fit_for_files(tiny: None) -> None:
    long = make_cell("tiny", "dm", "folder:/home/me/" + "deep/" * 80 + "my data (new)", 1, 0)
    assert len(long.name) < 150
    assert long.name.endswith(f"my_data_new-dm-ipc1-s0-{long.key[:10]}")
    assert "/" not in long.set_name
    assert "/" not in replace(long, method="my/own").name
    assert paper("dc+dream").name.startswith("cifar10-dc+dream-ipc10-s0-")


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("papr", "dm", "digits", 1, 0), UnknownName, "did you mean 'paper'"),
        (("quick", "drem", "digits", 1, 0), UnknownName, "did you mean 'dream'"),
        (("quick", "dm", "digit", 1, 0), UnknownName, "did you mean 'digits'"),
        (("quick", "dm", "parquet:", 1, 0), UnknownName, "parquet:PATH"),
        (("quick", "dm", "digits", 0, 0), BadValue, "IPC is 0; expected at least 1"),
        (("quick", "dm", "digits", 10**8, 0), BadValue, "IPC is 100000000; expected .* up to 100000"),
        (("quick", "dm", "folder:\udcff", 1, 0), BadValue, "not valid Unicode"),
        (("quick", "dm", "digits", 1, 2**63), BadValue, "expected 0 or more, and less than 2"),
        (("quick", "dm", "digits", 1, -1), BadValue, "seed is -1; expected 0 or more"),
    ],
)
def test_bad_values_are_named(arguments: tuple[Any, ...], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make_cell(*arguments)


def test_only_steps_whose_set_is_kept_can_be_judged() -> None:
    assert make_cell("paper", "dm", "cifar10", 10, 0, step=20000) == paper()
    with pytest.raises(BadValue, match="after step 7; expected one of 0, 1000, 2000"):
        make_cell("paper", "dm", "cifar10", 10, 0, step=7)


def test_profiles_differ(tiny: None) -> None:
    assert len({make_cell(name, "dm", "digits", 1, 0).key for name in profiles}) == len(profiles) == 4


def test_the_folder_of_tests_is_no_part_of_a_key() -> None:
    assert str(Path.cwd()) not in str(paper().describe())
