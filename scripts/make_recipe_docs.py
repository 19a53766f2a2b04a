"""Write docs/recipe.md from `Recipe`: every default with its reason. `make docs` runs it; a test compares.

python scripts/make_recipe_docs.py
"""

import ast
import inspect
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

from mobilenets.training import recipe as source

TARGET = Path(__file__).parents[1] / "docs" / "recipe.md"
HEAD = """# The training recipe

Made from `mobilenets/training/recipe.py` by `make docs`. Each setting is a flag of `mobilenets train`.

| flag | default | what and why |
| --- | --- | --- |
"""


def reasons() -> dict[str, str]:
    """Return the docstring of each field."""
    body = next(node for node in ast.parse(inspect.getsource(source)).body if isinstance(node, ast.ClassDef)).body
    found: dict[str, str] = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            assert isinstance(text.value, ast.Constant)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def shown(default: object) -> str:
    """Return a default as the page shows it."""
    if default is None:
        return "by rule"
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else str(default)


def page() -> str:
    texts = reasons()
    rows = []
    for field in fields(source.Recipe):
        rows.append(f"| `--{field.name.replace('_', '-')}` | {shown(field.default)} | {texts[field.name]} |\n")
    rates = ", ".join(f"{opt} {rate:g}" for opt, rate in source.LEARNING_RATE.items())
    return HEAD + "".join(rows) + f"\nPeak learning rates at batch size 64: {rates}.\n"


if __name__ == "__main__":
    TARGET.write_text(page())
