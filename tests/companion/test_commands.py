"""The command line: what it says, to whom, and with which exit status."""

from __future__ import annotations

import io
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from tinyruns import PLUGIN, Command, cell, numbers, run_words, words

from dreamlib import load_generator, load_set
from dreamlib.companion import cli
from dreamlib.companion.cli import main
from dreamlib.companion.profiles import profiles
from dreamlib.companion.store import Store
from dreamlib.companion.studies import items
from dreamlib.distillation.loop import Distillation
from dreamlib.recipes import methods

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.trains]

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    """Run a command; returns (exit status, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(arguments)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return run


@pytest.mark.usefixtures("one_step")
def test_run_status_show(say: Say, tmp_path: Path) -> None:
    chosen = ("--methods", "dm,explodes")
    status, out, err = say(*words(tmp_path, *chosen, command="status"))
    assert (status, err) == (0, "")
    assert "0 of 2 cells done, 2 missing, 0 failed; computing time left: unknown" in out
    assert re.search(
        r"fill it with: make table1 PROFILE=tiny METHODS=dm,explodes PLUGINS=\S+ RESULTS=\S+\n", out
    )

    status, out, _ = say(*words(tmp_path, *chosen, command="show"))
    assert status == 0
    assert "2 cells missing" in out

    status, out, err = say(*run_words(tmp_path, "dm,explodes", "--for", "0.001s"))
    assert status == 0
    assert "2 cells, 2 to compute" in out
    assert "still missing 2, failed 0\nrun the same command again to go on" in out
    status, out, _ = say(*words(tmp_path, *chosen, command="status"))
    assert re.search(r"  begun   digits-dm-ipc1-s0-\w{10}: distill at step 1 of 31\n", out)

    status, out, err = say(*run_words(tmp_path, "dm,explodes"))
    assert status == 1
    assert out.endswith("computed 1, found 0, still missing 0, failed 1\n")
    assert re.search(r"failed: digits-explodes-\S+\n  the loss became nan .*\n  try: lower image_lr", err)

    status, out, _ = say(*words(tmp_path, *chosen, command="status"))
    assert status == 0
    assert "1 of 2 cells done, 0 missing, 1 failed; computing time left: " in out
    assert "unknown" not in out
    assert re.search(r"  failed  digits-explodes-\S+\n          the loss became nan", out)
    assert "begun" not in out

    status, out, _ = say(*words(tmp_path, *chosen, command="show"))
    (found,) = numbers(tmp_path).values()
    mean = sum(found["accuracies"]) / 2
    assert re.search(rf"digits +IPC 1 +DM +step 30 +{mean:.1f} ± \d+\.\d  \(2\)", out)
    assert f"distilled sets: {tmp_path}/tiny/sets" in out

    status, out, _ = say(*run_words(tmp_path, "dm"))
    assert (status, out.splitlines()[-1]) == (0, "computed 0, found 1, still missing 0, failed 0")


def test_no_step_is_made_when_the_start_has_taken_all_the_time(say: Say, tmp_path: Path) -> None:
    status, out, err = say(*run_words(tmp_path, "dm", "--for", "0.001s"))
    assert (status, err) == (0, "")
    assert "computed 0, found 0, still missing 1, failed 0" in out
    assert "no step was made: there was no time for one in 0.001s, the start and compiling included" in out
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.usefixtures("one_step")
def test_an_evaluation_that_is_begun(say: Say, tmp_path: Path) -> None:
    for _ in range(60):
        say(*run_words(tmp_path, "dm", "--for", "0.001s"))
        _, out, _ = say(*words(tmp_path, "--methods", "dm", command="status"))
        if "evaluate" in out:
            break
    assert re.search(r"begun   digits-dm-ipc1-s0-\w{10}: evaluate at step \d+ of 12", out)
    assert "distill at" not in out


@pytest.mark.usefixtures("one_step")
def test_a_course_shows_its_distillation_once(say: Say, tmp_path: Path) -> None:
    course = ("--methods", "dc", "--ipc", "1")
    run = words(tmp_path, *course, "--workers", "1", "--quiet", "--for", "0.001", item="dream/figure1")
    assert say(*run)[0] == 0
    _, out, _ = say(*words(tmp_path, *course, command="status", item="dream/figure1"))
    assert out.count("begun") == 1


def test_all_items_at_once(say: Say, tmp_path: Path) -> None:
    status, out, _ = say(*words(tmp_path, "--methods", "dm", command="status", item="all"))
    assert status == 0
    without_cells = {"dream/figure_gradnorm", "dim/table9", "dim/figure4"}
    assert out.count("cells done") == len(set(items()) - without_cells)


def test_a_method_under_two_names_is_two_cells(say: Say, tmp_path: Path) -> None:
    assert say(*run_words(tmp_path, "dm,twin"))[0] == 0
    _, out, _ = say(*words(tmp_path, "--methods", "dm,twin", command="status"))
    assert "2 of 2 cells done" in out


def test_one_missing_data_set(say: Say, tmp_path: Path) -> None:
    both = ("--datasets", "folder:not/here,digits", "--data", str(tmp_path / "data"))
    status, out, err = say(*run_words(tmp_path, "dm", *both))
    assert status == 1
    assert "computed 1, found 0, still missing 0, failed 1" in out
    assert str(tmp_path / "data/not/here") in err


def test_progress_is_shown_unless_quiet(say: Say, tmp_path: Path) -> None:
    command = [word for word in run_words(tmp_path, "dm") if word != "--quiet"]
    _, _, err = say(*command)
    assert "1/1" in err
    assert "cell" in err
    assert say(*run_words(tmp_path, "dc"))[2] == ""


def test_list(say: Say) -> None:
    status, out, err = say("list")
    assert (status, err) == (0, "")
    for name in (*items(), *methods, *profiles, "digits", "cifar100", "parquet:PATH", "folder:PATH"):
        assert name in out


# Bad input: one line on stderr that names it, what is valid, and what to type; exit status 2


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "dream/tabel1",
            "unknown item 'dream/tabel1'; valid: dream/table1, .*\n  did you mean 'dream/table1'",
        ),
        (
            "dream/table1 --profile quik",
            "unknown profile 'quik'; valid: quick, .*\n  did you mean 'quick'",
        ),
        ("dream/table1 --methods drem", "unknown method 'drem'; valid: .*dm.*\n  did you mean 'dream'"),
        (
            "dream/table1 --datasets mnits",
            "unknown data set 'mnits'; valid: digits.*parquet:PATH.*\n  did you mean 'mnist'",
        ),
        ("dream/table1 --ipc 0", "IPC is 0; expected at least 1 .*\n  try: --ipc 1,10"),
        ("dream/table1 --ipc 1_0", "IPC '1_0'; expected whole numbers.*\n  try: --ipc 1,10"),
        ("dream/table1 --ipc \uff11", "IPC '.'; expected whole numbers.*\n  try: --ipc 1,10"),
        ("table1", "unknown item 'table1'.*\n  did you mean 'dream/table1' or 'dim/table1'"),
        ("dream/table1 --datasets CIFAR-10", "unknown data set 'CIFAR-10'.*\n  did you mean 'cifar10'"),
        (
            "dream/table1 --datasets cifar10@order00",
            "data set 'cifar10@order00': unknown part.*\n  try: cif",
        ),
        ("dream/table1 --ipc ten", "IPC 'ten'; expected whole numbers.*\n  try: --ipc 1,10"),
        ("dream/table1 --seeds -1", "seeds is -1; expected 1 or more.*\n  try: --seeds 3"),
        ("dream/table1 --plugins nowhere.py", "plug-in nowhere.py is not a file\n  try: --plugins mine"),
    ],
)
@pytest.mark.parametrize("command", ["run", "status", "show"])
def test_bad_choices(say: Say, tmp_path: Path, command: str, more: str, says: str) -> None:
    status, out, err = say(command, *more.split(), "--results", str(tmp_path))
    assert (status, out) == (2, "")
    assert re.fullmatch(f"dreamlib: {says}.*\n", err), err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("--device abacus", "device 'abacus' cannot be used: .*\n  try: --device cpu"),
        ("--device cuda:99", "device 'cuda:99' cannot be used: .*\n  try: --device cpu"),
        ("--workers -2", "workers is -2; expected 0.*\n  try: --workers 2"),
        ("--for soon", "duration 'soon'; expected a number with s, m, h or d\n  try: --for 9m"),
        ("--for 0", "the time to run is 0 s; expected more than 0, .*\n  try: --for 9m"),
    ],
)
def test_bad_efforts(say: Say, tmp_path: Path, more: str, says: str) -> None:
    status, _, err = say(*words(tmp_path, "--methods", "dm", *more.split()))
    assert status == 2
    assert re.fullmatch(f"dreamlib: {says}.*\n", err), err


@pytest.mark.parametrize(
    "more", ["", "fly", "run", "run dream/table1 --seeds two", "export x", "list --what"]
)
def test_bad_grammar(more: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(more.split())
    assert caught.value.code == 2
    assert "usage: dreamlib" in capsys.readouterr().err


def test_a_results_folder_that_is_a_file(say: Say, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, err = say(*run_words(tmp_path / "file" / "results", "dm"))
    assert status == 2
    assert re.fullmatch(r"dreamlib: cannot write \S+file/results: .*\n  try: .*--results DIR\n", err), err


def test_a_bad_notebook_is_named_before_anything_starts(say: Say) -> None:
    status, _, err = say("notebook", "dream/tabel1")
    assert status == 2
    assert "did you mean 'dream/table1'" in err
    status, _, err = say("notebook", "dream/table1", "-p", "seeds", "--methods", "random")
    assert status == 2
    assert "parameter 'seeds'; expected NAME=VALUE" in err


# Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = Distillation.advance

    def advance(self: Distillation) -> None:
        signal.raise_signal(number)
        before(self)

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Distillation, "advance", advance)
    status, _, err = say(*run_words(tmp_path, "dm"))
    assert status == 130
    assert err.endswith("interrupted; what is finished is kept, run the same command again to go on\n")
    assert Store(tmp_path).read_checkpoint(cell(), "distill") is not None
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


# Export


@pytest.fixture
def done(tmp_path: Path, say: Say) -> Path:
    results = tmp_path / "results"
    assert say(*run_words(results, "dm"))[0] == 0
    return results


def export(done: Path, *more: str) -> list[str]:
    chosen = ["--methods", "dm", "--datasets", "digits", "--ipc", "1"]
    return ["export", "--profile", "tiny", "--plugins", PLUGIN, "--results", str(done), *chosen, *more]


def test_export_three_formats(say: Say, tmp_path: Path, done: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    stored = load_set(Store(done).set_path(cell()))
    for form, name in (
        ("safetensors", "set.safetensors"),
        ("images", "folder"),
        ("parquet", "train.parquet"),
    ):
        target = tmp_path / "out" / name
        status, out, err = say(*export(done, "--to", str(target), "--format", form))
        assert (status, err) == (0, "")
        assert out.startswith(f"10 images of 10 classes -> {target}\n")
        assert ("clamped" in out) == (form != "safetensors" and stored.clipped > 0)
    from safetensors.torch import load_file

    whole = load_file(tmp_path / "out" / "set.safetensors")
    assert torch.equal(whole["images"], stored.images)
    assert whole["labels"].tolist() == list(range(10))
    pictures = sorted((tmp_path / "out" / "folder").rglob("*.png"))
    assert [picture.parent.name for picture in pictures] == [str(label) for label in range(10)]
    rows = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    for label, (picture, row) in enumerate(zip(pictures, rows, strict=True)):
        assert list(Image.open(picture).tobytes()) == stored.bytes()[label].flatten().tolist()
        assert Image.open(io.BytesIO(row["image"]["bytes"])).tobytes() == Image.open(picture).tobytes()
        assert row["label"] == label


def test_export_of_a_file(say: Say, tmp_path: Path, done: Path) -> None:
    path = Store(done).set_path(cell())
    status, out, _ = say("export", str(path), "--to", str(tmp_path / "copy.safetensors"))
    assert status == 0
    assert "10 images" in out
    words = "export", str(path), "--datasets", "mnist", "--to", str(tmp_path / "other.safetensors")
    status, _, err = say(*words)
    assert status == 2
    assert "holds 'digits', not 'mnist'" in err


def test_export_replaces_a_file_only_when_told_to(say: Say, tmp_path: Path, done: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_text("mine")
    status, _, err = say(*export(done, "--to", str(mine)))
    assert (status, mine.read_text()) == (2, "mine")
    assert "--overwrite" in err
    assert say(*export(done, "--to", str(mine), "--overwrite"))[0] == 0
    assert say("export", str(mine), "--to", str(tmp_path / "copy.safetensors"))[0] == 0


def test_an_item_without_cells_says_where_its_numbers_come_from(say: Say, tmp_path: Path) -> None:
    for command in ("run", "show"):
        status, out, _ = say(command, "dim/table9", "--results", str(tmp_path))
        assert status == 0
        assert "no cells; its notebook measures what it shows: make dim-table9" in out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("--format gif", "unknown export format 'gif'; valid: safetensors, images, parquet"),
        ("--methods dm,dc", "--methods names 2 values; expected exactly one"),
        ("--datasets ,", "--datasets names 0 values; expected exactly one"),
        ("--ipc 0", "IPC is 0"),
        ("--ipc 1,10", "--ipc names 2 values"),
        ("--seed -1", "seed is -1; expected 0 or more"),
        ("--seed 7", "no distilled set at"),
        ("--methods dreem", "unknown method 'dreem'"),
        ("--datasets digit", "unknown data set 'digit'"),
    ],
)
def test_bad_exports(say: Say, tmp_path: Path, done: Path, more: str, says: str) -> None:
    status, out, err = say(*export(done, "--to", str(tmp_path / "out"), *more.split()))
    assert (status, out) == (2, "")
    assert err.startswith(f"dreamlib: {says}"), err
    assert not (tmp_path / "out").exists()


def test_exports_that_cannot_be_written(say: Say, tmp_path: Path, done: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    status, _, err = say(*export(done, "--to", str(tmp_path / "taken"), "--format", "images"))
    assert status == 2
    assert "is not an empty folder" in err
    for form in ("safetensors", "parquet"):
        target = str(tmp_path / "taken" / "mine" / "below")
        status, _, err = say(*export(done, "--to", target, "--format", form))
        assert status == 2
        assert "cannot write" in err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the tiny GAN, as another process left them."""
    folder = tmp_path_factory.mktemp("trained")
    assert Command(run_words(folder, "gan"), folder / "log").end() == 0
    return folder


@pytest.mark.parametrize("form", ["images", "parquet", "safetensors"])
def test_export_draws_from_a_generator(say: Say, tmp_path: Path, trained: Path, form: str) -> None:
    words = export(trained, "--methods", "gan", "--ipc", "3", "--format", form)
    status, out, err = say(*words, "--to", str(tmp_path / "a"))
    assert (status, err) == (0, "")
    assert out == f"30 images of 10 classes -> {tmp_path / 'a'}\n"
    drawn = load_generator(Store(trained).set_path(cell("gan")), "digits").draw(3)
    if form == "images":
        pictures = sorted((tmp_path / "a").rglob("*.png"))
        assert [list(Image.open(one).tobytes()) for one in pictures] == [
            image.flatten().tolist() for image in drawn.bytes()
        ]
    elif form == "parquet":
        rows = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "a").to_pylist()
        assert [row["label"] for row in rows] == [label for label in range(10) for _ in range(3)]
    else:
        assert load_set(tmp_path / "a").images.equal(drawn.images)


def test_a_generators_file_is_exported_when_it_is_said_how_many_images(
    say: Say, tmp_path: Path, trained: Path
) -> None:
    path, to = str(Store(trained).set_path(cell("gan"))), ["--to", str(tmp_path / "out.safetensors")]
    status, _, err = say("export", path, *to)
    assert status == 2
    assert "holds a generator, not a set of images" in err
    status, out, _ = say("export", path, *to, "--ipc", "2", "--seed", "5")
    assert status == 0
    assert out.startswith("20 images of 10 classes")
    assert load_set(tmp_path / "out.safetensors").images.equal(load_generator(path).draw(2, seed=5).images)
    for many in ("1,10", "0"):
        status, _, err = say("export", path, *to, "--ipc", many)
        assert status == 2
        assert ("INPC is 0" in err) == (many == "0"), err


def test_a_damaged_set_is_not_exported(say: Say, tmp_path: Path, done: Path) -> None:
    path = Store(done).set_path(cell())
    path.write_bytes(path.read_bytes()[:-1])
    status, _, err = say(*export(done, "--to", str(tmp_path / "out")))
    assert status == 2
    assert "is damaged or not ours" in err


def test_records_are_json_that_anybody_can_read(done: Path) -> None:
    (path,) = (done / "tiny").glob("*.json")
    record = json.loads(path.read_text())
    assert path.name == f"{cell().name}.json"
    assert record["method"] == "dm"
    assert path.stat().st_mode & 0o777 == 0o644


def test_show_takes_together_only_what_is_alike() -> None:
    def record(mode: str = "plain", **network: object) -> dict[str, object]:
        named = {"name": "convnet", "norm": "instance", "depth": 3, "width": 32, **network}
        return {"recipe": {"mode": mode}, "evaluation": {"network": named}}

    assert cli._apart([record(), record()]) == ["", ""]
    assert cli._apart([record("plain"), record("fast")]) == ["plain", "fast"]
    assert cli._apart([record(width=32), record(width=64)]) == ["width 32", "width 64"]
    two = cli._apart([record(norm="batch"), record("fast", norm="none")])
    assert two == ["ConvNet-3, batch norm, plain", "ConvNet-3, fast"]
