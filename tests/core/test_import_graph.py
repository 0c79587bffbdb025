"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dreamlib

ROOT = Path(dreamlib.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ABOVE = {
    "distill",
    "generate",
    "evaluate",
    "recipes",
    "experiments",
    "report",
    "distilled",
    "session",
    "cli",
    "plugins",
}
PARTS = ("samplers", "matchers", "containers", "coresets", "objectives")


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


def siblings(file: Path) -> set[str]:
    """First words below ``dreamlib`` of what a file imports from it."""
    return {name.split(".")[1] for name in imports(file) if name.split(".")[0] == "dreamlib"}


def others(file: Path) -> set[str]:
    """Top names of third-party packages a file imports."""
    return {name.split(".")[0] for name in imports(file)} - {"dreamlib"} - set(sys.stdlib_module_names)


def files(package: str) -> list[Path]:
    """The files of a package or a single module."""
    found = [f for f in MODULES if f.relative_to(ROOT).parts[0] in (package, f"{package}.py")]
    assert found, package
    return found


def test_the_reader_of_imports_sees_them() -> None:
    assert {"samplers", "matchers", "augment"} <= siblings(ROOT / "recipe.py")
    assert "dreamlib.data.ClassData" in set(imports(ROOT / "distill.py"))
    assert "sklearn" in others(ROOT / "data" / "digits.py")  # imported inside a function


@pytest.mark.parametrize("package", ["data", "networks", "augment"])
def test_the_ground_floor_knows_only_errors_and_itself(package: str) -> None:
    allowed = (
        {"torch", "numpy", "torchvision", "sklearn", "pyarrow", "PIL", "scipy"}
        if package == "data"
        else {"torch"}
    )
    for file in files(package):
        assert siblings(file) <= {"errors", package}, file
        assert others(file) <= allowed, file


@pytest.mark.parametrize("package", ["errors", "streams", "registry", "backend"])
def test_the_tools_know_only_errors(package: str) -> None:
    for file in files(package):
        assert siblings(file) <= {"errors"}, file


@pytest.mark.parametrize("package", [*PARTS, "training", "recipe"])
def test_parts_know_nothing_above_them(package: str) -> None:
    for file in files(package):
        assert not siblings(file) & ABOVE, file


@pytest.mark.parametrize(
    ("package", "unknown"),
    [
        ("samplers", {"matchers", "containers", "coresets", "training", "recipe"}),
        ("matchers", {"samplers", "containers", "coresets", "training", "recipe"}),
        ("containers", {"samplers", "matchers", "coresets", "training", "recipe", "objectives"}),
        ("objectives", {"samplers", "matchers", "containers", "coresets", "training", "recipe"}),
        ("coresets", {"matchers", "containers", "training", "recipe"}),
        ("training", {*PARTS, "recipe"}),
        ("evaluate", {*PARTS, "distill", "recipe", "recipes", "experiments", "report", "distilled"}),
        (
            "generate",
            {"distill", "evaluate", "recipes", "experiments", "report", "distilled", "session", "cli"},
        ),
        ("distill", {"evaluate", "recipes", "experiments", "report", "distilled", "session", "cli"}),
        ("recipes", {"distill", "experiments", "report", "distilled", "session", "cli"}),
        ("experiments", {"report", "distilled", "session", "cli"}),
    ],
)
def test_no_import_runs_back_up(package: str, unknown: set[str]) -> None:
    for file in files(package):
        assert not siblings(file) & unknown, file


def test_distillation_knows_parts_by_their_protocols_and_not_by_name() -> None:
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
    named |= {"Generator", "Adversarial", "Logits"}
    for package in ("distill", "generate", "evaluate"):
        for file in files(package):
            assert not {name.split(".")[-1] for name in imports(file)} & named, file


def test_a_report_knows_records_and_never_torch() -> None:
    for file in files("report"):
        assert siblings(file) <= {"atomic", "errors", "report"}, file
        assert not others(file) & {"torch", "torchvision", "safetensors"}, file


def test_nobody_calls_cuda_or_a_global_seed() -> None:
    for file in MODULES:
        calls = {
            node.func.attr
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert not calls & {"cuda", "seed", "set_default_device", "set_rng_state"}, file
        assert not any(name.startswith("numpy.random") or name == "random" for name in imports(file)), file
