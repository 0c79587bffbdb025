from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamlib.core.errors import BadValue
from dreamlib.data import ClassData, Dataset, Normalisation

Make = Callable[..., Dataset]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def members(data: Dataset, label: int) -> torch.Tensor:
    return data.train_images[data.train_labels == label]


def test_take_is_the_plain_loop(make: Make) -> None:
    data = make([5, 3, 9, 4])
    view = ClassData(data)
    index = view.draw(3, generator())
    expected = torch.stack(
        [data.normalisation.apply(members(data, c)[index[c]].float() / 255) for c in range(data.num_classes)]
    )
    assert torch.equal(view.take(index), expected)
    assert torch.equal(data.normalisation.apply(view.unit(index)), expected)
    assert view.take(index).dtype == torch.float32


def test_take_of_chosen_classes(make: Make) -> None:
    data = make([5, 3, 9, 4])
    view = ClassData(data)
    classes, index = torch.tensor([2, 0, 2]), torch.tensor([[8, 0], [4, 4], [1, 7]])
    out = view.unit(index, classes)
    for row, label in enumerate(classes.tolist()):
        assert torch.equal(out[row], members(data, label)[index[row]].float() / 255)


def test_attributes(make: Make) -> None:
    view = ClassData(make([5, 3, 9]))
    assert (view.name, view.shape, view.num_classes, view.device) == (
        "noise",
        (3, 4, 5),
        3,
        torch.device("cpu"),
    )
    assert view.sizes.tolist() == [5, 3, 9]
    assert (view.smallest, view.largest, view.total) == (3, 9, 17)
    assert view.labels.tolist() == [0] * 5 + [1] * 3 + [2] * 9


@pytest.mark.parametrize(
    "index",
    [
        torch.zeros(2, 2).long(),
        torch.zeros(3).long(),
        torch.zeros(3, 2),
        torch.zeros(3, 2, dtype=torch.int32),
    ],
)
def test_index_of_the_wrong_form(make: Make, index: torch.Tensor) -> None:
    with pytest.raises(BadValue, match=r"expected int64 \(3, B\)"):
        ClassData(make([5, 3, 9])).take(index)


@pytest.mark.parametrize("index", [[[4], [3], [8]], [[0], [-1], [0]]])
def test_index_beyond_its_class(make: Make, index: list[list[int]]) -> None:
    with pytest.raises(BadValue, match="beyond a class of noise"):
        ClassData(make([5, 3, 9])).take(torch.tensor(index))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=6), st.integers(0, 2**32), st.data())
def test_draws_hold_no_image_twice_and_stay_in_their_class(
    sizes: list[int], seed: int, choice: st.DataObject
) -> None:
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    images = torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8)
    norm = Normalisation("own", (0.5,), (0.5,))
    view = ClassData(Dataset("tiny", images, labels, images[:1], labels[:1], tuple(map(str, sizes)), norm))
    batch = choice.draw(st.integers(1, min(sizes)))
    index = view.draw(batch, generator(seed))
    assert index.shape == (len(sizes), batch)
    assert index.dtype == torch.int64
    for row, size in zip(index.tolist(), sizes, strict=True):
        assert len(set(row)) == batch
        assert 0 <= min(row) <= max(row) < size


def test_draw_is_uniform_over_ordered_subsets(make: Make) -> None:
    view, stream, trials = ClassData(make([3, 5])), generator(), 6000
    drawn = torch.stack([view.draw(2, stream) for _ in range(trials)])
    for label, size in enumerate((3, 5)):
        pairs = drawn[:, label, 0] * size + drawn[:, label, 1]
        counts = torch.bincount(pairs, minlength=size * size).view(size, size).double()
        cells = size * (size - 1)
        assert (counts.diagonal() == 0).all()
        chi2 = (
            (counts - trials / cells).square() / (trials / cells)
        ).sum() - counts.diagonal().numel() * trials / cells
        # 99.99 % points of chi-squared with 5 and 19 degrees of freedom.
        assert chi2 < {6: 25.7, 20: 50.8}[cells]


def test_draw_depends_on_its_generator_alone(make: Make) -> None:
    view = ClassData(make([6, 8]))
    torch.manual_seed(1)
    first = view.draw(4, generator(7))
    torch.manual_seed(2)
    assert torch.equal(first, view.draw(4, generator(7)))
    assert not torch.equal(first, view.draw(4, generator(8)))


@pytest.mark.parametrize("batch", [0, 4])
def test_draw_beyond_the_smallest_class(make: Make, batch: int) -> None:
    with pytest.raises(
        BadValue, match=rf"draw {batch} .* noise: class 1 \('class1'\) has 3\n.*between 1 and 3"
    ):
        ClassData(make([5, 3, 9])).draw(batch, generator())


def test_draw_flat_takes_every_image_once(make: Make) -> None:
    data = make([5, 3, 9])
    view = ClassData(data)
    images, labels = view.draw_flat(17, generator())
    assert torch.bincount(labels).tolist() == [5, 3, 9]
    units = data.normalisation.apply(data.train_images.float() / 255)
    order = [next(i for i, unit in enumerate(units) if torch.equal(unit, image)) for image in images]
    assert sorted(order) == list(range(17))
    assert torch.equal(data.train_labels[order], labels)
    with pytest.raises(BadValue, match="18 different images of noise: it holds 17"):
        view.draw_flat(18, generator())


def test_flat_batches_run_through_permutations_and_all_are_whole(make: Make) -> None:
    view = ClassData(make([5, 3, 9]))
    everything = [tuple(image.flatten().tolist()) for image in view.draw_flat(17, generator())[0]]
    batches = [
        [tuple(image.flatten().tolist()) for image in view.turn_flat(5, number, generator)[0]]
        for number in range(6)
    ]
    # 17 images hold three batches of 5; the two that are left wait for the next permutation.
    assert [len(batch) for batch in batches] == [5] * 6
    passes = [[image for batch in batches[first : first + 3] for image in batch] for first in (0, 3)]
    assert all(len(set(images)) == 15 and set(images) <= set(everything) for images in passes)
    assert passes[0] != passes[1]


def test_draw_flat_is_uniform(make: Make) -> None:
    view, stream = ClassData(make([6, 2])), generator()
    share = sum(int((view.draw_flat(2, stream)[1] == 0).sum()) for _ in range(2000)) / 4000
    assert abs(share - 0.75) < 0.03


def test_padded_index_reaches_every_image(make: Make) -> None:
    data = make([5, 3, 9])
    view = ClassData(data)
    index, mask = view.padded_index()
    assert index.shape == mask.shape == (3, 9)
    assert mask.sum(1).tolist() == [5, 3, 9]
    assert index[1].tolist() == [0, 1, 2, 2, 2, 2, 2, 2, 2]
    units = view.unit(index)
    for label in range(3):
        assert torch.equal(units[label][mask[label]], members(data, label).float() / 255)


def test_per_class_keeps_a_fixed_prefix(make: Make) -> None:
    data = make([30, 4, 50])
    small, large = ClassData(data, per_class=3), ClassData(data, per_class=10)
    assert small.sizes.tolist() == [3, 3, 3]
    assert large.sizes.tolist() == [10, 4, 10]
    index = torch.arange(3).expand(3, -1)
    assert torch.equal(small.unit(index), large.unit(index))
    assert not torch.equal(small.unit(index), ClassData(data).unit(index))
    for label, rows in enumerate(large.unit(large.padded_index()[0])):
        real = {tuple(image.flatten().tolist()) for image in members(data, label).float() / 255}
        kept = {tuple(image.flatten().tolist()) for image in rows}
        assert kept <= real
        assert len(kept) == large.sizes[label]
    with pytest.raises(BadValue, match="per_class is 0"):
        ClassData(data, per_class=0)


def test_images_by_their_number_in_the_whole_set(make: Make) -> None:
    data = make([5, 3, 9])
    view = ClassData(data)
    index = torch.tensor([[0, 16, 5], [7, 8, 8]])
    images, labels = view.at(index)
    assert labels.tolist() == [[0, 2, 1], [1, 2, 2]]
    assert images.shape == (2, 3, 3, 4, 5)
    assert torch.equal(images[0, 1], view.take(torch.tensor([[8]]), torch.tensor([2]))[0, 0])
    assert torch.equal(images[1, 0], view.take(torch.tensor([[2]]), torch.tensor([1]))[0, 0])
    empty, none = view.at(torch.empty(0, 4, dtype=torch.int64))
    assert (empty.shape, none.shape) == ((0, 4, 3, 4, 5), (0, 4))
