"""Chains of layers as a reader would hand them on."""

from typing import Any

import numpy as np

from mobilenets.weights.layers import FileLayer, Norm, convolution


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def conv(name: str, out: int, inputs: int, k: int = 3, **known: Any) -> FileLayer:
    return convolution(name, ones(out, inputs, k, k), 1, **known)


def depthwise(name: str, channels: int, k: int = 3, **known: Any) -> FileLayer:
    return convolution(name, ones(channels, 1, k, k), channels, **known)


def pointwise(name: str, out: int, inputs: int, **known: Any) -> FileLayer:
    return conv(name, out, inputs, 1, **known)


def pool() -> FileLayer:
    return FileLayer("pool", "pool")


def classifier(outputs: int, inputs: int, **known: Any) -> FileLayer:
    return FileLayer("fully_connected", "fc", ones(outputs, inputs), **known)


def norm(channels: int, epsilon: float | None = 1e-3) -> Norm:
    one = ones(channels)
    return Norm(one, 0 * one, 0 * one, one, epsilon)


def tiny(outputs: int = 5, **known: Any) -> list[FileLayer]:
    """One block: the shortest chain that is a MobileNet."""
    known = {"stride": 1, **known}
    stem = conv("stem", 8, 3, **known | {"stride": 2})
    return [stem, depthwise("dw", 8, **known), pointwise("pw", 12, 8, **known), pool(), classifier(outputs, 12)]


def paper(alpha: float = 0.25, strides: bool = True, head: int = 0, outputs: int = 5, **known: Any) -> list[FileLayer]:
    """The paper's thirteen blocks."""
    rows = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024)]
    said = (lambda stride: {"stride": stride}) if strides else (lambda stride: {})
    now = int(32 * alpha)
    layers = [conv("stem", now, 3, **said(2), **known)]
    for number, (stride, channels) in enumerate(rows, 1):
        after = int(channels * alpha)
        layers += [depthwise(f"dw{number}", now, **said(stride), **known)]
        layers += [pointwise(f"pw{number}", after, now, **said(1), **known)]
        now = after
    if head:
        layers.append(pointwise("head", head, now, **said(1), **known))
        now = head
    return [*layers, pool(), classifier(outputs, now)]
