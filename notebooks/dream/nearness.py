"""How far real images are from the images of a set."""

from __future__ import annotations

import torch
from torch import Tensor

from dreamlib.data import ClassData


def reach(images: Tensor, real: ClassData) -> float:
    """How far real images are from the nearest image of their class, relative to one another: small where a set covers.

    Distances are Euclidean between normalised pixels. 0 if every real image is in the set; random images leave more
    than as many images near the centres of clusters do.

    Parameters
    ----------
    images : Tensor
        (C, M, c, h, w), normalised; M >= 1 images of each class.
    real : ClassData
        The data set, all of whose images are asked.
    """
    ratios = []
    for label, size in enumerate(real.sizes.tolist()):
        every = torch.arange(size, device=real.device).unsqueeze(0)
        points = real.take(every, every.new_tensor([label]))[0].flatten(1)
        nearest = torch.cdist(points, images[label].to(points).flatten(1)).min(1).values.mean()
        ratios.append(nearest / torch.cdist(points, points).mean())
    return float(torch.stack(ratios).mean())
