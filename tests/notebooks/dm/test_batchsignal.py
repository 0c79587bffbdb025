"""What batch norm leaves of the classes."""

import numpy as np
import pytest
from batchsignal import class_signal, gradient_texture

from dreamlib.data import ClassData
from dreamlib.networks import NetworkSpec


def test_class_by_class_batch_norm_takes_classes_away_and_instance_norm_does_not_care(
    data: ClassData,
) -> None:
    instance = class_signal(NetworkSpec(depth=2, width=8), data, batch=30, networks=3)
    assert instance.joint == pytest.approx(instance.per_class, rel=1e-4)
    # A ResNet averages over all places in the end, so that nothing but the channels' means could tell a class.
    spec = NetworkSpec("resnet10", width=8, norm="batch")
    pooled, again = (class_signal(spec, data, batch=30, networks=3) for _ in range(2))
    assert (pooled.joint > 2).all()
    assert (pooled.per_class < 0.7 * pooled.joint).all()
    assert np.array_equal(pooled.per_class, again.per_class)


def test_gradients_through_strides_are_rougher_than_through_poolings(data: ClassData) -> None:
    rough, smooth = (
        gradient_texture(NetworkSpec(name, width=8, norm="batch"), data, batch=10, each=3, networks=3)
        for name in ("resnet10", "resnet10ap")
    )
    assert len(rough) == len(smooth) == 3
    assert all(0 < one.checkerboard < one.fine < 1 for one in (*rough, *smooth))
    assert sum(one.checkerboard for one in smooth) < sum(one.checkerboard for one in rough)
