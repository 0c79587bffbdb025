"""Files are whole or not there, and every changed byte is noticed."""

from __future__ import annotations

import errno
import itertools
import json
import os
import resource
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from dreamlib.core import files
from dreamlib.core.atomic import write_atomically
from dreamlib.core.errors import Damaged, StoreError
from dreamlib.core.files import read_json, read_tensors, write_json, write_tensors

DATA = {"name": "é", "values": [1, 2.5, None, True], "nested": {"b": 1, "a": 2}}
TENSORS = {
    "images": torch.arange(12.0).view(2, 6)[:, ::2],
    "order": torch.tensor([3, 1]),
    "seconds": torch.tensor(0.25, dtype=torch.float64),
    "flags": torch.tensor([True, False]),
    "none": torch.empty(0, 3),
}
TENSORS["the same memory"] = TENSORS["order"][:]


def test_json_roundtrip(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "yet.json"
    write_json(path, DATA)
    assert read_json(path) == DATA
    assert "sha256" in json.loads(path.read_text())
    assert [entry.name for entry in path.parent.iterdir()] == ["yet.json"]


def test_tensors_roundtrip(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    write_tensors(path, TENSORS, DATA)
    tensors, metadata = read_tensors(path)
    assert metadata == DATA
    assert {name: (value.dtype, value.tolist()) for name, value in tensors.items()} == {
        name: (value.dtype, value.tolist()) for name, value in TENSORS.items()
    }


def _json(path: Path) -> None:
    write_json(path, DATA)


def _tensors(path: Path) -> None:
    write_tensors(path, TENSORS, DATA)


BOTH = pytest.mark.parametrize(
    ("write", "read"), [(_json, read_json), (_tensors, read_tensors)], ids=["json", "tensors"]
)


@BOTH
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_noticed_or_changes_nothing(
    write: Callable[[Path], None], read: Callable[[Path], Any], tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "file"
    write(path)
    whole, before = bytearray(path.read_bytes()), repr(read(path))
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    whole[at] ^= 1 << bit
    path.write_bytes(whole)
    with suppress(StoreError):
        assert repr(read(path)) == before


@BOTH
def test_a_file_cut_anywhere_is_noticed(
    write: Callable[[Path], None], read: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    write(path)
    whole = path.read_bytes()
    for length in {0, 1, 7, 8, 9, len(whole) // 3, len(whole) // 2, len(whole) - 2}:
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match="damaged or not ours"):
            read(path)


@pytest.mark.parametrize(
    "text",
    ["", "null", "7", '"text"', "[1, 2]", "{}", '{"sha256": 1}', '{"a": NaN, "sha256": ""}', "[" * 9999],
)
def test_other_json_is_not_ours(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="damaged or not ours"):
        read_json(path)


@pytest.mark.parametrize(
    "metadata", [None, {}, {"dreamlib": "[1]", "sha256": ""}, {"sha256": "", "dreamlib": "x"}]
)
def test_other_safetensors_are_not_ours(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "set.safetensors"
    save_file({"x": torch.ones(2)}, path, metadata=metadata)
    with pytest.raises(StoreError, match="damaged or not ours"):
        read_tensors(path)


@pytest.mark.parametrize("read", [read_json, read_tensors])
def test_what_cannot_be_opened_is_an_error_that_names_it(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "nothing", tmp_path / "file" / "below"):
        with pytest.raises(FileNotFoundError, match=path.name):
            read(path)
    with pytest.raises(Damaged, match=tmp_path.name):
        read(tmp_path)  # a folder is not ours
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(StoreError, match=f"cannot read {loop}") as caught:
        read(loop)
    assert not isinstance(caught.value, Damaged)


@pytest.mark.parametrize("read", [read_json, read_tensors])
def test_a_pipe_or_a_device_is_not_ours_and_is_not_waited_for(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Damaged, match="no regular file"):
            read(path)


@pytest.mark.parametrize("read", [read_json, read_tensors])
def test_a_huge_file_of_another_kind_is_refused_before_it_takes_memory(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(Damaged, match=r"1,?099,?511,?627,?776"):
        read(path)


@BOTH
def test_out_of_file_descriptors_is_no_damage(
    write: Callable[[Path], None], read: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    write(path)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
    try:
        with pytest.raises(StoreError, match="Too many open files") as caught:
            read(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert not isinstance(caught.value, Damaged)
    read(path)


@BOTH
@pytest.mark.parametrize("settles", [False, True])
def test_a_file_that_is_being_copied_is_looked_at_again(
    write: Callable[[Path], None],
    read: Callable[[Path], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settles: bool,
) -> None:
    path = tmp_path / "file"
    write(path)
    whole, contents, looks = path.read_bytes(), files.contents, itertools.count(1)

    def growing(path: Path, *how: Any) -> bytes:
        look = next(looks)
        path.write_bytes(whole if settles and look == files.TRIES else whole[: 20 * look])
        return contents(path, *how)

    monkeypatch.setattr(files, "contents", growing)
    if settles:
        assert repr(read(path))
    else:
        with pytest.raises(StoreError, match="it changes while it is read") as caught:
            read(path)
        assert not isinstance(caught.value, Damaged)


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "record.json", {"accuracy": float("nan")})
    assert not list(tmp_path.iterdir())


# Writing that fails


def refuse(code: int) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise OSError(code, os.strerror(code))

    return call


PLACES = ((tempfile, "mkstemp"), (os, "fsync"), (os, "replace"), (files, "_write_bytes"))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("place", PLACES, ids=[name for _, name in PLACES])
@pytest.mark.parametrize("write", [_json, _tensors])
def test_a_refused_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], None],
    place: tuple[Any, str],
    code: int,
) -> None:
    path = tmp_path / "file"
    write(path)
    before = path.read_bytes()
    monkeypatch.setattr(*place, refuse(code))
    with pytest.raises(StoreError) as caught:
        write(path)
    assert str(path) in caught.value.message
    full = code in (errno.ENOSPC, errno.EDQUOT)
    assert ("free some space" if full else "--results DIR") in caught.value.hint
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("write", [_json, _tensors])
def test_a_file_in_place_of_the_folder(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "results").write_text("I was here first")
    for path in (tmp_path / "results" / "record", tmp_path / "results" / "sets" / "set"):
        with pytest.raises(StoreError, match=r"cannot write .*results") as caught:
            write(path)
        assert "--results DIR" in caught.value.hint
    assert (tmp_path / "results").read_text() == "I was here first"


def test_a_broken_off_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(temporary: Path) -> None:
        temporary.write_text("half of")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", interrupted)
    assert not list(tmp_path.iterdir())


def _write_on_a_full_disk(path: str, answer: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # the nearest to a full disk without being root
    try:
        write_tensors(Path(path), {"x": torch.zeros(5000)}, {})
    except StoreError as error:
        answer.send(str(error))


@pytest.mark.processes
def test_a_file_that_the_system_cuts_off_never_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    _tensors(path)
    before = path.read_bytes()
    context = get_context("forkserver")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_write_on_a_full_disk, args=(str(path), writer))
    process.start()
    writer.close()
    assert reader.recv().startswith(f"cannot write {path}")
    process.join()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["set.safetensors"]
