"""Examples that a finding stands on do what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.nightly
def test_the_nearest_image_is_herdings_first_choice(tmp_path: Path) -> None:
    chosen = "--methods herding,nearest --datasets digits --ipc 1,10 --plugins examples/nearest.py --quiet"
    words = [
        sys.executable,
        "-m",
        "dreamlib",
        "run",
        "dream/table1",
        *chosen.split(),
        "--results",
        str(tmp_path),
    ]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    records = [json.loads(path.read_text()) for path in tmp_path.glob("quick/*.json")]
    found = {(one["method"], one["ipc"]): one["accuracies"] for one in records if one["ipc"]}
    assert found["herding", 1] == found["nearest", 1]
    assert found["herding", 10] != found["nearest", 10]
