"""Compile a trained network to one small C program: lower it, plan its memory, emit C, build a library.

Graph + weights --lower--> Program --plan, emit--> C --link--> library, kept in a cache.
"""

from .build import has_compiler
from .compile import PRECISIONS, Library, Written, arena_bytes, compile_model, handles, lacking, write_c
from .targets import TARGETS

__all__ = [
    "PRECISIONS",
    "TARGETS",
    "Library",
    "Written",
    "arena_bytes",
    "compile_model",
    "handles",
    "has_compiler",
    "lacking",
    "write_c",
]
