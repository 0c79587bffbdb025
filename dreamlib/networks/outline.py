"""What a module consists of, read from the module itself: its layers, what they give, and how much they learn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn

from .network import build, parameter_count
from .spec import NetworkSpec

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True)
class Layer:
    """A layer, or several that belong together; see :func:`layers` and :func:`blocks`.

    Attributes
    ----------
    name : str
        Where it stands in its module, such as ``"body.0"``.
    kinds : tuple of str
        Class names, in the order in which they are called: ``("Conv2d", "BatchNorm2d", "ReLU")``.
    detail : str
        Sizes of the layer that learns most of it: ``"196 to 196, 4x4, stride 2"``.
    shape : tuple of int
        Of what it gives for one input, without the batch.
    parameters : int
        Numbers that it learns.
    """

    name: str
    kinds: tuple[str, ...]
    detail: str
    shape: tuple[int, ...]
    parameters: int


@torch.no_grad()
def layers(module: nn.Module, *inputs: Tensor) -> list[Layer]:
    """The innermost layers of ``module`` in the order in which they are called for ``inputs``.

    Running statistics stay as they are, and every layer is back in its own mode afterwards.

    Parameters
    ----------
    module : nn.Module
        On the device of the inputs.
    inputs : Tensor
        A batch, of one or more.
    """
    found: list[Layer] = []
    hooks = []
    for name, layer in module.named_modules():
        # Only innermost layers: containers have no parameters of their own.
        if any(True for _ in layer.children()):
            continue

        def note(layer: nn.Module, given: object, output: Tensor, name: str = name) -> None:
            kind = type(layer).__name__
            found.append(
                Layer(name, (kind,), _detail(layer), tuple(output.shape[1:]), parameter_count(layer))
            )

        hooks.append(layer.register_forward_hook(note))
    # Evaluation mode: a look at a network must not move its running statistics.
    training = [layer for layer in module.modules() if layer.training]
    module.eval()
    try:
        module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for layer in training:
            layer.training = True
    return found


@cache
def forward_operations(spec: NetworkSpec, shape: tuple[int, int, int], num_classes: int) -> int:
    """Floating-point operations of a network for one image: two for each product of its convolutions and layers."""
    # Neither on the meta device nor with PyTorch's own counter: both import its compiler.
    network = build(spec, shape, num_classes, device="meta").to_empty(device="cpu").eval()
    total = 0

    def count(layer: nn.Module, given: object, output: Tensor) -> None:
        nonlocal total
        weight = cast(Tensor, layer.weight)  # every number of it is used once at every place of the map
        # A multiplication and an addition each.
        total += 2 * weight.numel() * output.shape[2:].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, *shape))
    return total


def blocks(found: list[Layer]) -> list[Layer]:
    """The same with what follows a linear layer or a convolution (a norm, an activation) counted to it."""
    out: list[Layer] = []
    for layer in found:
        # Only what has sizes begins a block; norms and activations belong to the one before.
        if out and not layer.detail:
            last = out[-1]
            out[-1] = replace(
                last,
                kinds=(*last.kinds, *layer.kinds),
                shape=layer.shape,
                parameters=last.parameters + layer.parameters,
            )
        else:
            out.append(layer)
    return out


def _detail(layer: nn.Module) -> str:
    """Sizes of a linear layer or a convolution; of anything else nothing."""
    if isinstance(layer, nn.Linear):
        return f"{layer.in_features} to {layer.out_features}"
    if isinstance(layer, CONVOLUTIONS):
        rows, columns = layer.kernel_size
        stride = f", stride {layer.stride[0]}" if layer.stride[0] != 1 else ""
        return f"{layer.in_channels} to {layer.out_channels}, {rows}x{columns}{stride}"
    return ""
