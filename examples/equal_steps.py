"""How much of what a network learns from few images is the length of its training?

Papers train their judging networks for so many epochs. At ten images per class an epoch is ten times as many images
as at one, but often no more steps: both fit one batch. A network that "collapses" at one budget may just have had fewer
steps.

    python examples/equal_steps.py mnist
"""

from __future__ import annotations

import sys
from dataclasses import replace

from dreamlib.core.streams import Streams
from dreamlib.data import ClassData, load
from dreamlib.distillation.evaluate import Evaluation, evaluate
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import methods, protocol

SETS, WIDTH = 3, 16
STEPS = (100, 300, 1000)


def main(name: str) -> None:
    """Print accuracy by network, images per class and steps of training: a mean over sets, and each set's own."""
    dataset = load(name)
    data = ClassData(dataset)
    base, _ = protocol("dsa", methods["random"].facts(name, 10))
    print("network, images per class, steps: mean accuracy over sets (each set, a mean over three networks)")
    for network in ("alexnet", "convnet"):
        for ipc in (1, 10):
            for steps in STEPS:
                how: Evaluation = replace(
                    base, network=NetworkSpec(network, width=WIDTH), networks=3, steps=steps
                )
                means = []
                for seed in range(SETS):
                    images = data.take(data.draw(ipc, Streams(seed)["initial"]))
                    found = evaluate(images, dataset, how)
                    means.append(sum(found) / len(found))
                own = ", ".join(f"{mean:.1f}" for mean in means)
                print(f"{network:9} {ipc:3} {steps:5}: {sum(means) / SETS:5.1f}   ({own})", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["mnist"])
