"""Exact costs of a network, and its measured latency."""

from .count import PRECISIONS, Cost, LayerCost, cost, cost_of_graph
from .latency import Latency

__all__ = ["PRECISIONS", "Cost", "Latency", "LayerCost", "cost", "cost_of_graph"]
