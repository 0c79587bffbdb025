"""The coresets of DREAM's, DM's and DiM's tables, greedy over all classes at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import BadValue
from ..samplers import Random, Representative, View
from .base import History, register


@register("noise")
@dataclass(frozen=True)
class Noise:
    """No real image at all: standard normal pixels in normalised space (DC's start)."""

    epochs: int = 0

    def choose(self, view: View, history: History) -> Tensor | None:
        return None


@register("real")
@dataclass(frozen=True)
class RealImages:
    """Random real images: the baseline "Random", and the start of DSA and DM."""

    epochs: int = 0

    def choose(self, view: View, history: History) -> Tensor | None:
        return Random().choose(view)


@register("first")
@dataclass(frozen=True)
class FirstImages:
    """The first images of each class, in the order of the data set: the start of IDC (released code).

    Every synthetic set starts from the same ones.
    """

    epochs: int = 0

    def choose(self, view: View, history: History) -> Tensor | None:
        # Nothing is drawn: the released code of IDC takes the first images, so all seeds share this start.
        position = torch.arange(view.batch, device=view.data.device)
        return position.expand(view.data.num_classes, -1).contiguous()


@register("representative")
@dataclass(frozen=True)
class RepresentativeImages:
    """The real images nearest to cluster centres of an untrained network's embedding: DREAM's start.

    One cluster per image needed, that is IPC x factor^2 of each class (released code).

    Parameters
    ----------
    pool : int, optional
        Candidates of each class, which are clustered; None, the published choice, is all.
    space : str
        As of :class:`~dreamlib.samplers.Representative`.
    """

    epochs: int = 0
    pool: int | None = None
    space: str = "stored"

    def choose(self, view: View, history: History) -> Tensor | None:
        return Representative(pool=self.pool, space=self.space).choose(view)


@register("whole")
@dataclass(frozen=True)
class Whole:
    """Every training image: nothing is chosen, distilled or stored, and networks train on the data set itself.

    The upper bound in the tables, and what a proxy set stands for in architecture search.
    """

    epochs: int = 0

    def choose(self, view: View, history: History) -> Tensor | None:
        raise BadValue(
            "the whole training set is no synthetic set, and none can start from it",
            "evaluate(ClassData(dataset), dataset, evaluation) trains on it",
        )


def _points(view: View) -> tuple[Tensor, Tensor, Tensor]:
    index, mask = view.candidates()
    return index, mask, view.embed(index)


def _class_mean(points: Tensor, mask: Tensor) -> Tensor:
    """(C, 1, D) mean of points (C, N, D); padding must not count towards it."""
    return (points * mask.unsqueeze(2)).sum(1, keepdim=True) / mask.sum(1).view(-1, 1, 1)


def _from_class_mean(points: Tensor, mask: Tensor) -> Tensor:
    """(C, N) squared distance of points (C, N, D) from their class mean; infinite for padding."""
    gap = (points - _class_mean(points, mask)).square().sum(2)
    return gap.masked_fill(~mask, float("inf"))


@register("herding")
@dataclass(frozen=True)
class Herding:
    """A greedy choice whose running mean is nearest to the class mean in feature space (Welling 2009; iCaRL, Alg. 4).

    Parameters
    ----------
    epochs : int
        Training of the embedding network on the whole data set.
    """

    epochs: int = 20

    def choose(self, view: View, history: History) -> Tensor | None:
        index, mask, points = _points(view)
        target = _class_mean(points, mask)
        total = torch.zeros_like(target)
        free, chosen = mask.clone(), []
        for taken in range(1, view.batch + 1):
            # The next image is the one that brings the mean of all chosen nearest to the class mean (iCaRL, Alg. 4).
            gap = (target - (total + points) / taken).square().sum(2)
            best = gap.masked_fill(~free, float("inf")).argmin(1, keepdim=True)
            free.scatter_(1, best, False)
            # (C, D) sum of the chosen features, so that a step costs one pass over the points.
            total += points.gather(1, best.unsqueeze(2).expand(-1, -1, points.shape[2]))
            chosen.append(best)
        return index.gather(1, torch.cat(chosen, dim=1))


@register("nearest")
@dataclass(frozen=True)
class Nearest:
    """The images nearest to the class mean in feature space, each chosen for itself.

    What the field's tables call herding is nearer to this than to the greedy choice (``docs/findings.md``). At one
    image per class both are the same image.

    Parameters
    ----------
    epochs : int
        Training of the embedding network on the whole data set.
    """

    epochs: int = 20

    def choose(self, view: View, history: History) -> Tensor | None:
        index, mask, points = _points(view)
        nearest = _from_class_mean(points, mask).topk(view.batch, dim=1, largest=False)
        return index.gather(1, nearest.indices)


@register("k-center")
@dataclass(frozen=True)
class KCenter:
    """Greedy k-center: from the image nearest to the class mean, always add the one farthest from those chosen.

    The greedy 2-approximation of Sener and Savarese (2018), in feature space.

    Parameters
    ----------
    epochs : int
        Training of the embedding network on the whole data set.
    """

    epochs: int = 20

    def choose(self, view: View, history: History) -> Tensor | None:
        index, mask, points = _points(view)
        # The greedy algorithm may start anywhere; here it starts from the image nearest to the class mean.
        best = _from_class_mean(points, mask).argmin(1, keepdim=True)
        chosen, gap = [best], torch.full(mask.shape, float("inf"), device=points.device)
        for _ in range(view.batch - 1):
            # ``gap`` is the distance of every image to its nearest chosen one; only the latest can have lowered it.
            # Chosen images get -1, so that none is taken twice even where points coincide.
            latest = points.gather(1, best.unsqueeze(2).expand(-1, -1, points.shape[2]))
            gap = torch.minimum(gap, (points - latest).square().sum(2)).scatter(1, torch.cat(chosen, 1), -1.0)
            best = gap.masked_fill(~mask, -1.0).argmax(1, keepdim=True)
            chosen.append(best)
        return index.gather(1, torch.cat(chosen, dim=1))


@register("forgetting")
@dataclass(frozen=True)
class Forgetting:
    """The images forgotten most often while a network is trained on the whole set (Toneva et al. 2019).

    Ties, of which there are many after few epochs, are broken at random.

    Parameters
    ----------
    epochs : int
        Training during which forgetting is counted.
    unlearned_first : bool
        Whether images that were never classified correctly count as the most forgotten ones, as in Toneva et al.;
        otherwise they come last, since what was not learned cannot be forgotten. The numbers of the field's tables
        are nearer to the latter (``examples/forgetting_rule.py``).
    """

    epochs: int = 20
    unlearned_first: bool = False

    def choose(self, view: View, history: History) -> Tensor | None:
        index, mask = view.candidates()
        # Counts are whole numbers and ``tie`` lies in [0, 1), so it orders only images with equal counts.
        tie = torch.rand(index.shape, generator=view.generator, device=index.device)
        forgotten = history.forgotten.gather(1, index)
        if self.unlearned_first:
            forgotten = forgotten.where(forgotten >= 0, history.forgotten.max() + 1)
        # Padding comes after images that were never learned.
        score = (forgotten + tie).masked_fill(~mask, -math.inf)
        return index.gather(1, score.topk(view.batch, dim=1).indices)
