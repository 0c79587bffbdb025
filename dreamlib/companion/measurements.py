"""What a notebook measures by itself, such as a gradient or a time: measured once, and kept like a record.

A cell's result is accuracies of networks. Some pages need other numbers, which no cell has. Here they are rows of named
values, with every repeat, in a file next to the records: so a page made again shows the same numbers, and nothing that
took an hour is lost with a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.files import digest
from .cells import NUMERICS

SCHEMA = 1
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What is measured, of what; it has no result in it.

    Attributes
    ----------
    item, profile : str
        Whose page it is: ``"dm/section4"`` under ``"cpu"``.
    about : str
        What is measured, as a file's name can have it: ``"equations"``.
    dataset : str
        Of which data set.
    of : mapping
        Everything that decides the numbers, as JSON has it. Another value is another measurement. Where the code that
        measures changes its numbers, a new value here says so.
    """

    item: str
    profile: str
    about: str
    dataset: str
    of: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """It in plain data: what its key is made of, and what its file says of it."""
        return {
            "item": self.item,
            "profile": self.profile,
            "about": self.about,
            "dataset": self.dataset,
            "of": dict(self.of),
        }

    @property
    def key(self) -> str:
        """SHA-256 of everything that decides the numbers; of the data themselves, the file has the fingerprint."""
        return digest([SCHEMA, NUMERICS, self.describe()])

    @property
    def name(self) -> str:
        """The name of its file."""
        dataset = self.dataset.replace(":", "_").replace("/", "_")
        return f"{self.item.replace('/', '-')}-{self.about}-{dataset}-{self.key[:10]}"
