"""Results that tests judge are named by the code that computed them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from dreamlib.companion.source import PACKAGE, source_hash

ROOT = Path(__file__).parents[2]


def test_the_same_sources_have_the_same_name_wherever_they_lie(tmp_path: Path) -> None:
    copy = shutil.copytree(
        PACKAGE, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__", "*.typed")
    )
    assert source_hash(copy) == source_hash()
    assert re.fullmatch(r"[0-9a-f]{12}", source_hash())


def test_it_names_the_whole_library_and_not_the_companion_alone() -> None:
    assert PACKAGE == ROOT / "dreamlib"
    assert (PACKAGE / "matchers").is_dir()


def test_any_change_gives_another_name(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.py").write_text("x = 1\n")
    seen = {source_hash(tmp_path)}
    (tmp_path / "parts" / "a.py").write_text("x = 2\n")
    seen.add(source_hash(tmp_path))
    (tmp_path / "parts" / "a.py").rename(tmp_path / "parts" / "b.py")
    seen.add(source_hash(tmp_path))
    (tmp_path / "b.py").write_text("")
    seen.add(source_hash(tmp_path))
    (tmp_path / "fast.cpp").write_text("int x;\n")
    seen.add(source_hash(tmp_path))
    (tmp_path / "notes.txt").write_text("no code\n")
    seen.add(source_hash(tmp_path))
    assert len(seen) == 5


def test_make_test_asks_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dreamlib.companion.source"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == source_hash()
    planned = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert planned.stdout.count("$results") == 2
    assert "results=build/test-results-$(" in planned.stdout
