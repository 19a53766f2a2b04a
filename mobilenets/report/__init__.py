"""Write the evaluation report of a network as one self-contained HTML file."""

from .figures import Dot, cloud
from .page import PriorPoint, Report, render, write_report

__all__ = ["Dot", "PriorPoint", "Report", "cloud", "render", "write_report"]
