"""Bad input of every kind ends in a clear error or a right result: no traceback, no endless wait, no flood."""

from __future__ import annotations

import io
import json
import os
import resource
import shlex
import signal
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tinyruns import PLUGIN, Command, cell, run_words

from dreamlib import export, load_generator, load_set
from dreamlib.companion.cells import make_cell
from dreamlib.companion.cli import duration, main
from dreamlib.companion.report import html
from dreamlib.companion.report.reported import load_reported
from dreamlib.companion.run import run_cells
from dreamlib.companion.store import Store
from dreamlib.companion.studies import study
from dreamlib.core.errors import DreamlibError
from dreamlib.core.files import read_json, read_tensors, write_json, write_tensors
from dreamlib.data import ClassData, Dataset, Normalisation, load, statistics

SECONDS, GIGABYTES = 30, 2

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.usefixtures("tiny", "one_step", "bounded"),
    pytest.mark.filterwarnings("ignore"),  # a command prints them
]


class Endless(BaseException):
    """Nobody may catch it by mistake."""


@pytest.fixture
def bounded() -> Iterator[None]:
    """A limit of time, and one of memory."""

    def ring(*_: object) -> None:
        raise Endless(f"still at it after {SECONDS} s")

    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    most = int(status["VmData"].split()[0]) * 2**10 + GIGABYTES * 2**30
    old = signal.signal(signal.SIGALRM, ring)
    resource.setrlimit(resource.RLIMIT_DATA, (most, limits[1]))
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_DATA, limits)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("computed")
    assert Command(run_words(folder / "results", "dm"), folder / "log").end() == 0
    return folder / "results"


@pytest.fixture
def results(computed: Path, tmp_path: Path) -> Path:
    """A copy of a finished tiny study."""
    import shutil

    return Path(shutil.copytree(computed, tmp_path / "results"))


def says(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int | str | None, str]:
    """Exit status and standard error of a command that has to end well."""
    try:
        status: int | str | None = main(words)
    except SystemExit as leaving:  # argparse
        status = leaving.code
    err = capsys.readouterr().err
    assert status in (0, 1, 2), err
    assert "Traceback" not in err
    assert "not enough memory" not in err, "sizes are checked before anything takes memory"
    assert status != 2 or err.startswith(("dreamlib: ", "usage: ")) or "\ndreamlib: " in err, err
    assert len(err) < 4000 + 4 * sum(map(len, words)), "an error has a length that one reads"
    return status, err


def ends_well(call: Callable[[], object]) -> None:
    """It may be right, or raise an error of ours that says something."""
    try:
        call()
    except DreamlibError as error:
        assert not isinstance(error.__cause__, MemoryError), "sizes are checked before anything takes memory"
        assert len(error.message) > 10
        assert len(str(error)) < 4000


# The command line

LONG, MANY = "x" * 300, "9" * 400
NUMBERS = (
    "",
    "0",
    "-1",
    "1.5",
    "1e3",
    "nan",
    "inf",
    "x",
    "0x10",
    "1_0",
    "１０",
    MANY,
    "9" * 5000,
    "100000000",
    "--",
)
VALUES: dict[str, tuple[str, ...]] = {
    "--profile": ("", "Tiny", "../tiny", LONG, "tin\n", "paperr", "\udcff"),
    "--datasets": (
        *("mnistt", ",", "digits,digits", "folder:", "parquet:", "folder:/nonexistent", "folder:/dev/zero", "@"),
        *(f"folder:{LONG}", f"parquet:{LONG}", "parquet:/dev/null", "digits@", "digits@x", "@holdout", "\udcff"),
        *("digits@holdout@holdout", "digits@0steps-order0-step1", "digits@5steps-order0-step6", "folder:\udcff"),
        *(f"digits@{MANY}steps-order0-step1", f"digits@5steps-order{MANY}-step1", "digits@holdout" * 400),
        *("digits@5steps-order-1-step1", "digits@5steps-order00-step1", "digits@５steps-order0-step1", "../digits"),
        *("folder:/", "parquet:/", "folder:.@holdout", "<script>", "digits;ls", "$(ls)", "%s%n", "a" * 70000),
    ),
    "--ipc": (*NUMBERS, "1,,2", "1;2", ",", "1,1,1", "3000000000"),
    "--methods": ("dmm", ",", "dm,dm", "DM", LONG, "dm;ls", "\udcff", "dm,whole", "all"),
    "--seeds": (*NUMBERS, "1000000000", "-5"),
    "--results": (LONG, "/dev/null", "/dev/zero", "/proc/nowhere", "PIPE", "FILE", "FILE/below", "LOOP", "\udcff", "/sys"),
    "--plugins": ("no.py", "/dev/null", "/dev/zero", "PIPE", "FILE", "LOOP", ".", LONG, "RAISES", "EXITS", "BINARY"),
}  # fmt: skip
RUN_VALUES: dict[str, tuple[str, ...]] = {
    "--device": (
        "",
        "meta",
        "CPU",
        "cpu:1",
        "cpu:-1",
        "cuda:99",
        "cuda:x",
        "gpu",
        "xla",
        "mps",
        "vulkan",
        MANY,
    ),
    "--workers": (*NUMBERS, "-2"),
    "--memory-gb": (*NUMBERS, "-inf", "1e-300", "1e308", "1e400"),
    "--for": (*NUMBERS, "1y", "1h 1m", "∞", f"{MANY}d", "-1s", "1e9d", "٣s"),
    "--data": (LONG, "/dev/null", "PIPE", "FILE", "LOOP"),
}
ITEMS = (
    "",
    "dream",
    "dream/",
    "/table1",
    "dream/table99",
    "table1",
    "../../etc/passwd",
    "dream/table1/x",
    LONG,
    "all/x",
)
OTHERS = (
    *("", "help", "runn dream/table1", "run", "run a b", "status --bogus", "list extra", "run --item dream/table1"),
    *("export", "export --to", "export --to x", "export nothing.safetensors --to x", "export /dev/zero --to x"),
    *("export PIPE --to x", "export FILE --to x", "export . --to x", "export LOOP --to x", f"export {LONG} --to x"),
    *("export SET --to /dev/null", "export SET --to PIPE", "export SET --to .", f"export SET --to {LONG}"),
    *("export SET --to FILE", "export SET --to FILE/x", "export SET --to LOOP", "export SET --to /proc/x"),
    *("export SET --to x --format gif", "export SET --to '' --format images", "export SET --to SET"),
    *(f"export SET --to {place} --format {form}" for place in ("PIPE", "/dev/null", LONG) for form in ("images", "parquet")),
    *(f"export --methods dm --datasets digits --ipc 1 --to x --seed={seed}" for seed in ("-1", MANY, "1e3", "９")),
    *("index --reports FILE", "index --reports /dev/null", f"index --reports {LONG}", "index --reports LOOP"),
    *("notebook x", "notebook dream/table1 -p x", "notebook dream/table1 -p =", "notebook dream/table99"),
    *("notebook dream/table1 --workers -2", "notebook dream/table1 --device meta", "notebook dream/table1 --seeds -1"),
    *("notebook dream/table1 --reports FILE --workers -1", "notebook dream/table1 -p wrong=1 --workers -1"),
)  # fmt: skip
ENVIRONMENT = (
    *(("DREAMLIB_CHECKPOINT_SECONDS", value) for value in ("nan", "inf", "-1", "x", MANY)),
    *(("DREAMLIB_RESULTS", value) for value in (LONG, "/dev/null", "PIPE", "FILE")),
    *(("DREAMLIB_CACHE", value) for value in (LONG, "/dev/null", "FILE")),
    *(("DREAMLIB_DATA", value) for value in (LONG, "/dev/null", "PIPE")),
)


@pytest.fixture
def places(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Put the path of a pipe, a file, a link to itself, a plug-in that raises, for the word that stands for it."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("PIPE")
    Path("FILE").write_text("mine")
    Path("LOOP").symlink_to("LOOP")
    Path("RAISES").with_suffix(".py").write_text("1 / 0")
    Path("EXITS").with_suffix(".py").write_text("raise SystemExit(3)")
    Path("BINARY").with_suffix(".py").write_bytes(bytes(range(256)))
    known = {name: f"{name}.py" for name in ("RAISES", "EXITS", "BINARY")}
    known["SET"] = str(next((results / "tiny" / "sets").glob("*-??????????.safetensors")))
    return lambda word: known.get(word, word)


def _cases(table: dict[str, tuple[str, ...]], commands: tuple[str, ...]) -> list[Any]:
    return [
        pytest.param(command, option, value, id=f"{command} {option} {number}")
        for command in commands
        for option, values in table.items()
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [*_cases(VALUES, ("run", "status")), *_cases(RUN_VALUES, ("run",)), *_cases(VALUES, ("show",))[:40]],
)
def test_an_option(
    capsys: pytest.CaptureFixture[str], places: Callable[[str], str], command: str, option: str, value: str
) -> None:
    given = {"--profile": "tiny", "--plugins": PLUGIN, "--methods": "dm", "--results": "results"}
    if command == "run":
        given |= {"--workers": "1", "--device": "cpu", "--for": "0.2s"}
    given[option] = places(value)
    if option == "--plugins":  # without ours the profile is not known
        given |= {"--profile": "quick", "--datasets": "digits"}
    words = [f"{name}={text}" for name, text in given.items()]
    says(capsys, command, "dream/table1", *words, *(["--quiet"] if command == "run" else []))
    assert Path("FILE").read_text() == "mine"


@pytest.mark.parametrize("item", sorted(ITEMS))
@pytest.mark.parametrize("command", ["run", "show", "status"])
def test_an_item(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, item: str) -> None:
    assert says(capsys, command, item, "--profile", "quick", "--results", str(tmp_path))[0] == 2


@pytest.mark.parametrize("line", OTHERS, ids=range(len(OTHERS)))
def test_another_command(
    capsys: pytest.CaptureFixture[str], places: Callable[[str], str], results: Path, line: str
) -> None:
    before = {file: file.read_bytes() for file in results.rglob("*") if file.is_file()}
    says(capsys, *map(places, shlex.split(line)))
    assert Path("FILE").read_text() == "mine"
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize(("name", "value"), ENVIRONMENT, ids=range(len(ENVIRONMENT)))
def test_an_environment(
    capsys: pytest.CaptureFixture[str],
    places: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    words = ["--profile=tiny", f"--plugins={PLUGIN}", "--methods=dm", "--quiet", "--workers=1", "--for=0.2s"]
    says(capsys, "run", "dream/table1", *words)


# Files of a results folder

DEEP = "[" * 100_000 + "]" * 100_000


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(target: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return harm


def _bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: void(path.write_bytes(content))


def void(_: object) -> None: ...


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2**40)


def _without(name: str) -> Callable[[Path], None]:
    """Checksummed, and without one entry of it."""

    def harm(path: Path) -> None:
        if path.suffix == ".json":
            record = read_json(path)
            record.pop(name, None)
            write_json(path, record)
        else:
            tensors, about = read_tensors(path)
            about.pop(name, None)
            write_tensors(path, tensors, about)

    return harm


def _with(value: object) -> Callable[[str], Callable[[Path], None]]:
    def named(name: str) -> Callable[[Path], None]:
        def harm(path: Path) -> None:
            tensors, about = read_tensors(path)
            write_tensors(path, tensors, {**about, name: value})

        return harm

    return named


def _tensors(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        tensors, about = read_tensors(path)
        write_tensors(path, change(tensors), about)

    return harm


def _header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


HARMS: tuple[Callable[[Path], None], ...] = (
    *(_pipe, _sparse, _link("/dev/zero"), _link("/dev/null"), _link("nowhere"), _link("."), _bytes(b"")),
    *(
        _bytes(DEEP.encode()),
        _bytes(b"\xff" * 99),
        _bytes(b"null"),
        _bytes(b'{"sha256": ' + b"9" * 5000 + b"}"),
    ),
    *(
        _bytes(_header(DEEP.encode())),
        _bytes(_header(b'{"x": 1}')),
        _bytes(_header(b"[]")),
        _bytes(b"\xff" * 8),
    ),
    _bytes(_header(b'{"x": {"dtype": "F32", "shape": [99999999999], "data_offsets": [0, 399999999996]}}')),
)
FIELDS = (
    "accuracies",
    "label",
    "dataset",
    "ipc",
    "seconds",
    "evaluation",
    "iteration",
    "curve",
    "created",
    "schema",
    "key",
)
ABOUT = (
    "container",
    "classes",
    "normalisation",
    "key",
    "data_fingerprint",
    "seconds",
    "curve",
    "dataset",
    "evaluation",
)
SETS: tuple[Callable[[Path], None], ...] = (
    *(_without(name) for name in ABOUT),
    *(_with(value)(name) for name in ("container", "classes", "normalisation", "shape") for value in (None, 7, "x", [], {})),
    *(_with({"part": part, "extra": 1})("container") for part in ("Pixels", "nothing", None, [])),
    *(_with({"name": "n", "mean": mean, "std": std})("normalisation") for mean, std in (([0.0], [0.0]), (["a"], ["b"]))),
    _tensors(lambda t: {}),
    _tensors(lambda t: {"other": t["images"]}),
    _tensors(lambda t: {"images": t["images"].flatten()}),
    _tensors(lambda t: {"images": t["images"][0]}),
    _tensors(lambda t: {"images": t["images"][:, :0]}),
    _tensors(lambda t: {"images": t["images"][:3]}),
    _tensors(lambda t: {"images": t["images"].long()}),
    _tensors(lambda t: {"images": t["images"].repeat(1, 1, 7, 1, 1)}),
    _tensors(lambda t: {"images": torch.tensor(1.0)}),
    _tensors(lambda t: {"images": t["images"], "labels": torch.zeros(3)}),
    _tensors(lambda t: {"images": t["images"].flatten(0, 1), "stored": t["images"], "labels": torch.full((10,), -1)}),
    _tensors(lambda t: {"images": t["images"].flatten(0, 1), "stored": t["images"], "labels": torch.full((10,), 10**12)}),
)  # fmt: skip


def _everywhere(capsys: pytest.CaptureFixture[str], results: Path) -> None:
    choice = ["dream/table1", "--profile=tiny", f"--plugins={PLUGIN}", "--methods=dm", f"--results={results}"]
    seen = {path for path in results.rglob("*") if not path.name.endswith(".lock")}
    for command in ("status", "show"):
        says(capsys, command, *choice)
    assert seen == {path for path in results.rglob("*") if not path.name.endswith(".lock")}, (
        "reading changes nothing"
    )
    says(capsys, "run", *choice, "--workers=1", "--device=cpu", "--quiet", "--no-forecast")


@pytest.mark.parametrize("harm", [*HARMS, *map(_without, FIELDS)], ids=range(len(HARMS) + len(FIELDS)))
def test_a_record(capsys: pytest.CaptureFixture[str], results: Path, harm: Callable[[Path], None]) -> None:
    harm(next((results / "tiny").glob("*.json")))
    _everywhere(capsys, results)


@pytest.mark.parametrize("harm", [*HARMS, *SETS], ids=range(len(HARMS) + len(SETS)))
def test_a_set(capsys: pytest.CaptureFixture[str], results: Path, harm: Callable[[Path], None]) -> None:
    store = Store(results)
    path = store.set_path(cell())
    harm(path)
    ends_well(lambda: load_set(path))
    ends_well(lambda: load_generator(path))
    ends_well(lambda: load_set(path).loader(batch=2))
    says(capsys, "export", str(path), "--to", str(results / "copy.safetensors"))
    store.record_path(cell()).unlink()
    _everywhere(capsys, results)


@pytest.mark.parametrize("phase", ["distill", "evaluate"])
@pytest.mark.parametrize("harm", HARMS, ids=range(len(HARMS)))
def test_a_checkpoint(
    capsys: pytest.CaptureFixture[str], results: Path, phase: str, harm: Callable[[Path], None]
) -> None:
    store = Store(results)
    store.record_path(cell()).unlink()
    store.set_path(cell()).unlink()
    store.write_checkpoint(cell(), phase, {"x": torch.zeros(3)}, {})
    harm(store.checkpoint_path(cell(), phase))
    _everywhere(capsys, results)


# A user's own data


def _png(width: int, height: int, *, mode: str = "L") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def _claims(width: int, height: int) -> bytes:
    """A PNG whose header speaks of more pixels than follow."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header)) + _png(1, 1)[33:]


IMAGES: tuple[Callable[[Path], None], ...] = (
    *(_pipe, _sparse, _link("/dev/zero"), _link("/dev/null"), _link("nowhere"), _link("."), _bytes(b""), _bytes(b"text")),
    *(_bytes(_png(8, 8)[:cut]) for cut in (8, 20, 40, 60)),
    *(_bytes(_claims(*size)) for size in ((12000, 9000), (2**31 - 1, 2**31 - 1), (0, 0), (8, 8))),
    *(_bytes(_png(8, 8, mode=mode)) for mode in ("RGBA", "I;16", "LA", "P", "1")),
    *(_bytes(_png(*size)) for size in ((7, 8), (1, 1), (12000, 9000))),
    _bytes(b"GIF89a" + bytes(30)),
    _bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
)  # fmt: skip


def _folder(root: Path) -> Path:
    for part in ("train", "test"):
        for label in ("a", "b"):
            (root / part / label).mkdir(parents=True)
            for number in range(2):
                (root / part / label / f"{number}.png").write_bytes(_png(8, 8))
    return root


def _looked_at(capsys: pytest.CaptureFixture[str], name: str, tmp_path: Path) -> None:
    ends_well(lambda: ClassData(load(name)))
    choice = ["dream/table1", "--profile=tiny", f"--plugins={PLUGIN}", "--methods=dm", f"--datasets={name}"]
    says(
        capsys,
        "run",
        *choice,
        f"--results={tmp_path / 'r'}",
        "--workers=1",
        "--device=cpu",
        "--quiet",
        "--for=0.1s",
    )


@pytest.mark.parametrize("which", ["train/a/0.png", "test/b/1.png"])
@pytest.mark.parametrize("harm", IMAGES, ids=range(len(IMAGES)))
def test_an_image(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, harm: Callable[[Path], None], which: str
) -> None:
    root = _folder(tmp_path / "data")
    harm(root / which)
    _looked_at(capsys, f"folder:{root}", tmp_path)


NOTES = (
    b"",
    b"\xff\xfe\0",
    b"0.png",
    b"0.png\ta\n\n",
    b"0.png\tzebra",
    b"nothing.png\ta",
    b"../../../../dev/zero\ta",
)


@pytest.mark.parametrize("note", [*map(_bytes, NOTES), _pipe, _sparse], ids=range(len(NOTES) + 2))
def test_annotations(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, note: Callable[[Path], None]
) -> None:
    root = _folder(tmp_path / "data")
    (root / "val" / "images").mkdir(parents=True)
    (root / "val" / "images" / "0.png").write_bytes(_png(8, 8))
    (root / "val" / "val_annotations.txt").touch()
    note(root / "val" / "val_annotations.txt")
    _looked_at(capsys, f"folder:{root}", tmp_path)


def _table(labels: Any, images: Any = None, **more: Any) -> pa.Table:
    images = [{"bytes": _png(8, 8), "path": None}] * len(labels) if images is None else images
    return pa.table({"image": images, "label": labels, **more})


TABLES: tuple[Callable[[], pa.Table], ...] = (
    *((lambda label=label: _table([0, label])) for label in (10**12, -1, 2, None, 2**63 - 1, -(2**63))),
    *((lambda labels=labels: _table(labels)) for labels in ([], ["a", "b"], [0.5, 1.5], [[0], [1]], [True, False], [None, None])),
    *((lambda kind=kind: _table(pa.array([0, 1], kind))) for kind in (pa.uint64(), pa.int8(), pa.date64(), pa.decimal128(3))),
    *((lambda image=image: _table([0, 1], [image] * 2)) for image in ({"bytes": None}, {"bytes": b""}, {"bytes": "text"}, b"x", 7)),
    *((lambda text=text: _table([0, 1]).replace_schema_metadata({"huggingface": text})) for text in ("", "[]", "{}", DEEP)),
    *(
        (lambda names=names: _table([0, 1]).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}})}
        ))
        for names in (None, 7, "ab", [1, 2], [], ["a"], {"a": 1}, [None, None], ["a", "a"])
    ),
    lambda: pa.table({"x": [1]}),
    lambda: _table([0, 1], target=[0, 1], fine_label=[1, 0]),
    lambda: _table([0] * 300, [{"bytes": b"\0" * 10**6}] * 300),
    lambda: _table([0, 1], [{"bytes": _claims(12000, 9000)}] * 2),
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES, ids=range(len(TABLES)))
def test_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path, table: Callable[[], pa.Table]) -> None:
    made = table()
    for part in ("train", "test"):
        pq.write_table(made, tmp_path / f"{part}.parquet", compression="zstd")
    del made
    _looked_at(capsys, f"parquet:{tmp_path}", tmp_path)


@pytest.mark.parametrize("harm", HARMS, ids=range(len(HARMS)))
def test_a_file_of_tables(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    for part in ("train", "test"):
        (tmp_path / f"{part}.parquet").touch()
        harm(tmp_path / f"{part}.parquet")
    _looked_at(capsys, f"parquet:{tmp_path}", tmp_path)


@pytest.mark.parametrize("harm", HARMS[:7], ids=range(7))
@pytest.mark.parametrize("name", ["cifar10", "mnist", "svhn"])
def test_a_classic(tmp_path: Path, harm: Callable[[Path], None], name: str) -> None:
    for file in (
        *("cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/batches.meta", "svhn/train_32x32.mat"),
        *("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
        harm(tmp_path / file)
    ends_well(lambda: load(name, tmp_path, download=False))


# Notebooks and pages

PAGES = (
    "",
    "null",
    "[]",
    "{}",
    '{"cells": 1}',
    '{"nbformat": 4}',
    DEEP,
    '{"nbformat": 9, "cells": []}',
    "\xff",
    "x" * 10**6,
)
PAGES = (*PAGES, json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"papermill": {"end_time": "x", "duration": "y"}}, "cells": []}))  # fmt: skip
PAGES = (*PAGES, json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"papermill": 7}, "cells": []}))


@pytest.mark.parametrize("text", PAGES, ids=range(len(PAGES)))
def test_one_bad_notebook_does_not_stop_the_index(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    bad = tmp_path / "quick" / "dream" / "table1.ipynb"
    bad.parent.mkdir(parents=True)
    bad.write_text(text, encoding="latin-1")
    status, _ = says(capsys, "index", "--reports", str(tmp_path))
    assert status == 0
    assert "table1.ipynb" in (tmp_path / "index.html").read_text()
    ends_well(lambda: html.render(bad))


@pytest.mark.parametrize("harm", HARMS, ids=range(len(HARMS)))
@pytest.mark.parametrize("name", ["table1.ipynb", "table1.html", "table1.csv", "table1.failed.ipynb"])
def test_a_bad_file_does_not_stop_the_index(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    bad = tmp_path / "quick" / "dream" / name
    bad.parent.mkdir(parents=True)
    if name != "table1.ipynb":
        bad.with_name("table1.ipynb").write_text(
            PAGES[-1].replace("7", '{"end_time": "2026-03-01T14:05:00"}')
        )
    bad.touch()
    harm(bad)
    assert says(capsys, "index", "--reports", str(tmp_path))[0] == 0
    ends_well(lambda: html.render(bad))


@pytest.mark.parametrize("harm", HARMS, ids=range(len(HARMS)))
def test_reported_numbers(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    (tmp_path / "reported.csv").touch()
    harm(tmp_path / "reported.csv")
    ends_well(lambda: load_reported(tmp_path / "reported.csv"))


# Calls

IMAGE = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
LABEL = torch.tensor([0, 1])
MNIST = statistics("mnist")
CALLS: tuple[Callable[[Path], object], ...] = (
    *((lambda _, many=many: make_cell("tiny", "dm", "digits", many, 0)) for many in (0, -1, 10**8, 10**30, True)),
    *((lambda _, seed=seed: make_cell("tiny", "dm", "digits", 1, seed)) for seed in (-1, 2**63, 10**30)),
    *((lambda _, many=many: study("dream/table1", profile="tiny", seeds=many)) for many in (-1, 10**9, 10**30)),
    *((lambda _, text=text: duration(text)) for text in ("", "s", MANY, "1.1.1s", "\0", "１s", "-1")),
    *((lambda _, name=name: load(name)) for name in ("", ":", "folder:\0", "parquet:\0", "\0", "digits@holdout@5steps-order0-step1", "cifar10@")),
    *((lambda _, more=more: load("digits", **more)) for more in ({"mode": "X"}, {"normalisation": ""}, {"mode": ""})),
    *((lambda _, mean=mean: Normalisation("n", mean, mean)) for mean in ((), (0.0,), (float("nan"),), (-1.0,))),
    *((lambda _, part=part: Dataset("d", IMAGE, part, IMAGE, LABEL, ("a", "b"), MNIST)) for part in (LABEL.float(), LABEL - 1, LABEL + 10**12, LABEL[:1], LABEL[:0])),
    *((lambda _, part=part: Dataset("d", part, LABEL, IMAGE, LABEL, ("a", "b"), MNIST)) for part in (IMAGE.float(), IMAGE[0], IMAGE[:0], IMAGE.repeat(1, 3, 1, 1))),
    *((lambda _, name=name: load_set(name)) for name in ("", ".", "\0", LONG, "/dev/zero", "/dev/null", "/proc/self/mem")),
    *((lambda _, name=name: load_generator(name)) for name in ("", "\0", LONG, "/dev/zero")),
    *((lambda path, form=form: export(load_set(path), path.with_name("x"), form)) for form in ("", "PNG", "images ")),
    *((lambda path, name=name: export(load_set(path), name, "safetensors")) for name in ("", ".", "/dev/null", LONG)),
    *((lambda path, batch=batch: load_set(path).loader(batch)) for batch in (0, -1)),
    *((lambda path, more=more: run_cells([cell()], Store(path.parent), **more)) for more in (
        {"workers": -2}, {"seconds": 0}, {"seconds": float("nan")}, {"seconds": float("inf")}, {"memory_gb": float("inf")},
        {"memory_gb": 0}, {"device": "meta"}, {"device": "nothing"},
    )),
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_a_call(
    results: Path, call: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Store(results).set_path(cell())
    ends_well(lambda: call(path))


def test_there_are_hundreds_of_them(request: pytest.FixtureRequest) -> None:
    """As many as the project asks for, whatever is taken out of the tables above."""
    assert (
        sum(item.path == request.path for item in request.session.items) > 300
        or len(request.session.items) < 300
    )
    assert np.isfinite(SECONDS)
