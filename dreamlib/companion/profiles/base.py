"""What a profile is: one size of the whole study, complete. A table never mixes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

from ...core.errors import PluginError, unknown
from ...networks import NetworkSpec
from ...recipes.rules import Rule, rule
from ...recipes.search import Search

C = TypeVar("C")


@dataclass(frozen=True)
class Item:
    """What is special of one table or figure under a profile; what is empty is as everywhere.

    Attributes
    ----------
    datasets, ipcs : tuple
        Data sets and budgets, most valuable first.
    seeds : int
        Synthetic sets of each method.
    recipe_rules, evaluation_rules : tuple of Rule
        Applied after the profile's own, by the plan of the item: those of dm/continual and dm/batchnorm ask for them.
    """

    datasets: tuple[str, ...] = ()
    ipcs: tuple[int, ...] = ()
    seeds: int = 0
    recipe_rules: tuple[Rule, ...] = ()
    evaluation_rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Modes:
    """In which modes of the engine a method is run (engine/speed); on which data set and for how many seeds at most."""

    modes: tuple[str, ...]
    dataset: str = ""
    seeds: int = 10**9


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


# The items of DiM's paper that vary one thing.
ABLATIONS = ("table4", "table5", "table6", "table10", "figure3a", "figure3b", "figure5", "figure6", "figure7")


def short_generators(
    profile: str, width: int, models: tuple[NetworkSpec, ...], lr: float
) -> tuple[Rule, ...]:
    """DiM and its GAN of a given width by a tenth: 20 epochs in place of 200, networks that learn 2 batches, not 16.

    ``models`` is the models pool, ``lr`` the rate of the generative models that DM is compared with.
    """
    here = partial(rule, f"profile {profile}")
    kept = {"criterion.also_kept": (2, 5, 8, 10, 12, 13, 15, 17, 19)}
    gan = {"container.width": width, "criterion.epochs": 20, "container.lr": 1e-3}
    matched = {"criterion.matched_from": 12, "criterion.matched_epochs": 8}
    # The released code matches after all of the GAN's training.
    code = {"criterion.epochs": 15, "criterion.matched_from": 15, "criterion.matched_epochs": 10}
    return (
        here({**gan, **kept}, method="gan"),
        here({**matched, "teacher.models": models, "teacher.images": 128}, method="dim"),
        here(code, method="dim-code"),
        here({"container.width": 16, "criterion.epochs": 20, "container.lr": lr}, method="generative"),
    )


def pixel_mmd(profile: str, **more: object) -> tuple[Rule, ...]:
    """MMD in pixel space: image rates that were chosen on held-out training images."""
    chosen = partial(
        rule, f"profile {profile}; image_lr: ours, on held-out training images at 1 and 10 images per class"
    )
    return (
        chosen({**more, "image_lr": 0.5}, method=PIXEL_MMD),
        chosen({"image_lr": 0.1}, method=PIXEL_MMD, ipc=1),
    )


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
