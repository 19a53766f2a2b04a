"""Evaluation of a model in the runtime that serves it: the same figures for `train`, `evaluate` and `quantize`."""

from .comparison import Comparison, compare, compare_with_sibling
from .evaluated import Evaluated, Measured, Served, default_split, evaluate_split, notes_on_few_images, serve
from .page import find_near_duplicates, section_of, write_page

__all__ = [
    "Comparison",
    "Evaluated",
    "Measured",
    "Served",
    "compare",
    "compare_with_sibling",
    "default_split",
    "evaluate_split",
    "find_near_duplicates",
    "notes_on_few_images",
    "section_of",
    "serve",
    "write_page",
]
