"""Names for parts, and parts as plain data."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from dreamlib.core.errors import BadValue, PluginError, UnknownName
from dreamlib.core.registry import Registry, as_data
from dreamlib.matchers import Gradient
from dreamlib.samplers import SAMPLERS, Representative


class Part(Protocol):
    pass


@dataclass(frozen=True)
class Good:
    size: int = 3


@pytest.fixture
def registry() -> Registry[Part]:
    out: Registry[Part] = Registry("tool")
    out.register("good")(Good)
    return out


def test_a_registry_finds_names_and_parts(registry: Registry[Part]) -> None:
    assert registry["good"] is Good
    assert list(registry) == ["good"]
    assert len(registry) == 1
    assert registry.name_of(Good(5)) == "good"


def test_an_unknown_name_lists_the_known_and_points_at_the_nearest(registry: Registry[Part]) -> None:
    with pytest.raises(UnknownName, match="unknown tool 'goood'; valid: good") as caught:
        registry["goood"]
    assert caught.value.hint == "did you mean 'good'?"


def test_an_unregistered_part_is_an_error(registry: Registry[Part]) -> None:
    with pytest.raises(BadValue, match="Representative is no registered tool; registered: good"):
        registry.name_of(Representative())


class Stateless:
    pass


@dataclass
class Thawed:
    size: int = 3


@pytest.mark.parametrize("part", [Stateless, Thawed])
def test_a_part_must_be_a_frozen_dataclass(registry: Registry[Part], part: type) -> None:
    with pytest.raises(PluginError, match=f"tool 'mine' \\({part.__name__}\\) is not a frozen dataclass"):
        registry.register("mine")(part)
    assert len(registry) == 1


def test_a_name_is_given_once(registry: Registry[Part]) -> None:
    @dataclass(frozen=True)
    class Other:
        pass

    with pytest.raises(PluginError, match="tool 'good' is already Good"):
        registry.register("good")(Other)
    assert registry.register("good")(Good) is Good  # a module imported again


def test_parts_become_plain_data() -> None:
    assert as_data(Representative(pool=5)) == {
        "part": "Representative",
        "every": 10,
        "each": 1,
        "pool": 5,
        "space": "stored",
        "rounds": 100,
    }
    nested = {
        "a": [1, 2.5, "x", True, None],
        "b": {"part": "Gradient", "metric": "cosine", "layers": "weights"},
    }
    assert as_data({"a": (1, 2.5, "x", True, None), "b": Gradient()}) == nested
    json.dumps(as_data(Gradient()))


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), lambda: 0, Representative], ids=["set", "object", "function", "class"]
)
def test_what_is_no_plain_value_is_refused(value: Any) -> None:
    with pytest.raises(BadValue, match="cannot stand in a recipe"):
        as_data([value])


@dataclass(frozen=True)
class Nested:
    inner: Good = field(default_factory=Good)


def test_dreamlibs_own_parts_carry_no_source_and_a_users_do() -> None:
    assert "source" not in as_data(SAMPLERS["random"]())
    found = as_data(Nested())
    assert len(found["source"]) == len(found["inner"]["source"]) == 16
    assert found["source"] != found["inner"]["source"]


def test_a_users_part_that_was_edited_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    text = "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Mine:\n    size: int = {}\n"
    hashes = []
    for body in ("1", "1", "2"):
        (tmp_path / "edited_part.py").write_text(text.format(body))
        sys.modules.pop("edited_part", None)
        importlib.invalidate_caches()
        hashes.append(as_data(importlib.import_module("edited_part").Mine())["source"])
    sys.modules.pop("edited_part", None)
    assert hashes[0] == hashes[1] != hashes[2]
