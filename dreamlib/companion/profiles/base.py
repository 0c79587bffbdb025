"""What a profile is: one size of the whole study, complete. A table never mixes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from ...core.errors import PluginError, unknown
from ...recipes.rules import Rule
from ...recipes.search import Search

C = TypeVar("C")


@dataclass(frozen=True)
class Item:
    """What is special of one table or figure under a profile; what is empty is as everywhere.

    Attributes
    ----------
    datasets, ipcs : tuple
        Data sets and budgets, most valuable first.
    methods : tuple of str
        Methods of the item, where they are not all that its plan has.
    seeds : int
        Synthetic sets of each method.
    recipe_rules, evaluation_rules : tuple of Rule
        Applied after the profile's own, by the plan of the item: those of dm/continual and dm/batchnorm ask for them.
    """

    datasets: tuple[str, ...] = ()
    ipcs: tuple[int, ...] = ()
    seeds: int = 0
    methods: tuple[str, ...] = ()
    recipe_rules: tuple[Rule, ...] = ()
    evaluation_rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Modes:
    """In which modes of the engine a method is run (engine/speed); on which data set and for how many seeds at most."""

    modes: tuple[str, ...]
    dataset: str = ""
    seeds: int = 10**9


@dataclass(frozen=True)
class Tried:
    """Image learning rates of a method that are tried on held-out training images (engine/rates).

    Attributes
    ----------
    factors : tuple of float
        By what its published rate is multiplied.
    share : float
        Of the profile's own iterations, which a try makes.
    """

    factors: tuple[float, ...]
    share: float


@dataclass(frozen=True)
class Profile:
    """How a whole study is scaled.

    Attributes
    ----------
    name : str
        ``quick``, ``cpu`` or ``paper``.
    summary : str
        What is different from the papers, in words for the reader of a report.
    datasets, ipcs : tuple
        What a study covers unless asked otherwise.
    seeds : int
        Synthetic sets of each method at each place of a table.
    recipe_rules, evaluation_rules : tuple of Rule
        Applied after a method's own rules.
    threads : int
        CPU threads of one worker. They decide the last bits of a sum, so the profile fixes them, not the machine.
    search : Search
        How architecture search is scaled; the published protocol by default.
    items : dict of str to Item
        What is special of single tables and figures, by their names.
    choices : dict of str to anything
        What stands in the place of a published choice (the values of an ablation, say), by the name that a plan asks
        for. What is not here is as published.
    on_request : tuple of str
        Methods, with their variants, that take long: they are computed where
        ``METHODS`` names them, and their rows say so elsewhere.
    published : bool
        Whether widths, steps and images are those of the papers, so that numbers can be held against theirs.
    """

    name: str
    summary: str
    datasets: tuple[str, ...]
    ipcs: tuple[int, ...]
    seeds: int
    recipe_rules: tuple[Rule, ...] = ()
    evaluation_rules: tuple[Rule, ...] = ()
    threads: int = 1
    search: Search = field(default_factory=Search)
    items: Mapping[str, Item] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)
    on_request: tuple[str, ...] = ()
    published: bool = False

    @property
    def reading(self) -> str:
        """What a reader who compares with the papers has to know."""
        if self.published:
            return f"Profile {self.name}: the published protocol."
        return (
            f"Profile {self.name}: a scaled-down protocol, so a difference from the paper shows what scaling down "
            "costs and is no verdict on the method."
        )

    def item(self, name: str) -> Item:
        """What is special of a table or figure."""
        return self.items.get(name, Item())

    def choice(self, name: str, published: C) -> C:
        """What stands in the place of a published choice."""
        return cast(C, self.choices.get(name, published))


# A rule for a method holds for its variants too (Method.family).
GRADIENT_PIXELS = ("dc", "dsa")
TRAINED_CORESETS = ("herding", "k-center", "forgetting")
IDC_FAMILY = ("idc", "idc-dm")
PIXEL_MMD = ("mmd", "mmd-polynomial", "mmd-rbf", "mmd-laplacian")


# DiM's released code by a tenth: matching after all of the GAN's training.
CODE_IN_SHORT = {"criterion.epochs": 15, "criterion.matched_from": 15, "criterion.matched_epochs": 10}


class Profiles(Mapping[str, Profile]):
    """The profiles by name."""

    def __init__(self, *profiles: Profile) -> None:
        self._profiles = {profile.name: profile for profile in profiles}

    def register(self, profile: Profile) -> Profile:
        """Add a profile of one's own, so that ``PROFILE=name`` knows it.

        Raises
        ------
        PluginError
            If another profile has this name.
        """
        if self._profiles.get(profile.name, profile) != profile:
            raise PluginError(f"a profile named {profile.name!r} exists already", "give yours another name")
        self._profiles[profile.name] = profile
        return profile

    def __getitem__(self, name: str) -> Profile:
        if name not in self._profiles:
            raise unknown("profile", name, self._profiles)
        return self._profiles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)
