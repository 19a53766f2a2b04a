"""Work on many machines: a plan of parts, their readers, what a worker does with a part, and Ray."""

from .plan import PLAN, Part, Plan, Work
from .readers import Item, read_part
from .storage import Place, is_url
from .work import Job, Outcome

__all__ = ["PLAN", "Item", "Job", "Outcome", "Part", "Place", "Plan", "Work", "is_url", "read_part"]
