"""Write functions of assembly in C."""

from collections.abc import Iterable

__all__ = ["function"]


def function(name: str, parameters: Iterable[str], lines: Iterable[str]) -> str:
    """Return a function that consists of `lines`, which find its parameters in registers."""
    declared = ", ".join(f"{parameter} __attribute__((unused))" for parameter in parameters)
    text = "\n".join(f'        "{line}\\n"' for line in lines)
    return f"""__attribute__((naked, noinline)) KERNEL void {name}({declared}) {{
    __asm__(
{text});
}}
"""
