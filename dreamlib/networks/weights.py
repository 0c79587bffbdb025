"""Fresh weights, drawn from an explicit generator."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import BadValue
from .spectral import Spectral

DRAWN = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
CONSTANT = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw new weights, in place, from PyTorch's default distributions.

    Convolutions and linear layers: weight, then bias, uniform in ±1/sqrt(fan in), in the order of
    ``module.modules()``. Norms: weight 1, bias 0, running mean 0, running variance 1, no batch seen. Spectral norms:
    after the layer's weight and bias, a normal vector, which power iteration then aligns with the weight's singular
    vector. Of a module whose ``he_weights`` is true, weights of convolutions are normal instead, with mean 0 and
    variance 2 / (kernel size * output channels) (He et al. 2015, backward form; the ResNets of IDC's and DiM's released
    code). Where its ``glorot_weights`` is true, every weight is normal with variance 2 / (fan in + fan out), and biases
    are 0 (Glorot and Bengio 2010; DD's released code). Nothing is drawn from any other generator, and equal generators
    give equal bits on one kind of device.

    Parameters
    ----------
    module : nn.Module
        Any module whose parameters belong to convolutions, linear layers and norms.
    generator : torch.Generator
        On the device of the parameters.

    Returns
    -------
    nn.Module
        ``module`` itself.

    Raises
    ------
    BadValue
        For parameters of another kind of layer (they would silently stay as they are), and for a generator on
        another kind of device.
    """
    he_weights, glorot = (getattr(module, name, False) for name in ("he_weights", "glorot_weights"))
    for name, layer in module.named_modules():
        if isinstance(layer, DRAWN):
            if layer.weight.device.type != generator.device.type:
                raise BadValue(
                    f"the weights are on {layer.weight.device} and the generator is on {generator.device}",
                    f"torch.Generator({str(layer.weight.device)!r})",
                )
            # Fan in: what one output adds up, input channels times places of the kernel.
            bound = layer.weight[0].numel() ** -0.5
            fan_out = layer.weight[:, 0].numel()  # places of the kernel times output channels
            if he_weights and isinstance(layer, nn.Conv2d):
                layer.weight.normal_(0, (2 / fan_out) ** 0.5, generator=generator)
            elif not glorot:
                layer.weight.uniform_(-bound, bound, generator=generator)
            else:
                layer.weight.normal_(0, (2 / (bound**-2 + fan_out)) ** 0.5, generator=generator)
            if layer.bias is not None and glorot:
                layer.bias.zero_()
            elif layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=generator)
            if isinstance(layer, Spectral):
                layer.align(generator)
        elif isinstance(layer, CONSTANT):
            # Constants, so no generator is asked.
            layer.reset_parameters()
        elif next(layer.parameters(recurse=False), None) is not None:
            raise BadValue(
                f"no initialisation is known for {type(layer).__name__} (at {name or 'the module itself'})",
                f"layers that can be initialised: {', '.join(kind.__name__ for kind in DRAWN + CONSTANT)}",
            )
    return module
