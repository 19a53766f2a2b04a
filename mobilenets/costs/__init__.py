"""Exact costs of a network, its measured latency, and what it costs on a microcontroller."""

from .count import PRECISIONS, Cost, LayerCost, cost, cost_of_graph
from .device import DeviceCost, LayerTime, Memory
from .latency import Latency

__all__ = ["PRECISIONS", "Cost", "DeviceCost", "Latency", "LayerCost", "LayerTime", "Memory", "cost", "cost_of_graph"]
