"""What a clone has to fetch stays small."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = 25 * 2**20  # bytes


def test_tracked_files_are_25_megabytes_at_most() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    sizes = {
        name: (ROOT / name).stat().st_size for name in told.stdout.split("\0") if (ROOT / name).is_file()
    }
    assert sizes
    largest = sorted(sizes, key=lambda name: -sizes[name])[:5]
    assert sum(sizes.values()) <= MOST, f"{sum(sizes.values()):,} bytes; the largest: {largest}"
