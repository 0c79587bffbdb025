"""DiM's Table 9: which networks are timed."""

import pytest

from dreamlib.companion.plans import dim
from dreamlib.networks import misfit


@pytest.mark.parametrize(
    ("profile", "shape"), [("quick", (1, 8, 8)), ("cpu", (3, 32, 32)), ("paper", (3, 32, 32))]
)
def test_the_six_networks_of_table_9_fit_the_images_of_a_profile(
    profile: str, shape: tuple[int, int, int]
) -> None:
    timed = dim.timed(profile)
    assert list(timed) == ["C3", "R10", "R18", "R34", "R50", "D121"]
    assert [misfit(spec, shape, 10) for spec in timed.values()] == [""] * 6
    assert {name: timed[name] for name in dim.judges(profile)} == dim.judges(profile)
