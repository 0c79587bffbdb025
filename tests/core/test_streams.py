"""Random streams: one for each purpose, from one seed, none disturbing another."""

from __future__ import annotations

import torch
from torch import Tensor

from dreamlib.core.streams import Streams


def draw(streams: Streams, purpose: str, count: int = 4) -> Tensor:
    return torch.rand(count, generator=streams[purpose])


def test_a_stream_does_not_depend_on_the_others() -> None:
    alone, beside = Streams(7), Streams(7)
    draw(beside, "sampler", 1000)
    draw(beside, "augment", 3)
    assert draw(alone, "network").equal(draw(beside, "network"))
    draw(beside, "sampler")
    assert draw(alone, "network").equal(draw(beside, "network"))


def test_seeds_and_purposes_give_different_numbers() -> None:
    drawn = [
        draw(Streams(seed), purpose)
        for seed in (0, 1, 12, 120)
        for purpose in ("network", "sampler", "0/network")
    ]
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == len(drawn)


def test_a_stream_goes_on_where_it_was() -> None:
    streams = Streams(3)
    assert not draw(streams, "network").equal(draw(streams, "network"))


def test_the_state_of_all_streams_can_be_kept_and_set() -> None:
    streams = Streams(3)
    draw(streams, "network")
    draw(streams, "sampler", 5)
    state = streams.state()
    assert state.keys() == {"network", "sampler"}
    assert all(value.dtype == torch.uint8 for value in state.values())
    later = [draw(streams, purpose) for purpose in ("network", "sampler", "augment")]
    other = Streams(3)
    draw(other, "augment")  # used after the state was taken: it starts anew
    other.restore(state)
    assert all(a.equal(draw(other, p)) for a, p in zip(later, ("network", "sampler", "augment"), strict=True))


def test_numbers_stay_what_they_are() -> None:
    """Records are compared across years: the first draws of a seed are part of the format."""
    numbers = torch.randint(1000, (4,), generator=Streams(0)["network"]).tolist()
    assert numbers == [886, 417, 690, 250]


def test_torchs_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(Streams(0), "network")
    assert before.equal(torch.get_rng_state())
