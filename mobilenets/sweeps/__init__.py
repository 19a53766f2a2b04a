"""Sweeps: many trainings, planned, run, resumed and read as one picture."""

from .halving import rungs_of, share_of_work, survivors
from .page import REPORT, write_page
from .plan import PAPER_ALPHAS, PAPER_SIZES, PLAN, LeftOut, SweepPlan, Trial, grid, paper_networks
from .processes import end_with_parent, run_side_by_side
from .results import (
    FAILED,
    MEASURED,
    PEER,
    RESULTS,
    Measured,
    PeerResult,
    Row,
    collect,
    counts,
    history,
    is_done,
    write_results,
)

__all__ = [
    "FAILED",
    "MEASURED",
    "PAPER_ALPHAS",
    "PAPER_SIZES",
    "PEER",
    "PLAN",
    "REPORT",
    "RESULTS",
    "LeftOut",
    "Measured",
    "PeerResult",
    "Row",
    "SweepPlan",
    "Trial",
    "collect",
    "counts",
    "end_with_parent",
    "grid",
    "history",
    "is_done",
    "paper_networks",
    "run_side_by_side",
    "rungs_of",
    "share_of_work",
    "survivors",
    "write_page",
    "write_results",
]
