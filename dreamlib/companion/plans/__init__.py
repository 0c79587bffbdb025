"""Which cells stand behind each table and figure, paper by paper. The story is in the notebook of the same name."""

from ...core.errors import known
from . import dim, dm, dream, engine
from .base import Plan

PLANS: dict[str, Plan] = {plan.item: plan for plan in (*dream.PLANS, *engine.PLANS, *dm.PLANS, *dim.PLANS)}


def plan(item: str) -> Plan:
    """The plan of an item, or an error that lists the items."""
    return PLANS[known("item", item, PLANS)]


__all__ = ["PLANS", "Plan", "plan"]
