"""Write the evaluation report of a network as one self-contained HTML file."""

from .page import PriorPoint, Report, write_report

__all__ = ["PriorPoint", "Report", "write_report"]
