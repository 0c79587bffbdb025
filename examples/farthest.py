"""A sampler of one's own, as in the README: make table1 PLUGINS=examples/farthest.py METHODS=dm,dm+farthest,dm+dream"""

from dataclasses import dataclass

from torch import Tensor

from dreamlib import methods, samplers


@samplers.register("farthest")
@dataclass(frozen=True)
class Farthest:
    """The images farthest from their class mean in the current embedding: probably a bad idea."""

    every: int = 10

    def choose(self, view: samplers.View) -> Tensor:
        index, mask = view.candidates(256)
        points = view.embed(index)
        gap = (points - points.mean(1, keepdim=True)).square().sum(2).masked_fill(~mask, -1)
        return index.gather(1, gap.topk(view.batch, dim=1).indices)


methods.register(methods["dm"].using(sampler=Farthest(), name="dm+farthest", label="DM+farthest"))
