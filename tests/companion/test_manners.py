"""How the command line and a notebook treat who types: names, numbers, parameters, progress, scripts."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell
from tinyruns import PLUGIN, Command, cell, numbers, run_words, words

import dreamlib
from dreamlib.companion import cli, session
from dreamlib.companion.cli import main
from dreamlib.companion.progress import Progress
from dreamlib.companion.session import Session
from dreamlib.companion.store import Store
from dreamlib.companion.studies import study
from dreamlib.core.errors import UnknownName, known
from dreamlib.data import load

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.processes]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("word", ["--version", "-v --version"])
def test_the_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(word.split())
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"dreamlib {dreamlib.__version__}\n"


def test_help_and_version_import_no_torch() -> None:
    code = "import sys; from dreamlib.companion.cli import main\ntry: main(sys.argv[1:])\n"
    code += "except SystemExit: sys.exit('torch' in sys.modules)"
    for word in ("--help", "--version", "run --help", "completion bash"):
        assert (
            subprocess.run([sys.executable, "-c", code, *word.split()], capture_output=True).returncode == 0
        )


@pytest.mark.parametrize("shell", ["bash", "tcsh", "zsh"])
def test_a_shell_can_complete_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("status", "export", "profile", "deterministic"):
        assert word in script
    if shell == "bash":
        line = "complete_test() { COMP_WORDS=(dreamlib run --prof); COMP_CWORD=2; _shtab_dreamlib; "
        typed = f'{script}\n{line} echo "${{COMPREPLY[@]}}"; }}; complete_test'
        done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["--profile"]


def test_without_its_library_completion_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "completion needs the package shtab\n  try: python -m pip install shtab" in capsys.readouterr().err


def test_names_in_any_case(tmp_path: Path) -> None:
    typed = study(
        "Dream/TABLE1", profile="TINY", datasets=["MNIST"], methods=["DM", "dc+Dream"], store=str(tmp_path)
    )
    plain = study(
        "dream/table1", profile="tiny", datasets=["mnist"], methods=["dm", "dc+dream"], store=str(tmp_path)
    )
    assert [one.key for one in typed.cells] == [one.key for one in plain.cells]
    assert typed.command() == plain.command()
    assert load("DIGITS").name == "digits"
    assert cell("DM", dataset="Digits@holdout").name == cell("dm", dataset="digits@holdout").name


def test_names_that_differ_in_nothing_but_case_are_taken_as_they_are() -> None:
    assert known("part", "A", ["a", "A"]) == "A"
    with pytest.raises(UnknownName):
        known("part", "ab", ["aB", "Ab"])


def test_arguments_are_checked_before_forecasts_and_notebooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was computed first")

    monkeypatch.setattr("dreamlib.companion.run.run_cells", never)
    monkeypatch.setattr("dreamlib.companion.studies.run_cells", never)
    for more in ("--workers -5", "--device abacus", "--memory-gb inf", "--memory-gb 0", "--for 0"):
        assert main(words(tmp_path, "--methods", "dm", *more.split())) == 2
    notebook = [
        "notebook",
        "dream/table1",
        "--profile",
        "tiny",
        "--plugins",
        PLUGIN,
        "--results",
        str(tmp_path),
    ]
    for more in ("--workers -5", "--device abacus", "-p profil=cpu", "-p seeds"):
        assert main([*notebook, *more.split()]) == 2
    said = capsys.readouterr().err
    assert "unknown notebook parameter 'profil'" in said
    assert "did you mean 'profile'" in said
    assert "parameter 'seeds'; expected NAME=VALUE" in said


def test_a_short_time_is_not_spent_on_a_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def note(*_: object, forecast: bool, **__: object) -> None:
        asked.append(forecast)
        raise KeyboardInterrupt

    monkeypatch.setattr("dreamlib.companion.run.run_cells", note)
    command = [word for word in run_words(tmp_path, "dm") if word != "--quiet"]
    for more in (["--for", "90s"], ["--for", "1h"], [], ["--no-forecast"], ["--quiet"]):
        assert main([*command, *more]) == 130
    assert asked == [False, True, True, False, False]


def test_the_start_is_part_of_the_time_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def slow(*about: Any) -> Any:
        time.sleep(0.3)
        return studies(*about)

    def note(*_: object, seconds: float, **__: object) -> None:
        given.append(seconds)
        raise KeyboardInterrupt

    studies = cli._studies
    monkeypatch.setattr(cli, "_studies", slow)
    monkeypatch.setattr("dreamlib.companion.run.run_cells", note)
    main(run_words(tmp_path, "dm", "--for", "60s"))
    assert given[0] < 59.7


def test_misspelt_parameters_of_plain_papermill_stop_before_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = InteractiveShell()
    monkeypatch.setattr(session, "get_ipython", lambda: shell)
    injected = papermill.translators.PythonTranslator.codify({"profile": "tiny", "sedes": 3})
    own = 'profile: str = "quick"\nseeds: int = 0\nlabel: int = 0  # which class'
    shell.user_ns["In"] = ["", own, injected]
    with pytest.raises(UnknownName, match=r"unknown notebook parameter 'sedes'(.|\n)*did you mean 'seeds'"):
        Session("dream/table1")
    # What a notebook alone has is a parameter too, and one's own variables are one's own.
    shell.user_ns["In"] = ["", own, injected.replace("sedes", "label"), "sedes = 3", "%timeit 1"]
    Session("dream/table1")


def test_a_log_gets_single_lines_and_a_terminal_a_bar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [cell("dm"), cell("dc")]

    def told(terminal: bool, shown: bool = True) -> str:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        with Progress(Store(tmp_path), cells, cells, shown) as progress:
            for step in range(500):
                progress.say(f"dm distill {step}/500")
            progress.done(cells[0])
            progress.last -= 31  # half a minute later
            progress.say("dm distill 7/500")
            progress.done(cells[1])
        return capsys.readouterr().err

    first, second = (one.name for one in cells)
    lines = f"1/2 cells: {first}\ndm distill 7/500\n2/2 cells: {second}\n"
    assert told(terminal=False) == lines
    assert "\r" in told(terminal=True)
    assert told(terminal=True, shown=False) == told(terminal=False, shown=False) == ""


def test_a_warning_is_a_sentence_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(_: object) -> int:
        sys.stderr.write(warnings.formatwarning("the sky is falling", UserWarning, "file.py", 1))
        return 0

    monkeypatch.setitem(cli.COMMANDS, "list", warn)
    before = warnings.formatwarning
    assert main(["list"]) == 0
    assert capsys.readouterr().err == "dreamlib: the sky is falling\n"
    assert warnings.formatwarning is before


def test_more_is_said_when_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("dreamlib")
    before = logger.level
    try:
        assert main([*run_words(tmp_path, "dm"), "-v"]) == 0
    finally:
        logger.setLevel(before)
    assert f"{cell().name}: finished" in caplog.text


@pytest.mark.nightly
def test_workers_say_more_too(tmp_path: Path) -> None:
    command = Command(["-v", *run_words(tmp_path, "dm,dc", workers=2)], tmp_path / "log")
    assert command.end() == 0
    for one in (cell("dm"), cell("dc")):
        (line,) = (line for line in command.text.splitlines() if f"{one.name}: finished" in line)
        assert re.match(r"dreamlib \d+: ", line), "the process that says so has a number"
        assert f"{one.name}: distill from step 0 of " in command.text


def test_a_worker_that_nobody_sends_an_order_says_what_to_type() -> None:
    words = [sys.executable, "-m", "dreamlib.companion"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "try: python -m dreamlib --help" in done.stderr


SCRIPT = """
from dreamlib.companion.cells import make_cell
from dreamlib.companion.run import run_cells
from dreamlib.companion.store import Store
from dreamlib.core import plugins
from dreamlib.core.errors import DreamlibError

plugins.load([{plugin!r}])
try:
    cells = [make_cell("tiny", "dm", "digits", 1, seed) for seed in (0, 1)]
    how = dict(workers=2, device="cpu", progress=False)
    print(run_cells(cells, Store({results!r}), **how).computed, "computed")
except DreamlibError as error:
    print(error)
"""

PART = """
from dataclasses import dataclass, replace
from dreamlib.coresets import FirstImages, register

@register("mine")
@dataclass(frozen=True)
class Mine(FirstImages):
    pass
"""


def ran(script: Path, text: str) -> subprocess.CompletedProcess[str]:
    script.write_text(text)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    words = [sys.executable, str(script)]
    return subprocess.run(
        words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False
    )


@pytest.mark.nightly
def test_a_script_without_a_guard_starts_workers_like_any_other(tmp_path: Path) -> None:
    text = SCRIPT.format(plugin=PLUGIN, results=str(tmp_path / "r"))
    done = ran(tmp_path / "script.py", text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 computed\n", "")
    assert len(numbers(tmp_path / "r")) == 2


@pytest.mark.nightly
def test_a_part_that_workers_cannot_know_is_named_once(tmp_path: Path) -> None:
    text = SCRIPT.format(plugin=PLUGIN, results=str(tmp_path / "r"))
    text = text.replace(
        "cells = [", "cells = [replace(one, recipe=replace(one.recipe, initial=Mine())) for one in ["
    )
    text = text.replace("(0, 1)]", "(0, 1)]]")
    done = ran(tmp_path / "script.py", PART + text)
    assert done.stdout.count("a part of your own is not known in a worker process") == 1
    assert "put it into a file and name that: PLUGINS=my_parts.py" in done.stdout
    assert "Traceback" not in done.stderr


WATCHED = """
import gc
from dataclasses import dataclass
from dreamlib.coresets import FirstImages, register
from dreamlib.recipes import methods

@register("watched")
@dataclass(frozen=True)
class Watched(FirstImages):
    def choose(self, view, history):
        with open({seen!r}, "a") as file:
            print(gc.isenabled(), file=file)
        return super().choose(view, history)

methods.register(methods["random"].using(initial=Watched(), name="watched"))
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_garbage_is_collected_where_a_command_computes(workers: int, tmp_path: Path) -> None:
    part, seen = tmp_path / "part.py", tmp_path / "seen"
    part.write_text(WATCHED.format(seen=str(seen)))
    words = run_words(
        tmp_path / "r", "watched", "--ipc", "1,2", "--plugins", f"{PLUGIN},{part}", workers=workers
    )
    subprocess.run([sys.executable, "-m", "dreamlib", *words], cwd=ROOT, capture_output=True, check=True)
    assert seen.read_text().split() == ["True", "True"]


@pytest.mark.parametrize("text", ["1_0", "\uff11\uff10", "1e1", "0x1", "9" * 40, ""])
@pytest.mark.parametrize("option", ["--seeds", "--workers"])
def test_whole_numbers_are_plain_digits(option: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "dream/table1", option, text])
    assert "expected a whole number" in capsys.readouterr().err
