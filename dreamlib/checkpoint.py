"""A checkpoint is one flat dict of named tensors; what belongs together has a prefix in common."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix``, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
