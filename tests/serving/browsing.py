"""A headless Chromium in which tests use the page of a server."""

import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
REFUSED = "Failed to load resource: the server responded with a status of"  # which Chromium always prints

DROPPED = """files => {
  const data = new DataTransfer();
  for (const [name, text] of files) {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt());
    data.items.add(new File([bytes], name));
  }
  return data;
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a Chromium that has a camera."""
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, address: str, ready: str = "Ready", **options: Any) -> Iterator[Any]:
    """Open the page; what it prints or throws, and requests to elsewhere, are failures."""
    context = browser.new_context(**options)
    context.set_default_timeout(30_000)
    page = context.new_page()
    trouble: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    api.expect(page.get_by_role("status")).to_have_text(ready)
    yield page
    context.close()
    trouble = [text for text in trouble if not text.startswith(REFUSED)]
    elsewhere = [url for url in asked if not url.startswith((address, f"blob:{address}"))]
    assert not trouble + elsewhere, trouble + elsewhere


def drop(page: Any, *files: Path | tuple[str, bytes]) -> None:
    """Drop files on the page."""
    given = [(file.name, file.read_bytes()) if isinstance(file, Path) else file for file in files]
    data = page.evaluate_handle(DROPPED, [(name, b64encode(content).decode()) for name, content in given])
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})


def status(page: Any, text: str) -> None:
    """Wait until the page says `text`."""
    api.expect(page.get_by_role("status")).to_have_text(text)


def answered(page: Any, count: int = 1) -> Any:
    """Wait until that many cards have an answer; return the first."""
    api.expect(page.locator(".card[aria-busy=false]")).to_have_count(count)
    return page.locator(".card").first


def rows(card: Any) -> list[list[str]]:
    """Return the texts of each row of an answer's list."""
    return [item.all_inner_texts() for item in (item.locator("span") for item in card.locator("ol > li").all())]
