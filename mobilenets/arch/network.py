"""`Network`: the frozen settings of a network, their checks and their JSON."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from ..errors import NetworkError
from .block import MAX_CHANNELS, Activation, Block, check_block, check_int
from .families import BODY, PREFIXES, SHALLOW_BODY

__all__ = [
    "BODY",
    "SHALLOW_BODY",
    "Activation",
    "Block",
    "Convolution",
    "Network",
    "Output",
    "Padding",
    "Rounding",
    "Scaling",
]

Convolution = Literal["separable", "full"]
Padding = Literal["symmetric", "same", "keras"]
Rounding = Literal["floor", "multiple_of_8"]
Output = Literal["softmax", "sigmoid", "l2_normalise", "features"]
Scaling = Literal["alpha", "input", "widen", "none"]

FORMAT_VERSION = 1
MIN_SIDE = 32  # the body halves the resolution five times
MAX_SIDE = 8192


@dataclass(frozen=True, slots=True, repr=False)
class Network:
    """The settings of a MobileNet, by default V1 (Howard et al. 2017, Table 1).

    A `Scaling` states how a number of channels follows alpha: "alpha": in proportion to it; "input": in proportion to
    the channels that the layer takes, which have been rounded; "widen": as "alpha" above 1, unchanged below; "none":
    unchanged. Libraries differ in these. Raises `NetworkError` for an invalid value.
    """

    alpha: float = 1.0  # width multiplier, any > 0
    height: int = 224  # input pixels, any >= 32; rho is height / 224
    width: int = 224
    channels: int = 3  # input channels: 3 (RGB) or 1 (grey)
    classes: int = 1000  # or attributes, or dimensions of an embedding
    stem: int = 32  # output channels of the first convolution at alpha = 1
    blocks: tuple[Block, ...] = BODY
    head: int = 0  # output channels at alpha = 1 of a last pointwise convolution before the pool; 0: none
    convolution: Convolution = "separable"  # "full": the paper's Conv MobileNet (Table 4)
    activation: Activation = "relu"  # ReLU, not ReLU6: equalisation before int8 needs it
    padding: Padding = "symmetric"  # PyTorch's; "same": TensorFlow's; "keras": one pixel after at stride 2
    epsilon: float = 1e-5  # batch norm: PyTorch's; TensorFlow and Keras use 1e-3
    rounding: Rounding = "floor"  # of alpha x channels: the paper's; "multiple_of_8" is TF-slim's
    output: Output = "softmax"  # of the classifier; "features": no classifier, the output is the body's feature maps
    hidden: int = 0  # channels of a layer between pool and classifier (Howard et al. 2019, Figure 5); 0: none
    hidden_norm: bool = False  # whether a batch norm follows it (V4) instead of a bias (V3)
    stem_scaling: Scaling = "alpha"  # "widen" and "none": of a narrow V3 or V4, whose stem stays as wide
    expansion_scaling: Scaling = "alpha"  # torchvision's V3; "input": V2, TF-slim's, timm's and Keras' V3, V4
    head_scaling: Scaling = "alpha"  # "widen": V2; "input": torchvision's and Keras' V3
    hidden_scaling: Scaling = "alpha"  # torchvision's V3; "widen": Keras' V3; "none": timm's V3, V4

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
        """Return the name: `0.5-160` for V1 as in its paper, `v2-0.5-160`; `0.5-160x128` (height x width) where it is
        not square.
        """
        side = f"{self.height}" if self.height == self.width else f"{self.height}x{self.width}"
        prefix = "conv-" if self.convolution == "full" else ""
        prefix += PREFIXES.get(self.blocks, "")
        prefix += "head-" if self.head and (self.blocks in (BODY, SHALLOW_BODY) or self.blocks not in PREFIXES) else ""
        return f"{prefix}{self.alpha:g}-{side}"

    def scaled(self, channels: int, scaling: Scaling = "alpha", takes: tuple[int, int] = (1, 1)) -> int:
        """Return `channels` (given at alpha = 1) under this network's alpha and rounding; at least 1.

        `takes` are the channels that the layer takes, at alpha = 1 and in this network, for `scaling` "input".
        """
        if scaling == "none" or (scaling == "widen" and self.alpha <= 1):
            return channels
        exact = channels * takes[1] / takes[0] if scaling == "input" else self.alpha * channels
        if self.rounding == "floor":
            return max(1, int(exact + 1e-6))  # 1e-6: 0.29 * 100 must give 29
        rounded = max(8, int(exact + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * exact else rounded

    def replace(self, **changes: Any) -> "Network":
        """Return a copy with the given fields changed."""
        return replace(self, **changes)

    def to_json(self) -> str:
        """Return the network as JSON."""
        values = {name: value for name, value in asdict(self).items() if name not in _ADDED or value != _ADDED[name]}
        blocks = [_without_defaults(block) for block in self.blocks]
        return json.dumps({"format": "mobilenets.network", "version": FORMAT_VERSION, **values, "blocks": blocks})

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
# fields that V1 does not use and that its files do not have
_ADDED = {f.name: f.default for f in fields(Network) if f.name.startswith("hidden") or f.name.endswith("_scaling")}


def _check_numbers(network: Network) -> None:
    for name, low, high in (("alpha", 0.0, 16.0), ("epsilon", 0.0, 1.0)):
        value = getattr(network, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low < value <= high:
            raise NetworkError(f"{name} (={value!r}) must be above {low:g} and at most {high:g}")
    check_int("height", network.height, MIN_SIDE, MAX_SIDE)
    check_int("width", network.width, MIN_SIDE, MAX_SIDE)
    check_int("classes", network.classes, 1, 1 << 24)
    check_int("stem", network.stem, 1, MAX_CHANNELS)
    check_int("head", network.head, 0, MAX_CHANNELS)
    check_int("hidden", network.hidden, 0, MAX_CHANNELS)
    if type(network.channels) is not int or network.channels not in (1, 3):
        raise NetworkError(f"channels (={network.channels!r}) must be 1 (grey) or 3 (RGB)")
    if type(network.hidden_norm) is not bool:
        raise NetworkError(f"hidden_norm (={network.hidden_norm!r}) must be true or false")


_CHOICES: dict[str, tuple[str, ...]] = {
    "convolution": get_args(Convolution),
    "activation": get_args(Activation),
    "padding": get_args(Padding),
    "rounding": get_args(Rounding),
    "output": get_args(Output),
    "stem_scaling": ("alpha", "widen", "none"),  # the stem takes pixels, the hidden layer what the head gives
    "expansion_scaling": ("alpha", "input"),
    "head_scaling": get_args(Scaling),
    "hidden_scaling": ("alpha", "widen", "none"),
}


def _check_choices(network: Network) -> None:
    for name, choices in _CHOICES.items():
        value = getattr(network, name)
        if value not in choices:
            raise NetworkError(f"{name} (={value!r}) must be one of {', '.join(choices)}")


def _check_blocks(network: Network) -> None:
    blocks = network.blocks
    if not isinstance(blocks, tuple) or not 1 <= len(blocks) <= 256:
        raise NetworkError("blocks must be a tuple of 1 to 256 Block(stride, channels)")
    for index, block in enumerate(blocks, 1):
        if not isinstance(block, Block):
            raise NetworkError(f"block {index} (={block!r}) must be a Block(stride, channels)")
        check_block(f"block {index}", block)
        if network.convolution == "full" and block != Block(block.stride, block.channels):
            raise NetworkError(f"block {index} (={block!r}): a block of full convolutions has stride and channels only")
