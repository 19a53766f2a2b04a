"""Networks by name, and the rows of the V1 paper, with the table of each and the printed figures."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import NetworkError
from .families import (
    FD_BODY,
    V2_BODY,
    V3_LARGE_BODY,
    V3_LARGE_MINIMALISTIC_BODY,
    V3_SMALL_BODY,
    V3_SMALL_MINIMALISTIC_BODY,
    V4_CONV_MEDIUM_BODY,
    V4_CONV_SMALL_BODY,
)
from .network import SHALLOW_BODY, Network

__all__ = ["DEFAULT", "FAMILIES", "PAPER", "Row", "family_of", "named"]


@dataclass(frozen=True, slots=True)
class Row:
    """One printed row: network, table, ImageNet top-1 (%), millions of mult-adds and of parameters."""

    network: Network
    table: str
    top1: float
    mult_adds_m: float
    params_m: float


PAPER = (
    Row(Network(convolution="full"), "Table 4", 71.7, 4866, 29.3),  # its 4866 is without the classifier
    Row(Network(), "Tables 4, 6, 7, 8", 70.6, 569, 4.2),
    Row(Network(alpha=0.75), "Tables 5, 6", 68.4, 325, 2.6),
    Row(Network(blocks=SHALLOW_BODY), "Table 5", 65.3, 307, 2.9),
    Row(Network(alpha=0.5), "Table 6", 63.7, 149, 1.3),
    Row(Network(alpha=0.25), "Table 6", 50.6, 41, 0.5),
    Row(Network(height=192, width=192), "Table 7", 69.1, 418, 4.2),
    Row(Network(height=160, width=160), "Table 7", 67.2, 290, 4.2),
    Row(Network(height=128, width=128), "Table 7", 64.4, 186, 4.2),
    Row(Network(alpha=0.5, height=160, width=160), "Table 9", 60.2, 76, 1.32),
)

_V2 = Network(
    blocks=V2_BODY,
    head=1280,
    activation="relu6",
    rounding="multiple_of_8",
    expansion_scaling="input",
    head_scaling="widen",
)
_V3_LARGE = Network(
    stem=16,
    blocks=V3_LARGE_BODY,
    head=960,
    hidden=1280,
    activation="hard_swish",
    rounding="multiple_of_8",
    stem_scaling="widen",
    expansion_scaling="input",
    head_scaling="input",
    hidden_scaling="widen",
)
_V3_SMALL = _V3_LARGE.replace(blocks=V3_SMALL_BODY, head=576, hidden=1024)
_V4_SMALL = Network(
    blocks=V4_CONV_SMALL_BODY,
    head=960,
    hidden=1280,
    hidden_norm=True,
    rounding="multiple_of_8",
    stem_scaling="widen",
    expansion_scaling="input",
    hidden_scaling="none",
)

# what a name begins with -> the network at alpha 1 and 224 x 224 pixels
FAMILIES: dict[str, Network] = {
    "": Network(),
    "fd": Network(blocks=FD_BODY),
    "v2": _V2,
    "v3-large": _V3_LARGE,
    "v3-large-minimalistic": _V3_LARGE.replace(blocks=V3_LARGE_MINIMALISTIC_BODY, activation="relu"),
    "v3-small": _V3_SMALL,
    "v3-small-minimalistic": _V3_SMALL.replace(blocks=V3_SMALL_MINIMALISTIC_BODY, activation="relu"),
    "v4-conv-small": _V4_SMALL,
    "v4-conv-medium": _V4_SMALL.replace(blocks=V4_CONV_MEDIUM_BODY),
}


def family_of(network: Network) -> str | None:
    """Return the key in `FAMILIES` of the body of `network`; None for another body."""
    blocks = FAMILIES[""].blocks if network.blocks == SHALLOW_BODY else network.blocks
    return next((family for family, member in FAMILIES.items() if member.blocks == blocks), None)


_NAME = re.compile(
    r"((?P<family>fd|v[0-9][a-z-]*[a-z]|v[0-9])-|(?P<full>conv-)?(?P<shallow>shallow-)?(?P<head>head-)?)"
    r"(?P<alpha>\d*\.?\d+)-(?P<height>\d{1,9})(x(?P<width>\d{1,9}))?"
)


def _unknown(name: str, family: str) -> str:
    """Return the error text for a family that does not exist."""
    rest = name.removeprefix(f"{family}-")
    if family == "v1":
        return f"network {name!r}: MobileNet V1 has no prefix: {rest}"
    near = [known for known in FAMILIES if known and known.startswith(family)] or get_close_matches(family, FAMILIES)
    meant = f"; did you mean {' or '.join(f'{known}-{rest}' for known in near)}?" if near else ""
    known = ", ".join(filter(None, FAMILIES))
    return f"network {name!r}: family {family!r} must be one of {known}, or none for MobileNet V1{meant}"


def named(name: str) -> Network:
    """Return the network of a name as `Network.name` writes it: `0.5-160`, `0.25-96x128`, `conv-1-224`,
    `shallow-1-224`, `head-1-224` for V1; `v2-1-224`, `v3-small-0.75-160` and the other `FAMILIES`.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        meant = name.lower().replace("_", "-")
        raise NetworkError(
            f"network {name!r} must be ALPHA-SIZE or ALPHA-HEIGHTxWIDTH, such as 0.5-160 or 0.25-96x128, for MobileNet "
            "V1; v2-0.5-160, v3-small-1.0-224, v4-conv-small-1.0-224 for others"
            + (f"; did you mean {meant}?" if _NAME.fullmatch(meant) else "")
        )
    family = match["family"] or ""
    if family not in FAMILIES:
        raise NetworkError(_unknown(name, family))
    height = int(match["height"])
    network = FAMILIES[family].replace(alpha=float(match["alpha"]), height=height, width=int(match["width"] or height))
    if match["full"]:
        network = network.replace(convolution="full")
    if match["head"]:
        network = network.replace(head=1024)
    return network.replace(blocks=SHALLOW_BODY) if match["shallow"] else network


DEFAULT = named("0.5-128")  # the middle of the paper's alphas, and a size that trains in minutes on two cores
