"""The layers of a file as letters, which the grammar of blocks reads.

D depthwise, P pointwise, C full convolution, F fully connected, G squeeze-and-excite gate, A sum, L pool; lower case
where the file states that no activation follows; "?" for what no MobileNet has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .layers import FileLayer, weight

__all__ = ["Token", "is_convolution", "is_stem", "tokens"]


@dataclass(frozen=True, slots=True)
class Token:
    """One layer, or the four of a gate."""

    letter: str
    at: int  # position of the last of its layers
    layers: tuple[FileLayer, ...]

    def named(self) -> str:
        """Return what it is, for messages."""
        layer = self.layers[0]
        kinds = {"pool": "a pool", "add": "a sum", "multiply": "a product"}
        if layer.weight is None:
            return kinds[layer.kind]
        kernel = "x".join(map(str, layer.weight.shape[2:]))
        kind = {"conv": f"a full {kernel} convolution", "fully_connected": "a fully connected layer"}
        stride = f" with stride {layer.stride}" if layer.stride not in (None, 1) else ""
        channels = f" of {layer.weight.shape[1]} channels" if layer.kind == "conv" else ""
        return kind.get(layer.kind, f"a {layer.kind} convolution") + channels + stride


def tokens(layers: Sequence[FileLayer]) -> Iterator[Token]:
    """Yield the layers as tokens."""
    at = 0
    while at < len(layers):
        gate = tuple(layers[at : at + 4])
        if [layer.kind for layer in gate[::3]] == ["pool", "multiply"] and all(map(is_matrix, gate[1:3])):
            at += 4
            yield Token("G", at - 1, gate)
        else:
            at += 1
            yield Token(_letter(layers[at - 1]), at - 1, (layers[at - 1],))


def is_convolution(layer: FileLayer) -> bool:
    return layer.kind in ("conv", "depthwise", "pointwise")


def is_matrix(layer: FileLayer) -> bool:
    return layer.kind in ("pointwise", "fully_connected")


def is_stem(layer: FileLayer) -> bool:
    """Return whether it is a 3x3 convolution of pixels; a stem of one channel has the shape of a depthwise one."""
    return layer.kind == "conv" and weight(layer).shape[1:] in ((1, 3, 3), (3, 3, 3)) and layer.stride in (None, 2)


def _letter(layer: FileLayer) -> str:
    if layer.weight is None:
        return {"pool": "L", "add": "A"}.get(layer.kind, "?")
    kernel, single = layer.weight.shape[2:], layer.weight.shape[:2] == (1, 1)
    if layer.kind == "fully_connected":
        letter = "F"
    elif kernel == (1, 1):
        letter = "P" if layer.kind == "pointwise" and layer.stride in (None, 1) else "?"
    elif layer.kind == "depthwise" or (single and kernel == (3, 3)):  # of one channel it is a full one, too
        letter = "D" if layer.stride in (None, 1, 2) else "?"
    else:
        letter = "C" if kernel == (3, 3) and layer.stride in (None, 1, 2) else "?"
    return letter.lower() if layer.activation == "none" else letter
