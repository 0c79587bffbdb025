"""A cell: one frozen, hashable description of one number in a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..core.errors import BadValue, known
from ..core.files import digest
from ..core.limits import check_per_class
from ..core.registry import as_data
from ..criteria import CRITERIA, OBJECTIVES, Generative
from ..data import check_name
from ..data.splits import parse
from ..distillation.evaluate import Evaluation, Generated
from ..distillation.recipe import Recipe
from ..recipes import Method, Rule, changes, methods, protocol
from .profiles import profiles

# Raised when a change to the code alters numbers, so that old records are not shown as the new code's.
NUMERICS = 2

COMMON = "+common"  # ends the name of a row that is judged a second time


@dataclass(frozen=True)
class Cell:
    """One synthetic set, judged in one way; or several sets together, judged as one.

    Two cells that share recipe, data set, IPC and seed share the synthetic set (:attr:`set_key`); the evaluation
    and the step at which the set is taken make the rest of the :attr:`key`.

    Attributes
    ----------
    profile, method, label, base, dataset, ipc, seed
        What a table is indexed by.
    recipe, evaluation
        Resolved for this data set, budget and profile.
    step : int
        Matching steps after which the set is judged; ``recipe.steps`` for the final one.
    sources : dict
        Where the settings come from; for the reader, not part of the key.
    differs : tuple of str
        Where recipe and evaluation are not the published ones; for the reader too.
    with_set : bool
        The synthetic set is wanted too, not only the record (to show its images); not part of the key either.
    parts : tuple of Cell
        Cells whose sets are judged together, one's classes behind the other's, on the test images of ``dataset``. Empty
        for a cell with a set of its own. See :func:`union`.
    set_of : str
        The method whose set it is, where the cell is a row of another name; see :func:`judged_again`. Empty: its own.
    """

    profile: str
    method: str
    label: str
    base: str
    dataset: str
    ipc: int
    seed: int
    recipe: Recipe
    evaluation: Evaluation
    step: int
    sources: dict[str, str] = field(default_factory=dict, compare=False, hash=False)
    differs: tuple[str, ...] = field(default=(), compare=False, hash=False)
    with_set: bool = field(default=False, compare=False, hash=False)
    parts: tuple[Cell, ...] = ()
    set_of: str = field(default="", compare=False, hash=False)

    @cached_property
    def needs(self) -> tuple[Cell, ...]:
        """The cells that have to be there first: parts of a union; an earlier stage or experts, a coreset's network."""
        return self.parts or tuple(filter(None, (first_stage(self), embedding(self))))

    @property
    def sets(self) -> tuple[Cell, ...]:
        """The cells whose synthetic sets this one is judged by: itself, or its parts."""
        return self.parts or (self,)

    @cached_property
    def set_key(self) -> str:
        """Key of the synthetic set, or of the sets together."""
        # The key says whose sets these are and after how many steps, not how the parts were made: their own keys do.
        if self.parts:
            parts = [[part.set_key, part.step] for part in self.parts]
            return digest([NUMERICS, parts, self.dataset, self.seed])
        stored = 0 if self.recipe.drawn else self.ipc  # a generator is the same for every number of images
        # What decides the numbers, and nothing of what a reader is told: labels, sources, differences.
        what = [NUMERICS, as_data(self.recipe), self.dataset, stored, self.seed]
        return digest(what)

    @cached_property
    def key(self) -> str:
        """Key of the result."""
        return digest([NUMERICS, self.set_key, as_data(self.evaluation), self.step])

    @property
    def lock_key(self) -> str:
        """Key of what one process at a time may work on: the set with all its cells, or a cell that has no set."""
        return self.key if self.recipe.whole else self.set_key

    @property
    def name(self) -> str:
        """Readable and unique: the stem of the cell's files."""
        at = "" if self.step == self.recipe.steps else f"-at{self.step}"
        # Ten digits of the key: two cells that read alike (another judging network, say) never share a file.
        return f"{self.short_name}{at}-{self.key[:10]}"

    @property
    def set_name(self) -> str:
        """Readable and unique: the stem of the synthetic set's files."""
        # A row that judges a set again has the set's own name for it.
        made = replace(self, method=self.set_of or self.method)
        if self.recipe.drawn and not self.parts:
            return f"{_word(self.dataset)}-{_word(made.method)}-s{self.seed}-{self.set_key[:10]}"
        return f"{made.short_name}-{self.set_key[:10]}"

    @property
    def short_name(self) -> str:
        """For people: data set, method, budget and seed. A long path of a user's own data keeps its end."""
        return f"{_word(self.dataset)}-{_word(self.method)}-{self.budget}{self.ipc}-s{self.seed}"

    @property
    def budget(self) -> str:
        """What ``ipc`` counts: ``"ipc"`` stored images of a class, ``"inpc"`` those a generator draws for an epoch."""
        drawn = self.evaluation.generated
        return "inpc" if drawn is not None and drawn.fresh else "ipc"

    def describe(self) -> dict[str, Any]:
        """The part of a record that says what was asked."""
        about: dict[str, Any] = {
            "profile": self.profile,
            "method": self.method,
            "label": self.label,
            "base": self.base,
            "dataset": self.dataset,
            "ipc": self.ipc,
            "seed": self.seed,
            "iteration": self.step,
            "iterations": self.recipe.steps,
            "recipe": as_data(self.recipe),
            "evaluation": as_data(self.evaluation),
            "sources": self.sources,
            "differs": list(self.differs),
        }
        if self.budget != "ipc":
            about["budget"] = self.budget
        if (split := parse(self.dataset)[1]) is not None:
            about["split"] = as_data(split)
        if self.parts:
            about["parts"] = [part.set_name for part in self.parts]
        return about


def _word(text: str) -> str:
    """A part of a file name."""
    return re.sub(r"[^\w.+-]+", "_", text)[-60:].strip("._")


def make_cell(
    profile: str,
    method: str,
    dataset: str,
    ipc: int,
    seed: int,
    *,
    step: int | None = None,
    recipe_rules: tuple[Rule, ...] = (),
    evaluation_rules: tuple[Rule, ...] = (),
    judged_as: str = "",
) -> Cell:
    """The cell of a method under a profile.

    Parameters
    ----------
    profile, method, dataset : str
        Names; unknown ones raise :class:`~dreamlib.core.errors.UnknownName`.
    ipc, seed : int
        Images per class (>= 1) and seed (>= 0). The whole training set is the same at every budget: its cell has 0.
    step : int, optional
        Judge the set after so many matching steps (of a generator: epochs), one of ``recipe.kept``; default: at the
        end.
    recipe_rules, evaluation_rules : tuple of Rule
        What an item of its own changes (another network, say); they are applied last.
    judged_as : str
        Evaluation protocol, where an item judges all methods in the same way; empty is the method's own.

    Raises
    ------
    UnknownName, BadValue
        Naming what is not known or out of range, with the valid names.
    """
    check_per_class(ipc, "IPC", "--ipc 1,10, or IPC=1,10 to make")
    if not 0 <= seed < 2**63:
        raise BadValue(f"seed is {seed}; expected 0 or more, and less than 2**63", "--seed 0")
    profile, method = known("profile", profile, profiles), known("method", method, methods)
    dataset = check_name(dataset)
    scale, row = profiles[profile], methods[method]
    # The whole training set is one cell, whatever the budget of the table it stands in.
    ipc = 0 if row.recipe.whole else ipc
    recipe, sources = row.resolve(dataset, ipc, scale.recipe_rules, recipe_rules)
    # The profile first, then the item: a table that varies the network must win over the profile's width.
    judging = (*scale.evaluation_rules, *evaluation_rules)
    evaluation, judged = protocol(judged_as or row.protocol, row.facts(dataset, ipc), judging)
    drawn = None  # stored images are what they are, also where they are judged as a generator is
    if recipe.drawn:
        drawn = replace(evaluation.generated or Generated(), per_class=ipc)
    evaluation = replace(evaluation, generated=drawn)
    kept = recipe.kept
    if step is not None and step not in kept:
        raise BadValue(f"no set is kept after step {step}; expected one of {', '.join(map(str, kept))}", "")
    return Cell(
        profile=profile,
        method=method,
        label=row.label,
        base=row.base,
        dataset=dataset,
        ipc=ipc,
        seed=seed,
        recipe=recipe,
        evaluation=evaluation,
        step=recipe.steps if step is None else step,
        sources={**sources, **judged},
        differs=_differs(row, recipe, evaluation, dataset, ipc, judged_as or row.protocol),
    )


def judged_again(cell: Cell) -> Cell | None:
    """The set of a cell under the common protocol, as a row of its own; None where its method has no other.

    The set is distilled once: both cells have one :attr:`Cell.set_key`.
    """
    row = methods[cell.method]
    if not row.common:
        return None
    facts = row.facts(cell.dataset, cell.ipc)
    evaluation, judged = protocol(row.common, facts, profiles[cell.profile].evaluation_rules)
    differs = _differs(row, cell.recipe, evaluation, cell.dataset, cell.ipc, row.common)
    return replace(
        cell,
        method=f"{cell.method}{COMMON}",
        label=f"{cell.label}, common protocol",
        base=cell.method,
        evaluation=evaluation,
        sources={name: source for name, source in cell.sources.items() if "evaluation" not in name} | judged,
        differs=differs,
        set_of=cell.method,
    )


def _differs(
    row: Method, recipe: Recipe, evaluation: Evaluation, dataset: str, ipc: int, protocol_name: str
) -> tuple[str, ...]:
    """Where a cell is not what is published: what its method says of itself, and what a profile or an item changes."""
    # Published is what the method's own rules make of it, without profile and item.
    published, _ = row.resolve(dataset, ipc)
    judged, _ = protocol(protocol_name, row.facts(dataset, ipc))
    # INPC is the budget of the cell, and no difference.
    judged = replace(judged, generated=evaluation.generated)
    found = changes(as_data(published), as_data(recipe)) + changes(
        as_data(judged), as_data(evaluation), "evaluation"
    )
    own = getattr(getattr(evaluation.learner, "augment", None), "differs", "")
    return (*row.differs, *([own] if own else []), *found)


def first_stage(cell: Cell) -> Cell | None:
    """What a cell's own set goes on from or is taught by, as a cell; None where that is nothing.

    A generator bears the name of its objective, as the method does that consists of it alone, and so is the same set.
    """
    recipe = cell.recipe.first
    if recipe is None:
        return None
    criterion = recipe.criterion
    # So the GAN below DiM is the cell "gan" of the tables, and its set is computed once for both.
    name = OBJECTIVES.name_of(criterion.objective) if isinstance(criterion, Generative) else "experts"
    # Where the later stage goes on: at the epoch from which it matches, else at the end (experts).
    step = cell.recipe.criterion.first or recipe.steps
    return replace(
        cell, method=name, label=name, base="", set_of="", recipe=recipe, step=step, with_set=False
    )


def embedding(cell: Cell) -> Cell | None:
    """The network that a cell's coreset is chosen by, as a cell; None where that is not trained.

    All coresets of a data set and a seed have the same one.
    """
    recipe = cell.recipe.embedded
    if recipe is None:
        return None
    name = CRITERIA.name_of(recipe.criterion)
    return replace(
        cell, method=name, label=name, base="", set_of="", recipe=recipe, step=recipe.steps, with_set=False
    )


def union(whole: Cell, parts: Sequence[Cell]) -> Cell:
    """The sets of several cells, judged together.

    Parameters
    ----------
    whole : Cell
        Says how they are judged, and on which test images: those of its data set, whose classes are the classes of all
        parts, in their order. Its own recipe describes the parts and is not run.
    parts : sequence of Cell
        At least one; each has a set of its own.
    """
    if not parts or any(part.parts for part in parts):
        raise BadValue(
            f"{whole.dataset}: a union of {len(parts)} sets; expected one or more cells of one set each", ""
        )
    if any(part.recipe.drawn for part in parts):
        raise BadValue(f"{whole.dataset}: a union of generators; expected sets of images", "another method")
    if any(part.recipe.whitening for part in parts):
        raise BadValue(
            f"{whole.dataset}: a union of sets that are whitened, each as its own classes say; expected sets that are "
            "normalised alike",
            "another method, or whitening=''",
        )
    return replace(whole, parts=tuple(parts))
