"""Sweeps: many trainings, planned, run, resumed and read as one picture."""

from .plan import LeftOut, SweepPlan, Trial, grid, is_sweep, paper_networks
from .results import FAILED, Measured, Row, collect, write_results

__all__ = [
    "FAILED",
    "LeftOut",
    "Measured",
    "Row",
    "SweepPlan",
    "Trial",
    "collect",
    "grid",
    "is_sweep",
    "paper_networks",
    "write_results",
]
