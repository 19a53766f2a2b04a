"""`Network`: the frozen settings of a network, their checks and their JSON."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from ..errors import NetworkError

__all__ = ["BODY", "SHALLOW_BODY", "Activation", "Block", "Convolution", "Network", "Output", "Padding", "Rounding"]

Convolution = Literal["separable", "full"]
Activation = Literal["relu", "relu6", "hard_swish"]
Padding = Literal["symmetric", "same", "keras"]
Rounding = Literal["floor", "multiple_of_8"]
Output = Literal["softmax", "sigmoid", "l2_normalise", "features"]

FORMAT_VERSION = 1
MIN_SIDE = 32  # the body halves the resolution five times
MAX_SIDE = 8192
MAX_CHANNELS = 1 << 16


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the body; channels are those at alpha = 1.

    A block of V1 is a depthwise and a pointwise convolution, each followed by an activation. With an `expansion` it is
    an inverted residual block (Sandler et al. 2018): a pointwise convolution to that many channels (unless its input
    has them), a depthwise convolution, a gate, and a pointwise convolution without activation.
    """

    stride: int
    channels: int
    kernel: int = 3  # of the depthwise convolution: 3 or 5
    expansion: int = 0  # input channels of the depthwise convolution; 0: V1's block
    residual: bool = False  # adds the input of the block to its output
    gate: int = 0  # channels between the two convolutions of a squeeze-and-excite gate; 0: no gate
    activation: Activation | None = None  # None: the network's


def _body(repeats: int) -> tuple[Block, ...]:
    rows = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)]
    rows += [(1, 512)] * repeats + [(2, 1024), (1, 1024)]
    return tuple(Block(stride, channels) for stride, channels in rows)


BODY = _body(5)  # Table 1; its last stride is printed as 2 and must be 1 (7x7 in, 7x7 out)
SHALLOW_BODY = _body(0)  # Table 5: without the five 14x14x512 blocks


@dataclass(frozen=True, slots=True, repr=False)
class Network:
    """The settings of a MobileNet (Howard et al. 2017, Table 1).

    Raises `NetworkError` for an invalid value.
    """

    alpha: float = 1.0  # width multiplier, any > 0
    height: int = 224  # input pixels, any >= 32; rho is height / 224
    width: int = 224
    channels: int = 3  # input channels: 3 (RGB) or 1 (grey)
    classes: int = 1000  # or attributes, or dimensions of an embedding
    stem: int = 32  # output channels of the first convolution at alpha = 1
    blocks: tuple[Block, ...] = BODY
    head: int = (
        0  # output channels at alpha = 1 of a last pointwise convolution before the pool (timm's _100h); 0: none
    )
    convolution: Convolution = "separable"  # "full": the paper's Conv MobileNet (Table 4)
    activation: Activation = "relu"  # ReLU, not ReLU6: equalisation before int8 needs it
    padding: Padding = "symmetric"  # PyTorch's; "same": TensorFlow's; "keras": one pixel after at stride 2
    epsilon: float = 1e-5  # batch norm: PyTorch's; TensorFlow and Keras use 1e-3
    rounding: Rounding = "floor"  # of alpha x channels: the paper's; "multiple_of_8" is TF-slim's
    output: Output = "softmax"  # of the classifier; "features": no classifier, the output is the body's feature maps

    def __repr__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = (f"{f.name}={values[f.name]!r}" for f in fields(self) if values[f.name] != f.default)
        return f"Network({', '.join(changed)})"

    def __post_init__(self) -> None:
        _check_numbers(self)
        _check_choices(self)
        _check_blocks(self)

    @property
    def name(self) -> str:
        """Return the paper's name: `0.5-160`, or `0.5-160x128` (height x width) where it is not square."""
        side = f"{self.height}" if self.height == self.width else f"{self.height}x{self.width}"
        prefix = "conv-" if self.convolution == "full" else ""
        prefix += "shallow-" if self.blocks == SHALLOW_BODY else ""
        prefix += "head-" if self.head else ""
        return f"{prefix}{self.alpha:g}-{side}"

    def scaled(self, channels: int) -> int:
        """Return `channels` (given at alpha = 1) under this network's alpha and rounding; at least 1."""
        exact = self.alpha * channels
        if self.rounding == "floor":
            return max(1, int(exact + 1e-6))  # 1e-6: 0.29 * 100 must give 29
        rounded = max(8, int(exact + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * exact else rounded

    def replace(self, **changes: Any) -> "Network":
        """Return a copy with the given fields changed."""
        return replace(self, **changes)

    def to_json(self) -> str:
        """Return the network as JSON."""
        blocks = [_without_defaults(block) for block in self.blocks]
        return json.dumps({"format": "mobilenets.network", "version": FORMAT_VERSION, **asdict(self), "blocks": blocks})

    @classmethod
    def from_json(cls, text: str) -> "Network":
        """Return the network that `to_json` wrote; raises `NetworkError` for any other text."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise NetworkError(f"the network is not JSON: {exc}") from exc
        if not isinstance(values, dict) or values.pop("format", None) != "mobilenets.network":
            raise NetworkError("the JSON holds no network: its 'format' must be 'mobilenets.network'")
        version = values.pop("version", None)
        if version != FORMAT_VERSION:
            raise NetworkError(f"network version {version!r}: this release reads version {FORMAT_VERSION}")
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise NetworkError(f"network has unknown fields: {', '.join(map(repr, sorted(unknown)))}")
        try:
            if "blocks" in values:
                values["blocks"] = tuple(Block(**block) for block in values["blocks"])
            return cls(**values)
        except TypeError as exc:
            raise NetworkError(f"network field of the wrong type: {exc}") from exc


def _without_defaults(block: Block) -> dict[str, Any]:
    """Return stride, channels and the fields that differ from V1's block; files of V1 networks have no others."""
    values = {field.name: getattr(block, field.name) for field in fields(block)}
    return {
        name: value for name, value in values.items() if value != getattr(_V1, name) or name in ("stride", "channels")
    }


_V1 = Block(1, 1)


def _check_int(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise NetworkError(f"{name} (={value!r}) must be a whole number from {low} to {high}")


def _check_numbers(network: Network) -> None:
    for name, low, high in (("alpha", 0.0, 16.0), ("epsilon", 0.0, 1.0)):
        value = getattr(network, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low < value <= high:
            raise NetworkError(f"{name} (={value!r}) must be above {low:g} and at most {high:g}")
    _check_int("height", network.height, MIN_SIDE, MAX_SIDE)
    _check_int("width", network.width, MIN_SIDE, MAX_SIDE)
    _check_int("classes", network.classes, 1, 1 << 24)
    _check_int("stem", network.stem, 1, MAX_CHANNELS)
    _check_int("head", network.head, 0, MAX_CHANNELS)
    if type(network.channels) is not int or network.channels not in (1, 3):
        raise NetworkError(f"channels (={network.channels!r}) must be 1 (grey) or 3 (RGB)")


def _check_choices(network: Network) -> None:
    for name, choices in (
        ("convolution", Convolution),
        ("activation", Activation),
        ("padding", Padding),
        ("rounding", Rounding),
        ("output", Output),
    ):
        value = getattr(network, name)
        if value not in get_args(choices):
            raise NetworkError(f"{name} (={value!r}) must be one of {', '.join(get_args(choices))}")


def _check_blocks(network: Network) -> None:
    blocks = network.blocks
    if blocks is BODY or blocks is SHALLOW_BODY:
        return
    if not isinstance(blocks, tuple) or not 1 <= len(blocks) <= 256:
        raise NetworkError("blocks must be a tuple of 1 to 256 Block(stride, channels)")
    before = network.stem
    for index, block in enumerate(blocks, 1):
        if not isinstance(block, Block):
            raise NetworkError(f"block {index} (={block!r}) must be a Block(stride, channels)")
        _check_block(f"block {index}", block, before)
        if network.convolution == "full" and block != Block(block.stride, block.channels):
            raise NetworkError(f"block {index} (={block!r}): a block of full convolutions has stride and channels only")
        before = block.channels


def _check_block(name: str, block: Block, before: int) -> None:
    """Check one block; `before` is the number of input channels at alpha = 1."""
    _check_int(f"{name}: stride", block.stride, 1, 2)
    _check_int(f"{name}: channels", block.channels, 1, MAX_CHANNELS)
    _check_int(f"{name}: expansion", block.expansion, 0, MAX_CHANNELS)
    _check_int(f"{name}: gate", block.gate, 0, MAX_CHANNELS)
    if type(block.kernel) is not int or block.kernel not in (3, 5):
        raise NetworkError(f"{name}: kernel (={block.kernel!r}) must be 3 or 5")
    if type(block.residual) is not bool:
        raise NetworkError(f"{name}: residual (={block.residual!r}) must be true or false")
    if block.activation is not None and block.activation not in get_args(Activation):
        choices = ", ".join(get_args(Activation))
        raise NetworkError(f"{name}: activation (={block.activation!r}) must be one of {choices}, or null")
    if block.residual and (block.stride, block.channels) != (1, before):
        raise NetworkError(f"{name}: a residual needs stride 1 and the {before} channels that the block takes")
