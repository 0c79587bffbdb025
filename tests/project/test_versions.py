"""pyproject.toml, requirements.lock and environment.yml say the same."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^\s*(?:- )?([A-Za-z0-9_.-]+)==(\S+)\s*$", re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    return {
        canonical(name): version for name, version in PIN.findall((ROOT / file).read_text(encoding="utf-8"))
    }


def direct() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["test"]]


@pytest.mark.parametrize("file", ["requirements.lock", "environment.yml"])
def test_every_direct_dependency_is_pinned_within_its_range(file: str) -> None:
    found = pins(file)
    for requirement in direct():
        assert canonical(requirement.name) in found, f"{file} lacks {requirement.name}"
        assert Version(found[canonical(requirement.name)]) in requirement.specifier, f"{file}: {requirement}"


def test_environment_holds_the_versions_of_the_lock_and_nothing_else() -> None:
    lock, environment = pins("requirements.lock"), pins("environment.yml")
    assert environment == {canonical(r.name): lock[canonical(r.name)] for r in direct()}


def test_torch_and_torchvision_belong_together() -> None:
    lock = pins("requirements.lock")
    torch, vision = Version(lock["torch"]), Version(lock["torchvision"])
    # torch 2.n was released with torchvision 0.(n + 15) since 2.0.
    assert vision.minor == torch.minor + 15


def test_lock_leaves_cuda_libraries_to_torch() -> None:
    assert not [name for name in pins("requirements.lock") if name.startswith(("nvidia-", "cuda-", "triton"))]
