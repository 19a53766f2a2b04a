"""Search for a network within a budget: exact costs, a prior for accuracy, measured latency."""

from .budget import Budget, parse_clock, parse_count, parse_size, parse_time
from .candidate import Candidate
from .prior import MeasuredPoint, Prior
from .runs import is_sweep, read_runs
from .search import Design, search
from .space import FAMILY_NAMES, Space

__all__ = [
    "FAMILY_NAMES",
    "Budget",
    "Candidate",
    "Design",
    "MeasuredPoint",
    "Prior",
    "Space",
    "is_sweep",
    "parse_clock",
    "parse_count",
    "parse_size",
    "parse_time",
    "read_runs",
    "search",
]
