"""Networks as data: `Network` holds the settings, `Graph` the ops with all shapes."""

from .graph import Graph, expand, verify
from .network import Block, Network
from .ops import Op
from .zoo import PAPER, named

__all__ = ["PAPER", "Block", "Graph", "Network", "Op", "expand", "named", "verify"]
