"""Architecture as data: `Network` is what is asked for, `Graph` what follows from it."""

from .graph import Graph, Op, expand, verify
from .network import Block, Network
from .zoo import PAPER, named

__all__ = ["PAPER", "Block", "Graph", "Network", "Op", "expand", "named", "verify"]
