"""Sets by name, and the card of a set: what there is is found, what there is not is said with the command for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import dreamlib
from dreamlib.companion import library
from dreamlib.companion.cells import Cell, make_cell
from dreamlib.companion.cli import main
from dreamlib.companion.library import Name, available, card, find, records_of
from dreamlib.companion.store import Store
from dreamlib.core.errors import BadValue, StoreError, UnknownName
from dreamlib.core.files import write_tensors
from dreamlib.data import Dataset, load
from dreamlib.distillation.sets import DistilledSet


def keep(store: Store, digits: Dataset, cell: Cell, fill: float = 0.0, **more: Any) -> Cell:
    """A set of one colour as the set of a cell, as a worker writes it."""
    about = {
        **cell.describe(),
        "container": cell.describe()["recipe"]["container"],
        "classes": list(digits.classes),
        "shape": list(digits.shape),
        "normalisation": digits.normalisation.about(),
        "data_fingerprint": digits.fingerprint,
        "set_sha256": "0" * 64,
        **more,
    }
    images = torch.full((digits.num_classes, cell.ipc, *digits.shape), fill)
    store.write_set(cell, {"images": images}, {}, about)
    return cell


def judged(store: Store, digits: Dataset, cell: Cell, *accuracies: float) -> None:
    store.write_record(cell, {"accuracies": list(accuracies), "data_fingerprint": digits.fingerprint})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The results folder, as a user sets it."""
    monkeypatch.setenv("DREAMLIB_RESULTS", str(tmp_path / "results"))
    return Store()


def of(profile: str = "quick", method: str = "random", ipc: int = 1, seed: int = 0) -> Cell:
    return make_cell(profile, method, "digits", ipc, seed)


def test_a_name_finds_its_set_in_the_best_profile_that_has_it(store: Store, digits: Dataset) -> None:
    for profile, fill in (("quick", 0.1), ("cpu", 0.2), ("paper", 0.3)):
        keep(store, digits, of(profile), fill)
        found = dreamlib.load_set("digits/random/ipc1")
        assert found.about["profile"] == profile, "each is better than those before it"
        assert float(found.normalised.mean()) == pytest.approx(fill)
    assert dreamlib.load_set("digits/random/ipc1", profile="quick").about["profile"] == "quick"
    assert len(dreamlib.load_set("DIGITS/Random/IPC1")) == 10, "in any case"


def test_seeds_budgets_and_folders_are_told_apart(store: Store, digits: Dataset, tmp_path: Path) -> None:
    keep(store, digits, of(), 0.0)
    keep(store, digits, of(seed=2), 0.2)
    keep(store, digits, of(ipc=10), 1.0)
    assert dreamlib.load_set("digits/random/ipc1/s2").about["seed"] == 2
    assert dreamlib.load_set("digits/random/ipc1/s0").about["seed"] == 0
    assert len(dreamlib.load_set("digits/random/ipc10")) == 100
    other = Store(tmp_path / "other")
    keep(other, digits, of(), 0.7)
    found = dreamlib.load_set("digits/random/ipc1", results=tmp_path / "other")
    assert float(found.normalised.mean()) == pytest.approx(0.7)
    path = store.set_path(of())
    assert dreamlib.load_set(path).images.equal(dreamlib.load_set("digits/random/ipc1").images)
    assert [str(name) for _, name in available(store)] == [
        "digits/random/ipc1",
        "digits/random/ipc1/s2",
        "digits/random/ipc10",
    ]


def test_a_name_that_has_no_set_says_which_have_and_what_makes_it(store: Store, digits: Dataset) -> None:
    with pytest.raises(
        StoreError, match=r"no set digits/dream/ipc10 in .*results: there is none yet"
    ) as caught:
        dreamlib.load_set("digits/dream/ipc10")
    assert caught.value.hint == (
        "python -m dreamlib run dream/figure3 --profile quick --datasets digits --ipc 10 --methods dream --seeds 1"
    )
    keep(store, digits, of())
    write_tensors(store.set_path(of(seed=1)), {"x": torch.zeros(1)}, {"another": "program's"})
    with pytest.raises(StoreError, match=r"there are digits/random/ipc1 \(quick\)\n") as caught:
        dreamlib.load_set("digits/random/ipc1/s3", profile="cpu")
    assert "--profile cpu" in caught.value.hint
    assert "--seeds 4" in caught.value.hint
    with pytest.raises(StoreError, match="--profile cpu --datasets cifar10"):
        find("cifar10/dream/ipc10")
    with pytest.raises(UnknownName, match="unknown method 'dreem'"):
        dreamlib.load_set("digits/dreem/ipc1")
    with pytest.raises(UnknownName, match="unknown data set 'digit'"):
        dreamlib.load_set("digit/dream/ipc1")
    with pytest.raises(UnknownName, match="unknown profile 'large'"):
        dreamlib.load_set("digits/dream/ipc1", profile="large")
    with pytest.raises(BadValue, match="IPC is 0"):
        dreamlib.load_set("digits/dream/ipc0")
    with pytest.raises(BadValue, match="'whole' trains on the whole training set and has no set of its own"):
        dreamlib.load_set("digits/whole/ipc1")
    with pytest.raises(BadValue, match="is no name of a set"):
        find("digits/dream")


def test_the_command_that_is_named_makes_the_set_of_that_name(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError) as caught:
        dreamlib.load_set("digits/random/ipc1")
    words = caught.value.hint.split()
    assert words[:3] == ["python", "-m", "dreamlib"]
    assert main([*words[3:], "--workers", "-1"]) == 0
    assert "1 cells, 1 to compute" in capsys.readouterr().out
    assert main(["status", *words[4:]]) == 0


def test_a_path_is_a_path_though_it_looks_like_a_name(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits" / "random" / "ipc1").mkdir(parents=True)
    assert Name.of("digits/random/ipc1") == Name("digits", "random", 1, 0)
    monkeypatch.chdir(tmp_path)
    assert Name.of("digits/random/ipc1") is None
    assert Name.of("folder:/a/b/dm/ipc10/s3") == Name("folder:/a/b", "dm", 10, 3)
    for other in ("set.safetensors", "a/b.safetensors", "digits/dream", "digits/dream/10", Path("a/b/ipc1")):
        assert Name.of(other) is None


def test_a_set_of_ones_own_data_is_found_and_refused_when_they_are_others(
    store: Store, tmp_path: Path
) -> None:
    for number, file in enumerate(("train/a/0", "train/b/0", "test/a/0", "test/b/0")):
        path = tmp_path / "own" / f"{file}.png"
        path.parent.mkdir(parents=True)
        Image.new("L", (8, 8), number).save(path)
    own = f"folder:{tmp_path / 'own'}"
    data = load(own)
    keep(store, data, make_cell("quick", "random", own, 1, 0), 0.4)
    assert dreamlib.load_set(f"{own}/random/ipc1").about["dataset"] == own
    Image.new("L", (8, 8), 200).save(tmp_path / "own" / "train" / "a" / "0.png")
    with (
        pytest.warns(UserWarning, match="holds other images"),
        pytest.raises(StoreError, match=r"is no distilled set of folder:.* as it is now"),
    ):
        dreamlib.load_set(f"{own}/random/ipc1")


def test_a_generator_is_drawn_from_by_name(store: Store, digits: Dataset) -> None:
    cell = of(method="gan", ipc=3)
    stream = torch.Generator().manual_seed(0)
    stored = cell.recipe.container.start(None, 1, digits.shape, digits.num_classes, stream)
    about = {
        **cell.describe(),
        "container": cell.describe()["recipe"]["container"],
        "classes": list(digits.classes),
        "shape": list(digits.shape),
        "normalisation": digits.normalisation.about(),
        "data_fingerprint": digits.fingerprint,
    }
    store.write_set(cell, stored, {}, about)
    found = dreamlib.load_set("digits/gan/ipc5")
    assert found.about["drawn"] == {"per_class": 5, "seed": 0}
    again = dreamlib.load_generator(store.set_path(cell)).draw(5)
    assert found.images.equal(again.images)
    assert "# digits/gan/ipc5\n" in card(found)
    assert "drawn once from a generator" in card(found)


def front(text: str) -> dict[str, Any]:
    """The front matter of a card, by a reader of YAML."""
    matter = re.match(r"---\n(.*?)\n---\n\n# ", text, re.DOTALL)
    assert matter is not None
    found: dict[str, Any] = yaml.safe_load(matter[1])
    return found


def test_a_card_says_what_a_set_is_worth_over_sets(store: Store, digits: Dataset) -> None:
    for seed, accuracies in ((0, (60.0, 62.0)), (1, (64.0, 66.0)), (2, (62.0, 64.0))):
        judged(store, digits, keep(store, digits, of(seed=seed)), *(*accuracies, sum(accuracies) / 2))
    found = dreamlib.load_set("digits/random/ipc1/s1")
    assert [record["seed"] for record in records_of(found, store)] == [0, 1, 2]
    text = card(found)
    # Means 61, 65 and 63: 63 +- 4.3027 * 2 / sqrt(3).
    assert (
        "Mean 63.0 %, 95 % interval [58.0, 68.0] (Student's t) over 3 sets. This set, of seed 1: 65.0 %."
        in text
    )
    assert "3 networks on each set (seeds 0, 1, 2), profile `quick`" in text
    for said in ("| whitening | none |", "CC BY 4.0", "| seed | 1 |", "`papers`: mean 0.3052; std 0.3756"):
        assert said in text
    assert "--profile quick --datasets digits --ipc 1 --methods random --seeds 2" in text
    assert front(text)["license"] == "cc-by-4.0"
    assert front(text)["pretty_name"] == "digits/random/ipc1/s1"


def test_a_card_of_one_set_has_no_interval_and_one_of_none_no_accuracy(store: Store, digits: Dataset) -> None:
    keep(store, digits, of())
    assert "Not measured here. `python -m dreamlib run dream/figure3" in card(
        dreamlib.load_set("digits/random/ipc1")
    )
    judged(store, digits, of(), 50.0, 52.0, 51.0)
    judged(store, digits, of(ipc=10), 90.0, 90.0, 90.0)  # another way of making
    text = card(dreamlib.load_set("digits/random/ipc1"))
    assert "Mean 51.0 %, over 1 set, so there is no interval" in text
    assert "90" not in text.partition("## How it was made")[0]


def test_sources_and_differences_are_on_the_card(store: Store, digits: Dataset) -> None:
    cell = keep(store, digits, of(method="dream", ipc=1))
    text = card(dreamlib.load_set("digits/dream/ipc1"))
    assert cell.sources
    assert all(f"- `{name}`: {source}" in text for name, source in cell.sources.items())
    assert cell.differs
    assert all(f"- {words}" in text for words in cell.differs)
    assert '"part": "MultiFormation"' in text


HARD = 'a: "b" #c | {d} \\ "e'


@pytest.mark.parametrize("target", ["folder", "set.parquet", "set.safetensors"])
def test_every_export_has_its_card(store: Store, digits: Dataset, tmp_path: Path, target: str) -> None:
    keep(store, digits, of(), 0.5)
    written = dreamlib.export(dreamlib.load_set("digits/random/ipc1"), tmp_path / "out" / target)
    file = written / "README.md" if written.is_dir() else written.with_name(f"{target}.md")
    text = file.read_text()
    assert front(text)["tags"] == ["dataset-distillation", "dreamlib", "random"]
    assert f'load_set("{target}")' in text
    if target == "set.parquet":
        assert front(text)["configs"][0]["data_files"] == [{"split": "train", "path": "set.parquet"}]
    again = dreamlib.load_set(written)
    assert again.labels.equal(torch.arange(10))


def test_front_matter_holds_whatever_a_set_is_called(digits: Dataset) -> None:
    about = {"dataset": HARD, "method": HARD, "ipc": 1, "seed": 0, "profile": "quick"}
    names = (HARD, *digits.classes[1:])
    made = DistilledSet(
        torch.rand(10, 1, 8, 8),
        torch.arange(10),
        torch.rand(10, 1, 1, 8, 8),
        names,
        digits.normalisation,
        about,
    )
    assert front(card(made))["pretty_name"] == f"{HARD}/{HARD}/ipc1"
    assert front(card(made))["license"] == "unknown"


def test_the_command_prints_a_card_lists_names_and_exports_by_name(
    store: Store, digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card"]) == 0
    assert "no sets in" in capsys.readouterr().out
    keep(store, digits, of())
    assert main(["card"]) == 0
    assert capsys.readouterr().out.split() == ["quick", "digits/random/ipc1"]
    assert main(["card", "digits/random/ipc1"]) == 0
    assert capsys.readouterr().out == card(dreamlib.load_set("digits/random/ipc1"))
    assert main(["card", str(store.set_path(of()))]) == 0
    assert capsys.readouterr().out == card(dreamlib.load_set("digits/random/ipc1"))
    target = tmp_path / "set.parquet"
    assert main(["export", "digits/random/ipc1", "--to", str(target)]) == 0
    assert capsys.readouterr().out.startswith(f"10 images of 10 classes -> {target}\n")
    assert main(["export", "digits/random/ipc1", "--profile", "cpu", "--to", str(tmp_path / "x")]) == 2
    assert "no set digits/random/ipc1 of profile cpu" in capsys.readouterr().err
    for flag, value in (("--seed", "2"), ("--methods", "dm"), ("--ipc", "10")):
        assert main(["export", "digits/random/ipc1", flag, value, "--to", str(tmp_path / "y")]) == 2
        said = capsys.readouterr().err
        assert f"{flag} would choose a set, and 'digits/random/ipc1' is one" in said
        assert f"such as digits/random/ipc1/s{2 if flag == '--seed' else 1}" in said
    assert not (tmp_path / "y").exists()
    assert main(["card", "--profile", "CPU"]) == 0
    assert capsys.readouterr().out.endswith("of profile cpu; make some with: make figure3 PROFILE=cpu\n")
    assert main(["card", "--profile", "cpy"]) == 2
    assert "unknown profile 'cpy'" in capsys.readouterr().err


def test_names_are_the_packages_own() -> None:
    assert dreamlib.load_set is library.load_set
    assert dreamlib.export is library.export
