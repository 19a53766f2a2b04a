"""Names of layers as keras.applications has them: in MobileNet, MobileNetV2 and MobileNetV3Small or -Large."""

import re

from ..arch.network import Network
from ..arch.zoo import FAMILIES

__all__ = ["keras_family", "keras_name"]

_SUFFIX = re.compile(r"([a-z]+)(\d*)_?(\w*)")  # `gate3_squeeze_act`: part, number of the block, what of it
_V2 = {"ex": "expand", "dw": "depthwise", "pw": "project", "add": "add"}
_SQUEEZE = {
    "pool": "avg_pool",
    "squeeze": "conv",
    "squeeze_act": "relu",
    "excite": "conv_1",
    "excite_act": "conv_1_act",
    "": "mul",
}


def keras_family(network: Network) -> str:
    """Return "v2" or "v3" where the blocks are a published network's of that family, else ""."""
    name = next((name for name, base in FAMILIES.items() if base.blocks == network.blocks), "")
    return name[:2] if name[:2] in ("v2", "v3") else ""


def keras_name(family: str, name: str) -> str:
    """Return the Keras name of an op of ours in the network of a family."""
    part, number, rest = _SUFFIX.fullmatch(name).groups()  # type: ignore[union-attr]
    if family == "v2":
        return _v2_name(part, int(number or 0), rest)
    return _v3_name(part, int(number or 0), rest) if family == "v3" else _v1_name(part, number, rest)


def _v1_name(part: str, number: str, rest: str) -> str:
    """Return `conv1`, `conv_dw_1`, `conv_pw_1`, `conv_1`, `conv_head` of `conv0`, `dw1`, `pw1`, `conv1`, `head`."""
    if part == "conv":
        keras = "conv1" if number == "0" else f"conv_{number}"
    else:
        keras = f"conv_{part}_{number}" if number else f"conv_{part}"
    return keras + {"": "", "act": "_relu"}.get(rest, f"_{rest}")


def _v2_name(part: str, number: int, rest: str) -> str:
    if part == "conv":
        return "bn_Conv1" if rest == "bn" else "Conv1" + {"act": "_relu"}.get(rest, "")
    if part == "head":
        return "out_relu" if rest == "act" else "Conv_1" + {"bn": "_bn"}.get(rest, "")
    block = "expanded_conv" if number == 1 else f"block_{number - 1}"
    return f"{block}_{_V2[part]}" + {"": "", "bn": "_BN", "act": "_relu"}[rest]


def _v3_name(part: str, number: int, rest: str) -> str:
    suffix = f"_{rest}" if rest else ""
    if part in ("conv", "head", "hidden"):
        return {"conv": "conv", "head": "conv_1", "hidden": "conv_2"}[part] + suffix
    block = "expanded_conv" if number == 1 else f"expanded_conv_{number - 1}"
    return f"{block}_squeeze_excite_{_SQUEEZE[rest]}" if part == "gate" else f"{block}_{_V2[part]}{suffix}"
