"""Sweeps: many trainings, planned, run, resumed and read as one picture."""

from .halving import rungs_of, share_of_work, survivors
from .page import REPORT, write_page
from .plan import PAPER_ALPHAS, PAPER_SIZES, PLAN, LeftOut, SweepPlan, Trial, grid, paper_networks
from .processes import end_with_parent, run_side_by_side
from .results import FAILED, MEASURED, RESULTS, Measured, Row, collect, history, write_results

__all__ = [
    "FAILED",
    "MEASURED",
    "PAPER_ALPHAS",
    "PAPER_SIZES",
    "PLAN",
    "REPORT",
    "RESULTS",
    "LeftOut",
    "Measured",
    "Row",
    "SweepPlan",
    "Trial",
    "collect",
    "end_with_parent",
    "grid",
    "history",
    "paper_networks",
    "run_side_by_side",
    "rungs_of",
    "share_of_work",
    "survivors",
    "write_page",
    "write_results",
]
