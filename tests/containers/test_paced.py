"""Images and the rate that networks learn from them at."""

from __future__ import annotations

import pytest
import torch

from dreamlib.containers import SGD, Paced
from dreamlib.core.errors import BadValue

SHAPE = (1, 4, 4)


def started(container: Paced) -> dict[str, torch.Tensor]:
    return container.start(torch.rand(3, 2, *SHAPE), 2, SHAPE, 3, torch.Generator())


def test_the_rate_itself_is_stored_and_moves_by_rates_of_its_own() -> None:
    container = Paced(rate=0.02, rate_by=SGD(1e-5, 0.5))
    stored = started(container)
    assert float(stored["rate"]) == pytest.approx(0.02)
    assert float(container.rates(stored)) == pytest.approx(0.02)
    images = SGD(100.0, 0.5)
    assert container.updates(images) == {"images": images, "rate": SGD(1e-5, 0.5)}
    assert container.shared("rate")
    assert not container.shared("images")


def test_a_rate_is_free_unless_it_has_a_bound() -> None:
    free, bound = Paced(), Paced(least=1e-3)
    for container, expected in ((free, -0.5), (bound, 1e-3)):
        stored = started(container)
        stored["rate"].fill_(-0.5)
        assert float(container.rates(stored)) == pytest.approx(expected)
        container.project(stored)
        assert float(stored["rate"]) == pytest.approx(expected)


def test_images_in_unit_space_stay_there_and_the_rate_is_no_pixel() -> None:
    container = Paced(space="unit", rate=2.0)
    stored = started(container)
    stored["images"].add_(1)
    container.project(stored)
    assert float(stored["images"].max()) == 1
    assert float(stored["rate"]) == 2


def test_networks_get_the_rate_with_the_images() -> None:
    from dreamlib.data import Normalisation

    made = Paced(rate=0.02).training_set(
        started(Paced(rate=0.02)), SHAPE, 3, Normalisation("own", (0.5,), (1.0,))
    )
    assert made.rates is not None
    assert float(made.rates) == pytest.approx(0.02)
    assert made.targets.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(("rate", "least"), [(-1.0, 0.0), (0.0, 0.0), (0.01, -1.0), (0.01, 0.02)])
def test_a_rate_that_cannot_be_is_named(rate: float, least: float) -> None:
    with pytest.raises(BadValue, match=r"a rate that begins with .* expected more than 0"):
        Paced(rate=rate, least=least).check(SHAPE, 3, 1)
