"""Faults made by hand, one at a time: does the suite see them? ``python tests/nightly/mutations.py``.

Each line changes one place of the library to what a tired hand might write, and runs the tests of the folder that the
file belongs to until the first one fails, those of "make check" first. Run it before and after the suite is made
smaller: the share that is caught may not fall.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """In ``file`` (below dreamlib) ``old`` becomes ``new``; ``tests`` (below tests) should see it."""

    file: str
    old: str
    new: str
    tests: str


def _of(tests: str, file: str, *changes: tuple[str, str]) -> list[Mutation]:
    return [Mutation(file, old, new, tests) for old, new in changes]


MUTATIONS = [
    *_of(
        "matchers",
        "matchers/base.py",
        ("return (1 - cosine).sum()", "return (1 - cosine).mean()"),
        ("a.norm(dim=2) * b.norm(dim=2) + 1e-6", "a.norm(dim=2) * b.norm(dim=2) + 1e-2"),
        ("(real - synthetic).abs().sum()", "(real - synthetic).square().sum()"),
    ),
    *_of("matchers", "matchers/gradient.py", ('reduction="sum") / each', 'reduction="sum")')),
    *_of(
        "matchers",
        "matchers/feature.py",
        ("of_group.mean(1) if", "of_group.sum(1) if"),
    ),
    *_of(
        "matchers",
        "matchers/kernel.py",
        ("- 2 * self.mean(real[0], synthetic[0])", "- self.mean(real[0], synthetic[0])"),
        ("2 * self.bandwidth**2 * size", "self.bandwidth**2 * size"),
    ),
    *_of("matchers", "matchers/logits.py", ("logits.log_softmax(1)", "logits.softmax(1)")),
    *_of(
        "samplers",
        "samplers/clustering.py",
        ("active[rows] = shift > tolerance", "active[rows] = shift > 100 * tolerance"),
        ("nearest = nearest.masked_fill(~mask, k)\n    slot", "nearest = nearest\n    slot"),
        (
            "far = distance.topk(mean.shape[1], dim=1).indices",
            "far = distance.topk(mean.shape[1], dim=1, largest=False).indices",
        ),
        ("distance.topk(each, dim=2, largest=False)", "distance.topk(each, dim=2, largest=True)"),
    ),
    *_of("samplers", "samplers/gradnorm.py", (".argsort(1).argsort(1) + 0.5", ".argsort(1) + 0.5")),
    *_of(
        "coresets",
        "coresets/selection.py",
        ("gap = (target - (total + points) / taken)", "gap = (target - (total + points))"),
        (
            "gap = torch.minimum(gap, (points - latest)",
            "gap = torch.maximum(gap.clamp(max=0), (points - latest)",
        ),
        (
            "score = (forgotten + tie)",
            "score = (-forgotten + tie)",
        ),
    ),
    *_of(
        "augment",
        "augment/operations.py",
        (
            "factor_y, factor_x = (u * (limit - 1 / limit) + 1 / limit",
            "factor_y, factor_x = (u * (limit - 1) + 1",
        ),
        ("return int(side * fraction + 0.5)", "return int(side * fraction)"),
        ("angle.cos() * x - angle.sin() * y", "angle.cos() * x + angle.sin() * y"),
    ),
    *_of(
        "augment",
        "augment/mixing.py",
        ("own = height * width - box.sum(dim=(1, 2))", "own = box.sum(dim=(1, 2))"),
    ),
    *_of(
        "augment",
        "augment/per_image.py",
        ("- self.rotate) * (math.pi / 180)", "- self.rotate / 2) * (math.pi / 180)"),
    ),
    *_of(
        "containers",
        "containers/updates.py",
        ("return self._drift(tensor, state, lr_factor, position)", "return tensor, state"),
        ("len(tensor) - 1 - position)", "len(tensor) - position)"),
        ("gradient - mean, mean", "gradient, mean"),
    ),
    *_of(
        "containers",
        "containers/formation.py",
        ('size=(h, w), mode="nearest"', 'size=(h, w), mode="area"'),
        ("permute(0, 1, 3, 5, 2, 4, 6)", "permute(0, 1, 5, 3, 2, 4, 6)"),
    ),
    *_of("distillation", "containers/base.py", ("value.clamp_(0, 1)", "value.clamp_(-1, 1)")),
    *_of(
        "distillation",
        "distillation/loop.py",
        ("self.container.project(self.stored)", "pass"),
        ("self.teaching.after(step, self.stored)", "self.teaching.after(step + 1, self.stored)"),
    ),
    *_of(
        "teachers",
        "teachers/networks.py",
        ("before = step - step // self.how.steps", "before = step"),
        ("if step % self.how.steps:", "if step % (self.how.steps + 1):"),
    ),
    *_of(
        "criteria",
        "criteria/matching.py",
        ("turn=step // self.how.sampler.every", "turn=step"),
        ("layer.momentum = 1.0", "layer.momentum = 0.1"),
    ),
    *_of(
        "criteria",
        "criteria/generative.py",
        ("loss = loss + self.how.weight * mismatch", "loss = loss + mismatch"),
        ("return self.matched_rate if self.matching else 1.0", "return 1.0"),
    ),
    *_of("criteria", "criteria/adversarial.py", ("known) * 2  # CE", "known)  # CE")),
    *_of(
        "networks",
        "networks/training.py",
        ("torch._foreach_zero_(self.velocity)", "pass"),
        (
            "return settings.rate(settings.passes * step / self.steps)",
            "return settings.rate(step // self.per_epoch)",
        ),
        ("+ 1e-9) + self.late", "+ 1e-9)"),
    ),
    *_of(
        "networks",
        "networks/layers.py",
        ("extra = 2 if shape == (1, 28, 28)", "extra = 1 if shape == (1, 28, 28)"),
    ),
    *_of(
        "data",
        "data/classes.py",
        (
            "which, at = divmod(number, self.total // batch)",
            "which, at = divmod(number, -(-self.total // batch))",
        ),
        ("return keys.to(self.device).masked_fill_(~self._mask(), KEYS)", "return keys.to(self.device)"),
    ),
    *_of("core", "core/files.py", ("if seals != (header", "if seals[:1] != (header")),
    *_of("compute", "compute/engine.py", ("if count % part == 0", "if True")),
    *_of(
        "companion",
        "companion/report/verdicts.py",
        ("verdict=True if low > 0 else False if high < 0 else None,", "verdict=True if low > 0 else False,"),
        (
            "half = quantile(self.sets, places) * self.spread / self.sets**0.5",
            "half = quantile(self.sets, 1) * self.spread / self.sets**0.5",
        ),
    ),
    *_of("companion", "companion/store.py", ('record.get("key") != cell.key', "False")),
    *_of(
        "recipes",
        "recipes/published.py",
        ("10: (10, 50)", "10: (10, 10)"),
        ('{"base_side": 28}', '{"base_side": 32}'),
        ('"image_lr": 1e-4', '"image_lr": 1e-3'),
    ),
]


# The tests of a minute first; the others of the folder only if these see nothing.
TIERS = (
    "not nightly and not trains and not compiles and not processes",
    "not nightly and (trains or compiles or processes)",
)


def copied(folder: str) -> Path:
    """What tests need of the project, in a new folder."""
    tree = Path(folder, "tree")
    for name in ("dreamlib", "tests", "notebooks", "benchmarks", "examples", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, tree)
    (tree / "reports").symlink_to(ROOT / "reports")
    return tree


def failing(tree: Path, *words: str) -> str | None:
    """The first test of a copy that fails, or None if there is none."""
    words = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *words)
    done = subprocess.run(
        words, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True
    )
    if done.returncode in (0, 4, 5):  # 4, 5: there is no such test, or none of this tier
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+::.+?|\S+\.py)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode not in (1, 2) or found is None:
        raise SystemExit(f"pytest itself failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return found[1]


def caught(mutation: Mutation, known: str = "") -> str | None:
    """The test that fails with this fault, in a copy of the tree."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        tree = copied(folder)
        target = tree / "dreamlib" / mutation.file
        text = target.read_text(encoding="utf-8")
        if mutation.old not in text:
            raise SystemExit(f"{mutation.file} no longer holds {mutation.old!r}: bring this list up to date")
        target.write_text(text.replace(mutation.old, mutation.new, 1), encoding="utf-8")
        # What saw it the last time, then the file's own tests, then its folder's.
        if known and (tree / known.partition("::")[0]).exists() and (test := failing(tree, known)):
            return test
        tests = tree / "tests" / mutation.tests
        own = sorted(tests.glob(f"test_*{target.stem}*.py"))
        for tier in TIERS:
            if test := failing(tree, "-m", tier, *(str(file.relative_to(tree)) for file in (*own, tests))):
                return test
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="faults whose file or text holds this")
    parser.add_argument("--known", type=Path, help="what an earlier run printed: its tests are tried first")
    asked = parser.parse_args()
    chosen = [one for one in MUTATIONS if asked.only in f"{one.file} {one.old}"]
    told = asked.known.read_text(encoding="utf-8").splitlines() if asked.known else []
    known = {
        line.split(" s  ", 1)[1].rsplit("  ", 1)[0]: line.rsplit("  ", 1)[1]
        for line in told
        if " s  " in line
    }
    seen: list[str] = []
    for number, one in enumerate(chosen, 1):
        begun = time.monotonic()
        test = caught(one, known.get(f"{one.file}: {one.new}", ""))
        seen += [test] if test else []
        print(
            f"{number:3d}/{len(chosen)} {'caught  ' if test else 'SURVIVED'} {time.monotonic() - begun:5.0f} s  "
            f"{one.file}: {one.new}  {test or ''}",
            flush=True,
        )
    # A test that fails without any fault has seen nothing.
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        if seen and (wrong := failing(copied(folder), *sorted(set(seen)))):
            raise SystemExit(f"{wrong} fails without a fault too")
    print(f"{len(seen)} of {len(chosen)} caught")


if __name__ == "__main__":
    main()
