"""Every published recipe and evaluation in one readable file: what holds everywhere, and where it differs.

The file is ``resolved.json``. A test compares it with the code. When a setting is meant to change, write it again
and commit the difference::

    python tests/recipes/resolved.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from dreamlib.core.registry import as_data
from dreamlib.data import names as datasets
from dreamlib.distillation.recipe import Recipe
from dreamlib.recipes import methods, protocol
from dreamlib.recipes.protocols import names as protocols

FILE = Path(__file__).with_name("resolved.json")
BUDGETS = (1, 10, 20, 30, 40, 50, 100)

Settings = dict[str, Any]  # plain values by dotted path
Cells = dict[tuple[str, int], Settings]  # by data set and budget


def flat(value: Any, path: str = "") -> Settings:
    """Nested plain data as one value a line; a part stands at its own path by its name."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = {str(place): item for place, item in enumerate(value)}
    if not isinstance(value, dict):
        return {path: value}
    inner = [
        flat(item, path if name == "part" else f"{path}.{name}".lstrip(".")) for name, item in value.items()
    ]
    return {name: item for part in inner for name, item in part.items() if name}


def told(cells: Cells, known: Cells) -> dict[str, Settings]:
    """The settings of ``cells`` that are not ``known``, each in the widest block where it is the same all over."""
    known = {place: dict(known.get(place, {})) for place in cells}
    blocks: dict[str, list[tuple[str, int]]] = {"everywhere": list(cells)}
    for name, ipc in cells:
        blocks.setdefault(name, []).append((name, ipc))
    for name, ipc in cells:
        blocks.setdefault(f"IPC {ipc}", []).append((name, ipc))
    blocks |= {f"{name}, IPC {ipc}": [(name, ipc)] for name, ipc in cells}
    out: dict[str, Settings] = {}
    for block, places in blocks.items():
        for name, value in cells[places[0]].items():
            shared = all(cells[place].get(name, ...) == value for place in places)
            if shared and any(known[place].get(name, ...) != value for place in places):
                out.setdefault(block, {})[name] = value
                for place in places:  # of another part nothing is known
                    inner = [one for one in known[place] if one.startswith(f"{name}.")]
                    known[place] = {one: it for one, it in known[place].items() if one not in inner}
                    known[place][name] = value
    return out


def cells(value: Callable[[str, int], Any]) -> Cells:
    """The settings of something in every cell."""
    return {place: flat(as_data(value(*place))) for place in product(datasets(), BUDGETS)}


def judged(name: str, factor: int) -> Cells:
    """An evaluation protocol, for sets of so many formations."""
    facts = {"method": name, "factor": factor}
    return cells(lambda dataset, ipc: protocol(name, {**facts, "dataset": dataset, "ipc": ipc})[0])


def resolved() -> str:
    """What the file should hold: methods (a variant by its differences from its base), then evaluations."""
    known = {"default": cells(lambda *_: Recipe())}
    out: dict[str, Any] = {"default": flat(as_data(Recipe())), "methods": {}, "evaluations": {}}
    for name, method in methods.items():
        base = method.base if method.base in methods else "default"
        known[name] = cells(lambda *place, one=method: one.resolve(*place)[0])
        judges = [method.protocol, method.common] if method.common else [method.protocol]
        about = {"like": base, "judged by": ", ".join(judges), "reported as": method.reported_as}
        out["methods"][name] = {**about, **told(known[name], known[base])}
    for name in protocols():
        out["evaluations"][name] = told(judged(name, 1), {})
        out["evaluations"][f"{name}, factor 2"] = told(judged(name, 2), judged(name, 1))
    return json.dumps(out, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(resolved(), encoding="utf-8")
    print(
        f"{FILE.name}: {len(FILE.read_text(encoding='utf-8').splitlines())} lines; git diff shows what changed"
    )
