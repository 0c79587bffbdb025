from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dreamlib.core.atomic import write_atomically, write_text
from dreamlib.core.errors import StoreError


def test_write_text(tmp_path: Path) -> None:
    path = write_text(tmp_path / "new" / "a.md", "Söhne\n±\n")
    assert path.read_bytes() == "Söhne\n±\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["a.md"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_was_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    path = write_text(tmp_path / "a.md", "old")

    def full(source: object, target: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match=r"a\.md") as caught:
        write_text(path, "new")
    assert str(tmp_path) in caught.value.message
    assert os.strerror(reason) in caught.value.message
    assert caught.value.hint
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.md"]


def test_a_fault_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fill(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.md", fill)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(StoreError, match="reports"):
        write_text(tmp_path / "reports" / "a.md", "text")


def test_a_device_a_pipe_or_a_folder_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    for name, kind in (("pipe", "pipe"), ("folder", "folder"), ("link", "device")):
        before = (tmp_path / name).lstat()
        with pytest.raises(StoreError, match=f"cannot write .*{name}: it is a {kind}"):
            write_text(tmp_path / name, "text")
        assert (tmp_path / name).lstat() == before
    with pytest.raises(StoreError, match="it is a device"):
        write_text("/dev/full", "text")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "link", "pipe"]


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_files_are_for_those_whom_the_umask_lets(tmp_path: Path, umask: int) -> None:
    # A group that shares its results: huggingface/datasets#7900
    code = "import sys; from dreamlib.core.atomic import write_text; write_text(sys.argv[1], 'words')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, umask=umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask
