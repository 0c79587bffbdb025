"""Which number formats pay: asked of the machine, measured once, and never bfloat16 where it is emulated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dreamlib.compute import convolutions, formats
from dreamlib.compute.engine import Engine
from dreamlib.compute.formats import FLOAT32, Formats, cache_folder, formats_of
from dreamlib.samplers import kmeans

pytestmark = pytest.mark.compiles

CPU = torch.device("cpu")
ASK = """
import sys, torch
from pathlib import Path
from dreamlib.compute.formats import formats_of
print(formats_of(torch.device("cpu")))
for kept in sys.argv[2:]:
    (file,) = Path(sys.argv[1]).glob("*.json")
    file.write_text(kept)
    print(formats_of.__wrapped__(torch.device("cpu")))  # as a process that has not asked yet
"""


def asked(cache: Path, *kept: str, **environment: str) -> list[str]:
    """What another process of this machine decides: at first, and where its only measurement said something else."""
    command = [sys.executable, "-c", ASK, str(cache), *kept]
    env = {**os.environ, "DREAMLIB_CACHE": str(cache), **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()


def decided(cache: Path) -> str:
    """What this process would decide, had it not asked yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DREAMLIB_CACHE", str(cache))
        return str(formats_of.__wrapped__(CPU))


AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}  # what a processor with AVX2 alone has, as oneDNN says
DIRECT, FEWER = str(Formats("float32")), str(Formats("float32", winograd=True))


@pytest.mark.nightly
@pytest.mark.skipif(formats_of(CPU).short != "bfloat16", reason="this processor has no bfloat16 to measure")
def test_the_ratio_of_bfloat16_is_measured_once_and_decides(tmp_path: Path) -> None:
    (first,) = asked(tmp_path)
    (kept,) = tmp_path.glob("bfloat16-*.json")
    ratio = json.loads(kept.read_text())["bfloat16"]
    assert ("bfloat16" in first) == (ratio >= formats.PAYS)
    if ratio < formats.PAYS or not convolutions.available(CPU):
        return
    # Fewer products are compared with direct convolutions in bfloat16, and rougher ones with those.
    (of_fewer,) = tmp_path.glob("winograd-bfloat16-*.json")
    of_fewer.write_text(json.dumps({"winograd-bfloat16": 9.0}))
    decided(tmp_path)
    (of_rough,) = tmp_path.glob("winograd-rough-*.json")
    direct = max(1.0, ratio)
    for fewer, rough, expected in (
        (1.0, 9.0, Formats("bfloat16")),
        (1.3, 1.35, Formats("bfloat16", winograd=True)),
        (1.3, 1.5, Formats("bfloat16", winograd=True, rough=True)),
    ):
        of_fewer.write_text(json.dumps({"winograd-bfloat16": fewer * direct}))
        of_rough.write_text(json.dumps({"winograd-rough": rough * direct}))
        assert decided(tmp_path) == str(expected)
    kept.write_text('{"bfloat16": 0.3}')  # as on a machine that emulates it
    assert "bfloat16" not in decided(tmp_path)
    kept.write_text("no JSON")
    assert decided(tmp_path) == decided(tmp_path)
    assert formats.PAYS <= json.loads(kept.read_text())["bfloat16"] == pytest.approx(ratio, rel=0.5)


# oneDNN can be limited where the processor is of that family.
x86 = pytest.mark.skipif(not torch.cpu.get_capabilities().get("avx2"), reason="no processor with AVX2")


@pytest.mark.nightly
@x86
@pytest.mark.skipif(not convolutions.available(CPU), reason="no C++ compiler with OpenMP")
def test_without_bfloat16_the_ratio_of_fewer_products_decides(tmp_path: Path) -> None:
    other = '{"winograd-float32": 1.0}', '{"winograd-float32": 2.0}', "{}"
    first, *then = asked(tmp_path, *other, **AVX2)
    assert not list(tmp_path.glob("bfloat16-*")), "nothing of it had to be measured"
    (kept,) = tmp_path.glob("winograd-float32-*.json")
    ratio = json.loads(kept.read_text())["winograd-float32"]
    assert first == (FEWER if ratio >= formats.FEWER_PAYS else DIRECT)
    assert then == [DIRECT, FEWER, first]


@x86
def test_without_bfloat16_and_a_compiler_nothing_is_gained(tmp_path: Path) -> None:
    assert asked(tmp_path, CXX="/bin/false", **AVX2) == [DIRECT]
    assert not list(tmp_path.iterdir()), "nothing had to be measured"


@pytest.mark.nightly
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert asked(tmp_path / "file")[0].startswith("Formats(")


@pytest.mark.parametrize("mode", ["plain", "compiled"])
def test_other_modes_never_round(mode: str) -> None:
    engine = Engine(mode, CPU)
    assert engine.formats == FLOAT32
    assert engine.lower({"x": torch.ones(2)})["x"].dtype == torch.float32


def test_fast_mode_in_float32_rounds_nothing_and_in_bfloat16_does() -> None:
    long, short = (Engine("fast", CPU, formats=Formats(name)) for name in ("float32", "bfloat16"))
    x = torch.tensor([1 + 2**-12])
    assert long.lower(x).equal(x)
    assert short.lower(x).dtype == torch.bfloat16
    products = [engine.autocast(lambda a: a @ a)(torch.full((4, 4), 1 + 2**-12)) for engine in (long, short)]
    assert not products[0].equal(products[1])
    assert all(product.dtype == torch.float32 for product in products)


def test_fast_clustering_compares_in_the_format_it_is_given() -> None:
    points = torch.randn(2, 200, 16, generator=torch.Generator().manual_seed(0))
    found = {
        dtype: kmeans(points, 8, torch.Generator().manual_seed(1), fast=True, short=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    plain = kmeans(points, 8, torch.Generator().manual_seed(1))
    for clusters in found.values():
        torch.testing.assert_close(clusters.inertia, plain.inertia, rtol=0.02, atol=0)


def test_formats_are_said_in_words() -> None:
    assert FLOAT32.words == "float32"
    fewer = "large 3x3 convolutions by Winograd"
    assert Formats("float32", winograd=True).words == f"float32, {fewer}"
    assert Formats("bfloat16", winograd=True, rough=True).words == (
        f"bfloat16, {fewer} (products in bfloat16 where means are compared)"
    )


@pytest.mark.parametrize("differs", ["instructions", "limit"])
def test_machines_that_share_a_folder_share_no_code_that_one_cannot_run(
    differs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a cluster's home folder is shared by nodes of several kinds."""
    here, found = cache_folder(), dict(torch.cpu.get_capabilities())
    found["sse4a"] = not found.get("sse4a", False)
    if differs == "limit":
        monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert cache_folder() != here
    monkeypatch.undo()
    assert cache_folder() == here
