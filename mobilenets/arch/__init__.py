"""Architecture as data: `Network` is what is asked for, `Graph` what follows from it."""

from .graph import Graph, expand, verify
from .network import Block, Network
from .ops import Op
from .zoo import PAPER, named

__all__ = ["PAPER", "Block", "Graph", "Network", "Op", "expand", "named", "verify"]
