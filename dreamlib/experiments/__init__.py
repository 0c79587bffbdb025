"""Experiments: cells, the store of their results, and running them."""

from .cells import Cell, make_cell
from .plans import PLANS
from .run import Summary, expected_seconds, run_cells
from .store import Store
from .studies import Study, items, study

__all__ = [
    "PLANS",
    "Cell",
    "Store",
    "Study",
    "Summary",
    "expected_seconds",
    "items",
    "make_cell",
    "run_cells",
    "study",
]
