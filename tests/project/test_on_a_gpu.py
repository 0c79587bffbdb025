"""What ``examples/on_a_gpu.py`` would run, in which order, and that it stops; nothing is run and no time passes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from benchmarks.works import works
from dreamlib.companion.cli import parser
from dreamlib.companion.plans import plan

PATH = Path(__file__).parents[2] / "examples" / "on_a_gpu.py"
SPEC = importlib.util.spec_from_file_location("on_a_gpu", PATH)
assert SPEC is not None
assert SPEC.loader is not None
EXAMPLE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(EXAMPLE)


class Runner:
    """Keeps the commands it is given, each of which takes ``seconds``, or all that it may take."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now = seconds, 0.0
        self.given: list[tuple[list[str], float, float]] = []  # words, begun at, most seconds

    def __call__(self, words: list[str], most: float) -> None:
        self.given.append((words, self.now, most))
        self.now += min(self.seconds, max(most, 1.0))

    def clock(self) -> float:
        return self.now


def after(minutes: float, seconds: float) -> Runner:
    runner = Runner(seconds)
    assert EXAMPLE.main(["--minutes", str(minutes), "--device", "cpu"], runner, runner.clock) == 0
    return runner


def kinds(runner: Runner) -> list[str]:
    return [words[1] for words, _, _ in runner.given]


def test_with_time_enough_it_runs_all_benchmarks_and_then_the_table_at_10_1_and_50_images() -> None:
    runner = after(minutes=1000, seconds=60)
    many = len(EXAMPLE.WORKS)
    assert kinds(runner) == ["benchmarks"] * many + ["dreamlib"] * 3 * len(EXAMPLE.METHODS)
    measured = [words[words.index("--works") + 1] for words, _, _ in runner.given[:many]]
    assert measured == list(EXAMPLE.WORKS)
    assert set(measured) <= set(works(torch.device("cpu")))
    # The command line itself reads them.
    read = [parser().parse_args(words[2:]) for words, _, _ in runner.given[many:]]
    assert {(one.item, one.profile, one.datasets) for one in read} == {("dream/table1", "paper", "cifar10")}
    cells = [(int(one.ipc), one.methods) for one in read]
    assert cells == [(ipc, method) for ipc in (10, 1, 50) for method in EXAMPLE.METHODS]
    assert cells[0] == (10, "dream")


def test_what_it_runs_and_what_it_leaves_out_are_the_rows_of_the_table() -> None:
    assert sorted(EXAMPLE.METHODS + EXAMPLE.LEFT_OUT) == sorted(plan("dream/table1").methods)


def test_a_benchmark_begins_in_the_first_third_and_the_table_is_over_in_time() -> None:
    runner = after(minutes=10, seconds=100)
    assert kinds(runner) == ["benchmarks"] * 3 + ["dreamlib"] * 3
    assert [at for _, at, _ in runner.given] == [0, 100, 200, 300, 400, 500]
    assert [most for _, _, most in runner.given] == [300, 200, 100, 300, 200, 100]
    limits = [words[words.index("--for") + 1] for words, _, _ in runner.given[3:]]
    assert limits == ["280s", "180s", "80s"]  # it puts down what it has before it is stopped


def test_commands_that_take_all_they_may_are_stopped_at_half_of_the_time_and_at_its_end() -> None:
    runner = after(minutes=10, seconds=10_000)
    assert kinds(runner) == ["benchmarks", "dreamlib"]
    assert [at for _, at, _ in runner.given] == [0, 300]
    assert runner.now == 600
