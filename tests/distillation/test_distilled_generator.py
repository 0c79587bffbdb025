"""A generator as a user holds it: images drawn once or afresh, training batches, and files that are something else."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import generator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dreamlib.augment import Siamese
from dreamlib.companion.cells import make_cell
from dreamlib.containers import Generator, Pixels
from dreamlib.core.errors import BadValue, StoreError
from dreamlib.core.files import read_tensors, write_tensors
from dreamlib.core.registry import as_data
from dreamlib.core.streams import Streams
from dreamlib.data import statistics
from dreamlib.distillation import sets as distilled
from dreamlib.distillation.exports import export
from dreamlib.distillation.sets import DistilledGenerator, load_generator, load_set

CLASSES, SHAPE, SMALL = ("zero", "one/two", "3"), (3, 16, 16), Generator(noise=6, width=4)
CIFAR = statistics("cifar10")


def about(**more: Any) -> dict[str, Any]:
    known = {
        "container": as_data(SMALL),
        "normalisation": as_data(CIFAR),
        "classes": list(CLASSES),
        "shape": list(SHAPE),
        "dataset": "cifar10",
        "evaluation": as_data(make_cell("paper", "dim", "cifar10", 10, 0).evaluation),
        "seed": 4,
    }
    return known | more


@pytest.fixture
def written(tmp_path: Path) -> Path:
    net = SMALL.module(SHAPE, 3)
    for number, weight in enumerate(net.parameters()):
        nn.init.normal_(weight, 0, 0.5, generator=generator(number))
    path = tmp_path / "generator.safetensors"
    write_tensors(path, dict(net.state_dict()), about())
    return path


@pytest.fixture
def made(written: Path) -> DistilledGenerator:
    return load_generator(written)


def epoch(loader: DataLoader[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


def test_a_generator_comes_back_as_it_was_trained(written: Path, made: DistilledGenerator) -> None:
    stored, _ = read_tensors(written)
    assert all(value.equal(stored[name]) for name, value in made.drawing.generator.state_dict().items())
    assert not made.drawing.generator.training
    assert (made.shape, made.classes, made.normalisation) == (SHAPE, CLASSES, CIFAR)
    assert made.about["seed"] == 4
    assert load_generator(written, "cifar10").shape == SHAPE


def test_images_drawn_once(made: DistilledGenerator) -> None:
    found, again, other = made.draw(4), made.draw(4), made.draw(4, seed=1)
    assert found.images.shape == (12, *SHAPE)
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.stored.shape == (3, 4, *SHAPE)
    assert found.stored.flatten(0, 1).equal(found.images)
    assert found.images.equal(again.images)
    assert not found.images.equal(other.images)
    assert found.clipped == 0
    assert found.about["drawn"] == {"per_class": 4, "seed": 0}
    assert found.about["seed"] == 4
    # Each under its own label: the classes in turn, from one stream.
    labels, noise = torch.arange(3).repeat(4), torch.randn(12, 6, generator=Streams(0)["noise"])
    with torch.no_grad():
        images = (made.drawing.generator(noise, labels) + 1) / 2
    torch.testing.assert_close(found.images, images[labels.argsort(stable=True)])
    assert made.draw(1).images.equal(made.draw(1).stored[:, 0])


@pytest.mark.parametrize("form", ["safetensors", "images", "parquet"])
def test_what_was_drawn_is_exported_as_a_set(tmp_path: Path, made: DistilledGenerator, form: str) -> None:
    drawn = made.draw(2)
    target = export(drawn, tmp_path / f"out.{form}", form)
    if form == "images":
        assert len(list(target.rglob("*.png"))) == 6
    if form == "safetensors":
        again = load_set(target)
        assert again.images.equal(drawn.images)
        assert again.about["drawn"] == {"per_class": 2, "seed": 0}
        with pytest.raises(StoreError, match="holds a set of images, not a generator"):
            load_generator(target)


def test_every_epoch_is_new_and_a_seed_repeats_all_of_them(made: DistilledGenerator) -> None:
    def epochs(seed: int) -> list[Tensor]:
        data = made.dataset(3, seed=seed)
        assert len(data) == 9
        return [torch.stack([image for image, _ in data]) for _ in range(3)]

    first, again, other = epochs(0), epochs(0), epochs(1)
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))
    for a in range(3):
        assert not first[a].equal(other[a])
        assert not first[a].equal(first[a - 1])
    labels = [int(label) for _, label in made.dataset(3)]
    assert labels == [0, 1, 2] * 3
    torch.testing.assert_close(first[0], CIFAR.apply(CIFAR.undo(first[0]).clamp(0, 1)), rtol=0, atol=1e-5)


def test_parts_of_an_epoch_do_not_repeat_each_other(
    made: DistilledGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distilled, "AT_ONCE", 4)
    images = torch.stack([image for image, _ in made.dataset(5)]).flatten(1)
    assert len(images.unique(dim=0)) == 15


def test_workers_of_a_loader_draw_different_images(made: DistilledGenerator) -> None:
    def loader(seed: int) -> DataLoader[tuple[Tensor, ...]]:
        source = torch.Generator().manual_seed(seed)
        return DataLoader(
            made.dataset(4), batch_size=3, num_workers=2, generator=source, multiprocessing_context="fork"
        )

    one = loader(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own about forking a process that has threads
        first, second, again, other = epoch(one), epoch(one), epoch(loader(0)), epoch(loader(1))
    assert first[1].bincount().tolist() == [4, 4, 4]
    assert len(first[0].flatten(1).unique(dim=0)) == 12
    assert len(torch.cat([first[0], second[0]]).flatten(1).unique(dim=0)) == 24
    assert first[0].equal(again[0])
    assert not first[0].equal(other[0])


def test_a_loader_gives_batches_as_the_evaluation_has_them(made: DistilledGenerator) -> None:
    loader = made.loader(per_class=30)
    assert loader.batch_size == 64
    assert loader.collate_fn.augment == Siamese("color_crop_cutout_flip_scale_rotate")
    images, labels = epoch(loader)
    assert (images.shape, labels.bincount().tolist()) == ((90, *SHAPE), [30, 30, 30])
    plain_images, _ = epoch(made.loader(batch=90, per_class=30, augment=False))
    drawn = torch.stack([image for image, _ in made.dataset(30)])
    assert plain_images.equal(drawn)
    pairs = list(made.dataset(30))[:64]
    assert made.loader(per_class=30).collate_fn(pairs)[0].equal(images[:64])
    assert not images.equal(drawn)
    again = epoch(made.loader(per_class=30))[0]
    assert again.equal(images)
    assert not epoch(made.loader(per_class=30, seed=1))[0].equal(images)


@pytest.mark.parametrize("per_class", [0, -1, 1.5, "a"])
def test_no_images_are_no_number_of_images(made: DistilledGenerator, per_class: Any) -> None:
    for draw in (made.draw, made.dataset, lambda count: made.loader(per_class=count)):
        with pytest.raises(BadValue, match=f"INPC is {per_class!r}; expected at least 1 image"):
            draw(per_class)


def test_a_file_that_holds_something_else_says_what(tmp_path: Path, written: Path) -> None:
    with pytest.raises(
        StoreError, match=r"holds a generator, not a set of images\n.*load_generator\(.*draw\(10\)"
    ):
        load_set(written)
    with pytest.raises(StoreError, match="holds 'cifar10', not 'mnist'"):
        load_generator(written, "mnist")
    with pytest.raises(StoreError, match="no distilled set at"):
        load_generator(tmp_path / "nothing.safetensors")
    with pytest.raises(StoreError, match=r"states along a training, not its end\n.*generator\.safetensors"):
        load_generator(written.with_suffix(".course.safetensors"))
    (tmp_path / "notes.md").write_text("# mine")
    with pytest.raises(StoreError, match=r"notes\.md is damaged or not ours.*\n  try: another file"):
        load_set(tmp_path / "notes.md")
    path = tmp_path / "set.safetensors"
    write_tensors(path, {"images": torch.zeros(3, 1, *SHAPE)}, about(container=as_data(Pixels())))
    with pytest.raises(StoreError, match=r"holds a set of images, not a generator\n.*load_set\("):
        load_generator(path)
    stored, known = read_tensors(written)
    for broken in (
        {"container": as_data(Generator(noise=6, width=8))},
        {"container": {"part": "Cube"}},
        {"shape": [3, 24]},
    ):
        write_tensors(path, stored, {**known, **broken})
        with pytest.raises(StoreError, match="is not a generator of this version"):
            load_generator(path)
    write_tensors(path, {k: v for k, v in stored.items() if "start" not in k}, known)
    with pytest.raises(StoreError, match="is not a generator of this version") as caught:
        load_generator(path)
    assert len(str(caught.value)) < 500  # not the names of all its tensors
    whole = written.read_bytes()
    written.write_bytes(whole[:-10])
    with pytest.raises(StoreError, match="damaged or not ours"):
        load_generator(written)
    written.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match="do not match its checksum"):
        load_generator(written)
