"""The reproductions of public reports in the folder that DREAMLIB_CASES names: what each script says at its end.

Every case is restated: data/test_data_strangers.py, companion/test_other_data.py, core/test_places.py
and project/test_bare_machines.py run with all tests. Here the scripts themselves run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

CASES = os.environ.get("DREAMLIB_CASES", "")
SCRIPTS = sorted(Path(CASES).glob("*.sh")) if CASES else []
ROOT = Path(__file__).parents[2]
# Modules that have moved since the scripts were written.
MOVED = {"dreamlib.experiments": "dreamlib.companion.store", "dreamlib.session": "dreamlib.companion.session"}
SAYS = {
    "01": r"(computed 1, found 0.*\n){3}",
    "02": r"computed 1, found 0, still missing 0, failed 0",
    "03": r"^ok \(3, 8, 8\)",
    "05": r"1 of 2 shards",
    "06": r"^12 training images",
    "07": r"try: @rgb behind the name",
    "08": r"^1\n",
    "12": r"reads 12 images\n.*/home/data\n.*/home/results\n",
    "14": r"^ok 6\nok 6\n",
    "16": r"^(dream/table1, profile cpu: \d+ of .*)\n\1\n",
}
NEVER = {"07": r"with mode='RGB'", "*": r"Traceback"}


@pytest.mark.skipif(not SCRIPTS, reason="DREAMLIB_CASES names no folder of cases")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_case_ends_as_it_should(script: Path, tmp_path: Path) -> None:
    number = script.name[:2]
    if number == "02" and os.getuid() != 0:
        pytest.skip("only root can become another user")
    text = script.read_text()
    for before, now in MOVED.items():
        text = text.replace(before, now)
    own = tmp_path / script.name
    own.write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DREAMLIB_")}
    ran = subprocess.run(
        ["bash", str(own)],
        env=kept | {"P": sys.executable, "REPO": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = ran.stdout + ran.stderr
    assert number in SAYS, f"{script.name} is new: say here what it should end with"
    assert re.search(SAYS[number], ran.stdout, re.MULTILINE), said
    for pattern in (NEVER["*"], NEVER.get(number, r"(?!)")):
        assert not re.search(pattern, said.split("expected:")[0]), said
