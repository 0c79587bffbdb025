"""What surrounds the code says what is so: workflows, forms, badges, the citation, the locks, CONTRIBUTING."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SERVED = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def read(place: str) -> Any:
    return yaml.safe_load((ROOT / place).read_text(encoding="utf-8"))


def test_the_pythons_that_are_served_are_those_that_are_tested_and_shown() -> None:
    assert SERVED == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == f">={SERVED[0]}"
    matrix = read(".github/workflows/tests.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python-version"] == SERVED
    badge = (ROOT / "docs" / "_static" / "python.svg").read_text()
    assert f"<title>Python {', '.join(SERVED)}</title>" in badge
    assert f">{' '.join(SERVED)}</text>" in badge
    assert f"![Python {', '.join(SERVED)}](docs/_static/python.svg)" in (ROOT / "README.md").read_text()
    assert read("environment.yml")["dependencies"][0].removeprefix("python=") in SERVED
    assert (ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-") in SERVED


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_targets_of_the_makefile(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    for job in jobs.values():
        assert job["timeout-minutes"] <= 360  # what a runner is given
        for step in job["steps"]:
            if run := step.get("run"):
                assert re.fullmatch(r"make ([a-z]+)( [A-Z]+=\w+)*", run), run
                assert run.split()[1] in TARGETS, run
            else:
                assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), step


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", ".github/PULL_REQUEST_TEMPLATE.md", "README.md"])
def test_commands_that_are_named_are_there(page: str) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", (ROOT / page).read_text(), flags=re.MULTILINE))
    assert named
    items = list((ROOT / "notebooks").glob("*/*.ipynb"))
    pages = {
        path.stem if path.parent.name == "dream" else f"{path.parent.name}-{path.stem}" for path in items
    }
    assert named <= TARGETS | pages | {path.parent.name for path in items}


def test_files_that_contributing_names_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:dreamlib|tests|examples|reports/reported|notebooks)/[\w./]+)`", text)
    assert len(named) > 8
    for name in named:
        if "NAME" not in name:
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("form", ["lower-number", "add-method"])
def test_forms_ask_for_what_an_answer_needs(form: str) -> None:
    asked = read(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert asked.keys() >= {"name", "description", "body"}
    fields = [field for field in asked["body"] if field["type"] != "markdown"]
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in fields)
    required = {field["id"] for field in fields if field.get("validations", {}).get("required")}
    assert (
        required
        >= {"lower-number": {"command", "mine", "other", "record"}, "add-method": {"paper", "code"}}[form]
    )


def test_hooks_use_the_tools_of_the_environment() -> None:
    (local,) = read(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert all(hook["entry"].startswith(".venv/bin/python ") for hook in local["hooks"])


def test_the_citation_names_this_version_and_the_three_papers() -> None:
    citation = read("CITATION.cff")
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    papers = set(re.findall(r"arxiv\.org/abs/([\d.]+)", (ROOT / "README.md").read_text()))
    names = [name["value"] for entry in citation["references"] for name in entry["identifiers"]]
    cited = {name.removeprefix("10.48550/arXiv.") for name in names}
    assert cited == papers
    assert len(cited) == 3


def locked(file: str, python: str) -> dict[str, Version]:
    """The versions of a lock on a Linux machine with this Python."""
    machine = {"sys_platform": "linux", "implementation_name": "cpython"}
    machine |= {"python_version": python, "python_full_version": f"{python}.0"}
    found = {}
    for line in (ROOT / file).read_text().splitlines():
        if line and not line.startswith("#"):
            pin, _, marker = line.partition(";")
            name, _, version = pin.strip().partition("==")
            if not marker or Marker(marker).evaluate(machine):
                assert name not in found
                found[re.sub(r"[-_.]+", "-", name).lower()] = Version(version)
    return found


@pytest.mark.parametrize("python", SERVED)
def test_the_tools_of_site_and_pdf_are_locked_and_fit_the_lock_of_the_library(python: str) -> None:
    docs, library = locked("requirements-docs.lock", python), locked("requirements.lock", python)
    for line in PROJECT["optional-dependencies"]["docs"] + PROJECT["optional-dependencies"]["paper"]:
        wanted = Requirement(line)
        assert docs[wanted.name] in wanted.specifier, line
    both = docs.keys() & library.keys()
    assert {name: docs[name] for name in both} == {name: library[name] for name in both}
    assert "torch" not in docs


def test_what_one_command_needs_is_not_in_the_lock_of_the_library() -> None:
    library = locked("requirements.lock", SERVED[0])
    extras = PROJECT["optional-dependencies"]
    own = {Requirement(line).name for line in extras["docs"] + extras["paper"]} - {"latex2mathml"}
    assert not own & library.keys()
