"""Printing: tables and lines for people, one JSON object for machines."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["new_table", "print_json", "print_parts", "wrote"]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError` (`mobilenets ... | head`), which `main` handles."""
        raise BrokenPipeError


def print_parts(*parts: Any) -> None:
    console = _Console(highlight=False)
    console.width = max(console.width, 120)  # rather wrapped lines than cut figures
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str))


def print_json(values: dict[str, Any]) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False))


def new_table(title: str, *columns: str) -> Table:
    """Return an empty table whose first column is text and whose other columns are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    return table


def wrote(path: Path, *facts: str) -> str:
    """Return the line in which every verb reports what it wrote and where."""
    return "  ".join([f"wrote {path}", *facts])
