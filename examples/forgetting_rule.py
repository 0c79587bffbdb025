"""What do the images that a network forgets most teach? It depends on what was never learned.

Toneva et al. (2019) count an image that was never classified correctly as the most forgotten of all. On CIFAR-10, 20
epochs leave more such images in every class than a coreset holds, so with this rule Forgetting is a choice among images
that could not be learned. Without it, an image has to be learned to be forgotten.

    python examples/forgetting_rule.py cifar10
"""

from __future__ import annotations

import sys
from dataclasses import replace
from statistics import mean, stdev
from typing import cast

import torch

from dreamlib.core.streams import Streams
from dreamlib.criteria.embedding import EmbeddingTraining
from dreamlib.data import ClassData, load
from dreamlib.distillation.evaluate import evaluate
from dreamlib.distillation.loop import Distillation
from dreamlib.recipes import methods, protocol

SEED = 0


def main(name: str) -> None:
    """Print how many images are never learned, and the accuracy of networks by rule and images per class."""
    dataset = load(name)
    data = ClassData(dataset)
    published, _ = methods["forgetting"].resolve(name, 1)
    run = Distillation(data, replace(published.embedded, mode="fast"), 1, SEED)
    while not run.done:
        run.advance()
    training = cast(EmbeddingTraining, run.criterion)
    never = ~training.ever.view(training.rectangle) & data.padded_index()[1]
    print(f"never learned in {published.initial.epochs} epochs, by class: {never.sum(1).tolist()}")
    counted = {"first": training.forgotten, "last": training.events.view(training.rectangle)}
    for ipc in (1, 10):
        judge, _ = protocol("dc", methods["forgetting"].facts(name, ipc))
        for place, forgotten in counted.items():
            tie = torch.rand(forgotten.shape, generator=Streams(SEED)["initial"])
            score = (forgotten + tie).masked_fill(~data.padded_index()[1], -1.0)
            found = evaluate(data.take(score.topk(ipc, dim=1).indices), dataset, replace(judge, mode="fast"))
            print(
                f"{ipc} a class, never learned {place}: {mean(found):.1f} ± {stdev(found):.1f} %", flush=True
            )


if __name__ == "__main__":
    main(*sys.argv[1:] or ["cifar10"])
