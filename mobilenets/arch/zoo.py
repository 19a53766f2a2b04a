"""The paper's networks, row by row, with the table of each and the printed figures."""

import re
from dataclasses import dataclass

from ..errors import NetworkError
from .network import SHALLOW_BODY, Network

__all__ = ["DEFAULT", "PAPER", "Row", "named"]


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

_NAME = re.compile(
    r"(?P<full>conv-)?(?P<shallow>shallow-)?(?P<head>head-)?(?P<alpha>\d*\.?\d+)-(?P<height>\d{1,9})(x(?P<width>\d{1,9}))?"
)


def named(name: str) -> Network:
    """Return the network of a name as `Network.name` writes it: `0.5-160`, `0.25-96x128`, `conv-1-224`,
    `shallow-1-224`, `head-1-224`.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise NetworkError(f"network {name!r} must be ALPHA-SIZE or ALPHA-HEIGHTxWIDTH, such as 0.5-160 or 0.25-96x128")
    height = int(match["height"])
    network = Network(alpha=float(match["alpha"]), height=height, width=int(match["width"] or height))
    if match["full"]:
        network = network.replace(convolution="full")
    if match["head"]:
        network = network.replace(head=1024)
    return network.replace(blocks=SHALLOW_BODY) if match["shallow"] else network


DEFAULT = named("0.5-128")  # the middle of the paper's alphas, and a size that trains in minutes on two cores
