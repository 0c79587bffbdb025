"""Boxes and arrows."""

import matplotlib.pyplot as plt
import pytest
from diagrams import Block, chain
from matplotlib.patches import FancyBboxPatch

from dreamlib.core.errors import BadValue


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_every_block_has_a_box_and_an_arrow_leads_to_the_next(count: int) -> None:
    blocks = [Block("Conv2d", f"block {number}", ("one", "two")) for number in range(count)]
    axes = chain(blocks, start="noise", end="image", across=4)
    assert sum(isinstance(patch, FancyBboxPatch) for patch in axes.patches) == count
    texts = [text.get_text() for text in axes.texts]
    assert {"noise", "image", *(block.title for block in blocks)} <= set(texts)
    assert texts.count("") == count + 1  # the arrows
    low, high = axes.get_ylim()
    assert all(low < text.get_position()[1] < high for text in axes.texts if text.get_text())
    plt.close("all")


def test_blocks_of_a_kind_have_its_colour() -> None:
    axes = chain([Block("a", "A"), Block("b", "B")], start="", end="", tones={"a": "#ff0000"})
    first, second = (patch.get_edgecolor() for patch in axes.patches)
    assert first == (1, 0, 0, 1)
    assert second != first
    plt.close("all")


def test_no_block_is_an_error() -> None:
    with pytest.raises(BadValue, match="0 blocks"):
        chain([], start="", end="")
