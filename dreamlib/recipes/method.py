"""A method: a named recipe with its rules. ``methods["dc"].using(sampler=Representative())`` is DC+DREAM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from ..core.errors import PluginError, unknown
from ..core.registry import as_data
from ..data import names as dataset_names
from ..data import origin
from ..distillation.recipe import Recipe, change
from .rules import Rule, apply


@dataclass(frozen=True)
class Method:
    """A row of a table.

    Attributes
    ----------
    name, label : str
        What is typed, and what is shown.
    recipe : Recipe
        The parts and settings on CIFAR-10 at IPC 10; ``rules`` hold the differences.
    protocol : str
        Evaluation protocol of the method's own paper.
    common : str
        The common protocol, where the method's own is another: the same set is judged under it too, in a row of its
        own, so that a reader sees what a number owes to its evaluation. It is DSA's, ConvNet-3 with the labels as the
        set has them, by squared errors where these are no probabilities. Empty for methods that the DC family's
        protocols judge.
    rules : tuple of Rule
        Settings by ``dataset`` and ``ipc``.
    family : tuple of str
        For a variant, the method it was made from, and what that one was made from: what a profile says of DM holds for
        DM with a user's sampler too.
    chosen : tuple of Rule
        Numbers chosen by :meth:`using`, applied after a profile's rules: the caller's word is the last.
    sources : tuple of (str, str)
        Where the settings in ``recipe`` come from, by field (or "all").
    reported_as : str
        The method's name in the papers' tables; empty when no table has it.
    control : str
        The method that shows what is learned: real images with their own classes, judged in the same way. For methods
        that are judged in a way of their own; empty for the others, and where no such method is made.
    differs : tuple of str
        Where the recipe is not what paper and released code do, in words that go on "differs from the released code
        in: ...". What a profile or a caller changes is found by comparison and not said here.
    """

    name: str
    label: str
    recipe: Recipe
    protocol: str
    rules: tuple[Rule, ...] = ()
    chosen: tuple[Rule, ...] = ()
    family: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    reported_as: str = ""
    common: str = ""
    control: str = ""
    differs: tuple[str, ...] = ()

    def using(self, *, name: str = "", label: str = "", **parts: Any) -> Method:
        """The same method with some parts or settings replaced, and nothing else changed.

        Parameters
        ----------
        name, label : str
            Of the new method. By default made from the changed parts: ``dc`` with a representative sampler is
            ``dc+dream``, any other part adds its class name, and a number or a text its field (``dc+image_lr=0.2``).
        **parts
            Fields of :class:`~dreamlib.distillation.recipe.Recipe`; a double underscore reaches inside
            (``teacher__steps=20``).
        """
        given = {path.replace("__", "."): value for path, value in parts.items()}
        recipe = self.recipe
        for path, value in given.items():
            recipe = change(recipe, path, value)
        tail = "+".join(_word(path, value) for path, value in given.items())
        source = f"chosen in {name or self.name + '+' + tail.lower()}"
        # No rule of the base method may undo the caller's word. A profile may still change what is inside a whole
        # part (the epochs of a coreset's network), but not a number that was chosen.
        parts_given = tuple((path, value) for path, value in given.items() if is_dataclass(value))
        numbers = tuple((path, value) for path, value in given.items() if not is_dataclass(value))
        return replace(
            self,
            name=name or f"{self.name}+{tail.lower()}",
            label=label or f"{self.label}+{tail}",
            recipe=recipe,
            family=(self.name, *self.family),
            rules=(*self.rules, Rule((), (*parts_given, *numbers), source)),
            chosen=(*self.chosen, Rule((), numbers, source)),
            # A variant is no row of a paper: nothing reported may stand next to it.
            reported_as="",
        )

    @property
    def base(self) -> str:
        """The method this one is a variant of; empty for an original."""
        return self.family[0] if self.family else ""

    def facts(self, dataset: str, ipc: int) -> dict[str, Any]:
        """What rules ask of a cell. A part of a data set has the settings of the data set it comes from."""
        # A container without tiles is one of factor 1.
        factor = getattr(self.recipe.container, "factor", 1)
        return {
            "dataset": origin(dataset),
            "ipc": ipc,
            "method": (self.name, *self.family),
            "factor": factor,
            "criterion": type(self.recipe.criterion).__name__,
        }

    def resolve(
        self, dataset: str, ipc: int, scale: tuple[Rule, ...] = (), item: tuple[Rule, ...] = ()
    ) -> tuple[Recipe, dict[str, str]]:
        """The recipe for one data set and budget, and the source of every setting that a rule made.

        ``scale`` holds a profile's rules, ``item`` those of one table or figure.
        """
        # Later rules win: what a paper says by data set, what a profile reduces, what the caller chose, what one table
        # needs.
        rules = (*self.rules, *scale, *self.chosen, *item)
        recipe, sources = apply(self.recipe, rules, self.facts(dataset, ipc))
        return recipe, {**dict(self.sources), **sources}


def changes(published: Any, used: Any, path: str = "") -> list[str]:
    """Where data differs from the published, in words: ``"real_batch 64 (published: 256)"``.

    Parameters
    ----------
    published, used
        What :func:`~dreamlib.core.registry.as_data` makes of a recipe or an evaluation.
    path : str
        Where in a larger one they stand.
    """
    if published == used:
        return []
    # Two parts of one kind are compared field by field; another kind is one change, not a list of them.
    if isinstance(published, dict) and isinstance(used, dict) and published.get("part") == used.get("part"):
        inner = [(f"{path}.{name}" if path else name, name) for name in {**used, **published}]
        return [
            word
            for where, name in inner
            for word in changes(published.get(name, ""), used.get(name, ""), where)
        ]
    if isinstance(published, list) and isinstance(used, list) and len(published) == len(used):
        pairs = enumerate(zip(published, used, strict=True), 1)
        return [word for place, pair in pairs for word in changes(*pair, f"{path} {place}")]
    return [f"{path} {_told(used)} (published: {_told(published)})"]


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("part", value))
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or "none"
    if value is None:
        return "all"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _word(path: str, value: object) -> str:
    if not is_dataclass(value):
        return f"{path}={value}"
    return "DREAM" if type(value).__name__ == "Representative" else type(value).__name__


class Methods(Mapping[str, Method]):
    """All methods by name, in the order of the tables."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}

    def register(self, method: Method) -> Method:
        """Add a method, so that ``METHODS=name`` and every table know it.

        Raises
        ------
        PluginError
            If another method has this name.
        """
        known = self._methods.get(method.name)
        # The same method twice is fine: a notebook cell that registers it may be run again.
        if known is not None and as_data(known) != as_data(method):
            raise PluginError(
                f"a method named {method.name!r} exists already",
                "give yours another one: .using(..., name='my-method')",
            )
        self._methods[method.name] = method
        return method

    def __getitem__(self, name: str) -> Method:
        if name not in self._methods:
            raise unknown("method", name, self._methods)
        return self._methods[name]

    def __contains__(self, name: object) -> bool:
        return name in self._methods

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)


methods = Methods()
# A mirrored digit is another sign: the released codes leave flip out on these.
DIGIT_SETS = ("digits", "mnist", "svhn")
GREY_SETS = ("digits", "mnist", "fashionmnist")
assert set(DIGIT_SETS) <= set(dataset_names())
