"""Real images of middling brightness."""

from dataclasses import dataclass

from dreamlib import methods, samplers


@samplers.register("middling")
@dataclass(frozen=True)
class Middling:
    """The images of each class whose mean is nearest to the mean of the class."""

    every: int = 1

    def choose(self, view):
        index, mask = view.candidates()
        brightness = view.data.take(index).mean((2, 3, 4))
        middle = (brightness * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
        distance = (brightness - middle).abs().masked_fill(~mask, float("inf"))
        return index.gather(1, distance.topk(view.batch, largest=False).indices)


methods.register(methods["dm"].using(sampler=Middling(), name="mine", label="DM, middling"))
