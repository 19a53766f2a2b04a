"""`Block`: one block of the body, as data, and its checks."""

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import NetworkError

__all__ = ["MAX_CHANNELS", "Activation", "Block", "check_block", "check_int"]

Activation = Literal["relu", "relu6", "hard_swish"]

MAX_CHANNELS = 1 << 16


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the body; channels are those at alpha = 1.

    A block of V1 is a depthwise and a pointwise convolution, each followed by an activation. With an `expansion` it is
    an inverted residual block (Sandler et al. 2018): a pointwise convolution to that many channels (unless its input
    has them), a depthwise convolution, a gate, and a pointwise convolution without activation. With `start` a
    depthwise convolution without activation comes before all of these (Qin et al. 2024: universal inverted
    bottleneck). With `fused` one full convolution takes the place of expansion and depthwise convolution, and without
    an expansion it is the whole block.
    """

    stride: int  # of the last depthwise convolution, or of the full one
    channels: int
    kernel: int = 3  # of the depthwise or full convolution: 3 or 5; 0: no such convolution
    expansion: int = 0  # input channels of the depthwise convolution; 0: V1's block
    residual: bool = False  # adds the input of the block to its output where both have the same channels
    gate: int = 0  # channels between the two convolutions of a squeeze-and-excite gate; 0: no gate
    activation: Activation | None = None  # None: the network's
    start: int = 0  # kernel of a depthwise convolution before the expansion: 3 or 5; 0: none
    fused: bool = False  # a full convolution instead of expansion and depthwise convolution


def check_int(name: str, value: object, low: int, high: int) -> None:
    """Raise `NetworkError` unless `value` is a whole number from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise NetworkError(f"{name} (={value!r}) must be a whole number from {low} to {high}")


def check_block(name: str, block: Block) -> None:
    """Raise `NetworkError` naming `name` and the first rule that the block violates."""
    check_int(f"{name}: stride", block.stride, 1, 2)
    check_int(f"{name}: channels", block.channels, 1, MAX_CHANNELS)
    check_int(f"{name}: expansion", block.expansion, 0, MAX_CHANNELS)
    check_int(f"{name}: gate", block.gate, 0, MAX_CHANNELS)
    for field in ("kernel", "start"):
        value = getattr(block, field)
        if type(value) is not int or value not in (0, 3, 5):
            raise NetworkError(f"{name}: {field} (={value!r}) must be 3 or 5, or 0 for no convolution")
    for field in ("residual", "fused"):
        if type(getattr(block, field)) is not bool:
            raise NetworkError(f"{name}: {field} (={getattr(block, field)!r}) must be true or false")
    if block.activation is not None and block.activation not in get_args(Activation):
        choices = ", ".join(get_args(Activation))
        raise NetworkError(f"{name}: activation (={block.activation!r}) must be one of {choices}, or null")
    _check_combination(name, block)


def _check_combination(name: str, block: Block) -> None:
    """Check what follows from several fields."""
    if block.residual and block.stride != 1:
        raise NetworkError(f"{name}: a residual needs stride 1")
    if block.stride != 1 and not (block.kernel or block.start):
        raise NetworkError(f"{name}: a block without a depthwise convolution needs stride 1")
    if block.start and not block.expansion:
        raise NetworkError(f"{name}: start (={block.start}) needs an expansion")
    if block.fused and (block.kernel != 3 or block.gate or block.start):
        raise NetworkError(f"{name}: a fused block has a 3x3 kernel, no gate and no start")
