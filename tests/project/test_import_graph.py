"""Who may import whom, read from the sources."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "dreamlib"
MODULES = sorted(ROOT.rglob("*.py"))

# The storeys of the house, from the ground up. A room knows those below it; of its neighbours it knows only whom the
# second table names.
STOREYS: list[set[str]] = [
    {"core"},
    {"compute", "data", "augment", "networks"},
    {"samplers", "matchers", "containers", "coresets", "teachers"},
    {"criteria"},
    {"distillation"},
    {"recipes"},
    {"companion"},
]
NEIGHBOURS = {
    "compute": {"data"},  # where caches lie
    "networks": {"compute", "augment"},  # how networks learn
    "coresets": {"samplers"},  # both look at the same view of the real images
    "teachers": {"containers"},  # networks learn from what a container holds
}
STOREY = {room: number for number, rooms in enumerate(STOREYS) for room in rooms}


def imports(file: Path) -> Iterator[str]:
    """Absolute dotted names of everything a file imports, inside functions too; packages with their members."""
    package = ["dreamlib", *file.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def rooms(file: Path) -> set[str]:
    """First words below ``dreamlib`` of what a file imports from it."""
    return {name.split(".")[1] for name in imports(file) if name.split(".")[0] == "dreamlib"}


def others(file: Path) -> set[str]:
    """Top names of third-party packages a file imports."""
    return {name.split(".")[0] for name in imports(file)} - {"dreamlib"} - set(sys.stdlib_module_names)


def files(room: str) -> list[Path]:
    """The files of a room, or of one inside it."""
    found = [f for f in MODULES if f.is_relative_to(ROOT / room)]
    assert found, room
    return found


def test_the_reader_of_imports_sees_them() -> None:
    assert {"containers", "criteria", "teachers"} <= rooms(ROOT / "distillation" / "recipe.py")
    assert "dreamlib.data.ClassData" in set(imports(ROOT / "distillation" / "loop.py"))
    assert "sklearn" in others(ROOT / "data" / "digits.py")  # imported inside a function


def test_every_file_lies_in_a_room() -> None:
    assert {f.relative_to(ROOT).parts[0] for f in MODULES} == {*STOREY, "__init__.py", "__main__.py"}


@pytest.mark.parametrize("room", sorted(STOREY))
def test_no_import_runs_up(room: str) -> None:
    below = {other for other in STOREY if STOREY[other] < STOREY[room]}
    for file in files(room):
        assert rooms(file) <= {room, *below, *NEIGHBOURS.get(room, ())}, file


def test_no_files_import_each_other_in_a_circle() -> None:
    def place(name: str) -> Path | None:
        """The file that defines a dotted name: a module, or the one that a member is taken from."""
        parts = name.split(".")[1:]
        for length in (len(parts), len(parts) - 1):
            path = ROOT.joinpath(*parts[:length])
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.is_file():
                    return file
        return None

    own = {file: {name for name in imports(file) if name.split(".")[0] == "dreamlib"} for file in MODULES}
    graph = {file: {place(name) for name in names} - {file, None} for file, names in own.items()}
    del graph[ROOT / "__init__.py"]  # what it names is imported when it is asked for
    list(graphlib.TopologicalSorter(graph).static_order())  # raises for a circle


@pytest.mark.parametrize("room", sorted(STOREYS[1]))
def test_the_ground_floor_stands_on_few_packages(room: str) -> None:
    allowed = (
        {"torch"}
        if room != "data"
        else {"torch", "numpy", "torchvision", "sklearn", "pyarrow", "PIL", "scipy", "safetensors"}
    )
    for file in files(room):
        assert others(file) <= allowed, file


def test_a_loop_knows_parts_by_their_protocols_and_not_by_name() -> None:
    named = {
        "Random",
        "Representative",
        "GradientNormBand",
        "Gradient",
        "Feature",
        "Pixels",
        "MultiFormation",
    }
    named |= {"Noise", "RealImages", "RepresentativeImages", "Herding", "KCenter", "Forgetting"}
    named |= {"Generator", "Adversarial", "Logits", "Matching", "Generative", "Networks", "ModelsPool"}
    for name in ("loop", "selection", "evaluate"):
        file = ROOT / "distillation" / f"{name}.py"
        assert not {name.split(".")[-1] for name in imports(file)} & named, file


def test_a_report_knows_records_and_no_torch() -> None:
    for file in files("companion/report"):
        own = {name for name in imports(file) if name.startswith("dreamlib.")}
        known = (
            "dreamlib.companion.report",
            *(f"dreamlib.core.{name}" for name in ("atomic", "errors", "limits", "places", "reading")),
        )
        assert all(name.startswith(known) for name in own), file
        assert not others(file) & {"torch", "torchvision", "safetensors"}, file


@pytest.mark.processes
def test_what_needs_no_torch_does_not_load_it() -> None:
    ask = "import sys, importlib\n" + "\n".join(
        f"importlib.import_module('dreamlib.companion.{name}'); assert 'torch' not in sys.modules, '{name}'"
        for name in ("report.tables", "report.html", "cli")
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nobody_calls_cuda_or_a_global_seed() -> None:
    for file in MODULES:
        calls = {
            node.func.attr
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert not calls & {"cuda", "seed", "set_default_device", "set_rng_state"}, file
        assert not any(name.startswith("numpy.random") or name == "random" for name in imports(file)), file
