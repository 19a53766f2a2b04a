"""What the docs say of the code still holds."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_recipe_page_is_made_from_the_recipe() -> None:
    spec = importlib.util.spec_from_file_location("make_recipe_docs", ROOT / "scripts" / "make_recipe_docs.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.TARGET.read_text() == script.page(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", text):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"
    for name in re.findall(r"`((?:mobilenets|tests|benchmarks|scripts)/[\w/.]+\.(?:py|md))`", text):
        assert (ROOT / name).exists(), f"{page.name} names {name}"
