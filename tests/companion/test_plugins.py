"""Plug-ins: a user's own parts in one file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dreamlib.companion.cells import make_cell
from dreamlib.companion.profiles import Profile, profiles
from dreamlib.core import plugins
from dreamlib.core.errors import PluginError
from dreamlib.recipes import methods

SAMPLER = Path(__file__).parents[1].joinpath("usersampler.py").read_text()

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.processes]


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_sampler_and_its_method_fit_on_a_page() -> None:
    assert len(SAMPLER.splitlines()) < 30


def test_a_file_is_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "mine.py", SAMPLER)
    first = plugins.load([path, str(path)])
    monkeypatch.chdir(tmp_path)
    assert plugins.load(["mine.py", "./mine.py"]) == first
    assert len(set(first)) == 1
    assert sys.modules[first[0]].Middling.__module__ == first[0]
    assert plugins.files()[1:] == (str(path),)
    assert "mine" in methods


def test_the_key_follows_the_source_and_not_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {}
    for name, text in (
        ("first", SAMPLER),
        ("copy", SAMPLER),
        ("edited", SAMPLER.replace("largest=False", "largest=True")),
        ("helper", SAMPLER + "\n\nSCALE = 2  # a helper beside the class\n"),
    ):
        monkeypatch.setattr(methods, "_methods", {key: methods[key] for key in methods if key != "mine"})
        plugins.load([put(tmp_path / name / f"{name}.py", text)])
        keys[name] = make_cell("tiny", "mine", "digits", 1, 0).key
    assert keys["first"] == keys["copy"]
    assert len({keys["first"], keys["edited"], keys["helper"]}) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 / 0\n", r"line 1 failed to import: ZeroDivisionError"),
        ("\n\nimport nothing_of_this_name\n", r"line 3 failed to import: ModuleNotFoundError"),
        ("def broken(:\n", r"failed to import: SyntaxError"),
        ("raise SystemExit(0)\n", r"line 1 failed to import: SystemExit"),
        ("from dreamlib import samplers\n@samplers.register('mine')\nclass Mine: ...\n", "frozen dataclass"),
        (
            "from dreamlib import methods\nmethods.register(methods['dm'].using(image_lr=9.0, name='dc'))\n",
            "exists",
        ),
        ("from dreamlib import methods\nmethods['dm'].using(image_rate=9.0)\n", "unknown field of Recipe"),
    ],
)
def test_a_broken_file_is_an_error_that_can_be_mended_and_tried_again(
    tmp_path: Path, text: str, says: str
) -> None:
    path = put(tmp_path / "mine.py", text)
    for _ in range(2):
        with pytest.raises((PluginError, ValueError), match=says):
            plugins.load([path])
    assert str(path) not in plugins.files()
    path.write_text(SAMPLER + "# mended\n")
    plugins.load([path])
    assert str(path) in plugins.files()


def test_what_is_no_python_file(tmp_path: Path) -> None:
    for path, says in (
        (tmp_path / "missing.py", "is not a file"),
        (tmp_path, "is not a file"),
        (put(tmp_path / "notes.txt", "hello"), "is not a Python file"),
    ):
        with pytest.raises(PluginError, match=says) as caught:
            plugins.load([path])
        assert "PLUGINS=" in caught.value.hint


def test_a_profile_of_ones_own() -> None:
    mine = Profile("mine", "for me", ("digits",), (1,), 1)
    assert profiles.register(mine) is profiles.register(mine) is profiles["mine"]
    with pytest.raises(PluginError, match="a profile named 'mine' exists already"):
        profiles.register(Profile("mine", "for you", ("digits",), (1,), 1))
    with pytest.raises(PluginError, match="'quick'"):
        profiles.register(Profile("quick", "mine", ("digits",), (1,), 1))
