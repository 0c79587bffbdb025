"""IDC's image update beside tensors that its released code computed: see README.md here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dreamlib.containers import ClassByClass, MultiFormation, Optimiser
from dreamlib.data import statistics
from dreamlib.matchers import Gradient
from dreamlib.networks import Network, NetworkSpec, build

TENSORS = load_file(Path(__file__).parent / "idc_inner_steps.safetensors")
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def the_network() -> Network:
    """The released network's weights in ours: its convolutions, norms and classifier, in this order by depth."""
    network = build(NetworkSpec(width=16), (3, 32, 32), 4)
    kinds: dict[str, list[torch.nn.Module]] = {"conv": [], "norm": []}
    for layer in network.body.modules():
        if isinstance(layer, torch.nn.Conv2d):
            kinds["conv"].append(layer)
        elif isinstance(layer, torch.nn.GroupNorm):
            kinds["norm"].append(layer)
    for kind, layers in kinds.items():
        assert len(layers) == 3
        for depth, layer in enumerate(layers):
            state = {part: TENSORS[f"network.layers.{kind}.{depth}.{part}"] for part in ("weight", "bias")}
            layer.load_state_dict(state)
    network.classifier.load_state_dict(
        {part: TENSORS[f"network.classifier.{part}"] for part in ("weight", "bias")}
    )
    return network.requires_grad_(False)


def test_the_start_is_the_released_mosaic() -> None:
    packed = MultiFormation(factor=2).start(TENSORS["start.real"], 2, (3, 32, 32), 4, torch.Generator())[
        "images"
    ]
    assert packed.equal(TENSORS["start.stored"])


@pytest.mark.parametrize("metric", ["mse", "l1"])
def test_four_inner_steps_are_the_released_ones(metric: str) -> None:
    network, container, matcher = the_network(), MultiFormation(factor=2), Gradient(metric, "convolutions")
    normalise, labels = statistics("cifar10").apply, torch.arange(4)
    stored = {"images": TENSORS["start.stored"].clone()}
    moves = Optimiser(stored, {"": ClassByClass(lr=5e-3, momentum=0.5)})
    for step in range(4):
        target = [
            value.detach()
            for value in matcher.measure(network, normalise(TENSORS["real"][step]), labels, False)
        ]
        moves.approach(stored)
        leaf = stored["images"].clone().requires_grad_()
        found = matcher.measure(network, normalise(container.decode({"images": leaf})), labels, True)
        loss = matcher.distance(target, found)
        moves.step(stored, {"images": torch.autograd.grad(loss, leaf)[0]})
        assert float(loss.detach()) == pytest.approx(float(TENSORS[f"{metric}.loss_{step + 1}"]), rel=1e-5)
        torch.testing.assert_close(stored["images"], TENSORS[f"{metric}.stored_after_{step + 1}"], **CLOSE)


def test_one_step_for_all_classes_together_is_another_algorithm() -> None:
    """What the step class by class is worth: without it the images are elsewhere after one inner step already."""
    moved = TENSORS["mse.stored_after_1"] - TENSORS["start.stored"]
    drift = moved[0].norm() / moved[3].norm()
    assert drift > 1.3  # the first class drifts on by its momentum while the others take their steps
