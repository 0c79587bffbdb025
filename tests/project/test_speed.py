"""The table of docs/speed.md says what the bench records give, kind of machine by kind of machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.works import FEATURE, GRADIENT, JUDGING

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "speed.md"
IN_SHORT = ("dm-10", "dsa-1", "dream-10", "evaluation-10", "clustering")  # the columns of the README's table
# How a row begins, and the works that it tells of.
ROWS = {
    "DM step": ["dm-10", "dm-50"],
    "gradient-matching step (DSA), IPC 1 / 10": ["dsa-1", "dsa-10"],
    "gradient-matching step (DSA), IPC 1": ["dsa-1"],
    "IDC/DREAM inner loop": ["dream-10"],
    "clustering of all classes": ["clustering"],
    "evaluation of five networks on 100 / 500": ["evaluation-10", "evaluation-50"],
    "evaluation of five networks on 100": ["evaluation-10"],
    "GAN step": ["gan"],
    "DiM step": ["dim"],
    "a training step of five networks on freshly drawn": ["deploy"],
    "DD step": ["dd-1"],
    "MTT step": ["mtt-1"],
    "KIP step / FRePo step": ["kip", "frepo"],
    "loading": ["loading"],
}


def table() -> list[tuple[str, str, list[list[str]]]]:
    """Instructions and family of the machine, the row's name, and its numbers of plain, compiled and fast."""
    machine, out = "", []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if found := re.match(r"\*(AVX\S+).*family (\d+)", cells[0]):
            machine = f"{found[1].lower().replace('-', '')}.*-family{found[2]}-"
        elif line.startswith("|") and machine:
            out.append((machine, cells[0], [re.findall(r"[\d.]+", cell) for cell in cells[1:]]))
    return out


def works_of(machine: str) -> dict[str, Any]:
    """What was measured on a kind of machine."""
    records = (ROOT / "reports" / "results" / "bench").glob("*.json")
    (path,) = (path for path in records if re.match(f"cpu-{machine}", path.name))
    works: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["works"]
    return works


def test_the_readme_shows_every_kind_of_machine_that_was_met() -> None:
    rows = re.findall(r"(?m)^\| (AVX\S+).*family (\d+)[^|]* \|(.*)\|$", README.read_text(encoding="utf-8"))
    kinds = [f"{instructions.lower().replace('-', '')}.*-family{family}-" for instructions, family, _ in rows]
    for kind, (_, _, told) in zip(kinds, rows, strict=True):
        works = works_of(kind)
        assert re.findall(r"[\d.]+", told) == [f"{works[work]['ratios']['fast']:.1f}" for work in IN_SHORT]
    there = (ROOT / "reports" / "results" / "bench").glob("cpu-*.json")
    assert len(set(kinds)) == len(list(there))


@pytest.mark.parametrize(("machine", "name", "told"), table(), ids=str)
def test_a_row_is_what_the_record_gives(machine: str, name: str, told: list[list[str]]) -> None:
    record = works_of(machine)
    works = next(works for start, works in ROWS.items() if name.startswith(start))
    for mode, numbers in zip(("plain", "compiled", "fast"), told, strict=True):
        found = [record[work]["ratios"].get(mode, record[work]["ratios"].get("cached")) for work in works]
        expected = [f"{ratio:.1f}" if ratio < 20 else f"{ratio:.0f}" for ratio in found if ratio]
        if numbers or mode == "plain":  # a column may be left out
            assert numbers == expected


def test_the_aims_of_the_page_are_those_of_the_bench() -> None:
    text = PAGE.read_text(encoding="utf-8")
    aims = {
        kind: [f"{aim[kind]:g}" for aim in (FEATURE, GRADIENT, JUDGING)] for kind in ("float32", "bfloat16")
    }
    assert (
        "with AVX2 is {} for DM and {} for gradient matching and evaluation".format(*aims["float32"]) in text
    )
    assert "with bfloat16 it is {}, {} and {}".format(*aims["bfloat16"]) in text
    assert aims["float32"][1] == aims["float32"][2]
