"""A trained network as one small C program: lowered, planned, emitted, built.

Graph + weights --lower--> Program --plan, emit--> C --link--> library, kept in a cache.
"""

from .build import has_compiler
from .compile import Library, compile_model

__all__ = ["Library", "compile_model", "has_compiler"]
