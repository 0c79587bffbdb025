"""What must be true of a record that is committed, whoever computed it and however long ago."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from dreamlib.companion.cells import NUMERICS, Cell
from dreamlib.companion.measurements import Measurement
from dreamlib.companion.plans import PLANS
from dreamlib.companion.profiles import profiles
from dreamlib.companion.store import SCHEMA, Store
from dreamlib.companion.studies import study
from dreamlib.core.errors import Damaged
from dreamlib.core.files import digest, read_json
from dreamlib.core.registry import as_data

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "reports" / "results"


def committed() -> list[Path]:
    """The records of cells in this repository: what git knows; benchmarks have another form."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "reports/results/*/*.json"], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.parent.name in set(profiles) and path.exists()]


def measured() -> list[Path]:
    """What notebooks measured by themselves, as far as git knows it."""
    words = ["git", "ls-files", "-z", "reports/results/*/measured/*.json"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).exists()]


def problems_of_measurement(path: Path) -> list[str]:
    """What is wrong with such a file; nothing where all is well."""
    try:
        found = read_json(path)
        of = Measurement(*(found[name] for name in ("item", "profile", "about", "dataset", "of")))
    except (Damaged, KeyError) as error:
        return [f"it is no measurement: {error!r}"]
    wrong = []
    if found["key"] != of.key:
        wrong.append(f"its key is not that of what it describes, {of.key}")
    if path != Store(RESULTS).measurement_path(of):
        wrong.append(f"today's code calls it {of.profile}/measured/{of.name}")
    if of.item not in PLANS:
        wrong.append(f"there is no page {of.item}")
    return wrong


@cache
def planned(profile: str) -> tuple[dict[str, Cell], dict[str, set[str]]]:
    """The cells of every item under a profile, by key; and the keys of those that look alike from outside."""
    by_key: dict[str, Cell] = {}
    alike: dict[str, set[str]] = defaultdict(set)
    for item in PLANS:
        for cell in study(item, profile=profile).cells:
            for one in (cell, *cell.parts):
                by_key[one.key] = one
                alike[looks(one.describe())].add(one.key)
    return by_key, dict(alike)


def looks(about: dict[str, Any]) -> str:
    """What a reader sees of a record: a table's place, its judge and its mode."""
    seen = ("profile", "method", "label", "dataset", "ipc", "seed", "iteration")
    what = [about[name] for name in seen]
    return digest(
        [*what, about["recipe"]["mode"], about["evaluation"]["network"], about["evaluation"]["protocol"]]
    )


def key_of(about: dict[str, Any]) -> str | None:
    """The key that today's code gives to what a record describes; None for a union, described by its parts' names."""
    if about.get("parts"):
        return None
    recipe = about["recipe"]
    stored = 0 if recipe["container"]["part"] == "Generator" else about["ipc"]  # it is one for every number
    set_key = digest([NUMERICS, recipe, about["dataset"], stored, about["seed"]])
    return digest([NUMERICS, set_key, about["evaluation"], about["iteration"]])


def problems(path: Path) -> list[str]:
    """What is wrong with a record; nothing where all is well."""
    try:
        record = read_json(path)
    except Damaged as error:
        return [str(error)]
    try:
        return list(_problems(path, record))
    except (KeyError, TypeError) as error:
        return [f"it is no record of a cell: {error!r}"]


def _problems(path: Path, record: dict[str, Any]) -> Iterable[str]:
    key = record["key"]
    if record["schema"] != SCHEMA:
        yield f"schema {record['schema']}, not {SCHEMA}"
    if record["profile"] != path.parent.name:
        yield f"a record of profile {record['profile']} among those of {path.parent.name}"
    if not path.stem.endswith(f"-{key[:10]}"):
        yield f"its name does not carry its key {key[:10]}"
    if key_of(record) not in (None, key):
        yield f"its key is not that of what it describes, {key_of(record)}"
    by_key, alike = planned(record["profile"])
    if key in by_key:
        cell = by_key[key]
        if path.stem != cell.name:
            yield f"today's code calls it {cell.name}"
        if (record["recipe"], record["evaluation"]) != (as_data(cell.recipe), as_data(cell.evaluation)):
            yield "it describes other settings than those of its cell"
    elif today := alike.get(looks(record)):
        yield f"today's code computes another cell in its place, {', '.join(key[:10] for key in sorted(today))}"
    for field, accuracies in (("accuracies", record["accuracies"]), *record.get("accuracies_on", {}).items()):
        if len(accuracies) != record["evaluation"]["networks"]:
            yield f"{field}: {len(accuracies)} numbers of {record['evaluation']['networks']} networks"
        if not all(isinstance(number, float | int) and 0 <= number <= 100 for number in accuracies):
            yield f"{field}: {accuracies} are no percentages"
