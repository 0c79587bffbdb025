"""K networks as one: vmap over stacked weights equals a loop, running statistics included."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from dreamlib.networks import NetworkSpec, build, initialise

torch.set_num_threads(1)
COUNT, BATCH, SIDE = 3, 6, 16

SPECS = [
    *(NetworkSpec("convnet", 2, 8, norm) for norm in ("instance", "batch", "layer", "group", "none")),
    NetworkSpec("convnet", 2, 8, pooling="max", activation="swish"),
    NetworkSpec("resnet10", width=8),
    NetworkSpec("resnet10", width=8, norm="batch"),
    NetworkSpec("resnet50", width=8, norm="batch"),
    NetworkSpec("resnet10ap", width=8),
    NetworkSpec("resnet10ap", width=8, norm="batch"),
    NetworkSpec("alexnet", width=8),
    NetworkSpec("densenet121", width=8),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}-{spec.norm}-{spec.pooling}")
def test_stacked_equals_loop(spec: NetworkSpec, dtype: torch.dtype) -> None:
    _check(spec, SIDE, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_stacked_vgg_equals_loop(norm: str, dtype: torch.dtype) -> None:
    _check(NetworkSpec("vgg11", width=8, norm=norm), 32, dtype)


def _check(spec: NetworkSpec, side: int, dtype: torch.dtype) -> None:
    stream = torch.Generator().manual_seed(0)
    networks = [initialise(build(spec, (3, side, side), 4), stream).to(dtype) for _ in range(COUNT)]
    images = torch.randn(COUNT, BATCH, 3, side, side, generator=stream).to(dtype)
    labels = torch.randint(4, (COUNT, BATCH), generator=stream)
    base = build(spec, (3, side, side), 4, device="meta")
    weights, buffers = stack_module_state(networks)
    weights = {name: value.detach() for name, value in weights.items()}

    def loss(w: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Any:
        logits = functional_call(base, (w, b), (x,))
        return F.cross_entropy(logits, y), logits

    gradients, logits = vmap(grad(loss, has_aux=True))(weights, buffers, images, labels)
    exact = dtype == torch.float64
    close = {"atol": 1e-9, "rtol": 1e-9} if exact else {"atol": 1e-5, "rtol": 1e-4}
    for k, network in enumerate(networks):
        expected = network(images[k])
        torch.testing.assert_close(logits[k], expected, **close)
        for name, value in network.named_buffers():
            torch.testing.assert_close(buffers[name][k], value, **close)
            assert "num_batches" not in name or value == 1
        # In single precision a rounded zero flips a ReLU now and then, and with it a gradient far below.
        if exact:
            F.cross_entropy(expected, labels[k]).backward()
            for name, parameter in network.named_parameters():
                torch.testing.assert_close(gradients[name][k], parameter.grad, **close)

    base.eval()
    evaluated = vmap(lambda w, b, x: functional_call(base, (w, b), (x,)))(weights, buffers, images)
    for k, network in enumerate(networks):
        torch.testing.assert_close(evaluated[k], network.eval()(images[k]), **close)
