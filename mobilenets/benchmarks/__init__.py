"""Benchmarks on this machine: this package's own code against every runtime that is installed."""

from .measure import benchmark_model
from .opening import Missing
from .peers import PEERS, Peer
from .result import Benchmark, Row

__all__ = ["PEERS", "Benchmark", "Missing", "Peer", "Row", "benchmark_model"]
