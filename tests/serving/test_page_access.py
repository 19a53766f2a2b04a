"""The page in a headless Chromium: keyboard, screen readers, small and dark windows, refusals, its policy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import answered, api, drop, opened, status
from served import Running, gated, serving

from mobilenets.serving.static import page_files

pytestmark = pytest.mark.any_processor
expect = api.expect

# the least contrast (WCAG 2) of a text with the ground behind it
CONTRAST = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).reduce((sum, part, at) => {
    const value = part / 255;
    return sum + [0.2126, 0.7152, 0.0722][at] * (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  }, 0);
  const ground = (one) => {
    const colour = getComputedStyle(one).backgroundColor;
    return (parts(colour)[3] ?? 1) === 1 || !one.parentElement ? colour : ground(one.parentElement);
  };
  const texts = [...document.querySelectorAll("body *")].filter(
    (one) => one.checkVisibility() && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return texts.map((one) => {
    const both = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a);
    return [(both[0] + 0.05) / (both[1] + 0.05), one.textContent];
  }).sort((a, b) => a[0] - b[0])[0];
}"""


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_everything_is_reached_and_used_with_the_keyboard(browser: Any, server: Running, jpegs: list[Path]) -> None:
    server.app.models["second"] = replace(server.app.models["flowers"], name="second")
    try:
        with opened(browser, server.address) as page:
            press = page.keyboard.press
            press("Tab")
            assert focused(page) == "model"
            press("ArrowDown")
            expect(page).to_have_title("second · mobilenets")
            press("Tab")
            assert focused(page) == "files"
            assert page.locator("#drop").evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
            page.evaluate("document.getElementById('files').onclick = () => { window.clicked = true; return false; }")
            press("Enter")
            page.wait_for_function("window.clicked")
            page.set_input_files("#files", jpegs[0])
            answered(page)
            press("Tab")
            assert focused(page) == "camera"
            press("Space")
            expect(page.locator("video")).to_have_count(1)
            press("Space")
            expect(page.locator("video")).to_have_count(0)
            press("Tab")
            assert focused(page) == "clear"
            press("Enter")
            status(page, "All photos are removed")
            assert focused(page) == "files" and page.locator(".card").count() == 0
    finally:
        del server.app.models["second"]


def test_what_a_screen_reader_finds(browser: Any, server: Running, jpegs: list[Path]) -> None:
    with opened(browser, server.address) as page:
        drop(page, ("a photo.jpg", jpegs[0].read_bytes()))
        answered(page)
        expect(page.locator("body")).to_match_aria_snapshot("""
            - banner:
              - heading "mobilenets" [level=1]
              - text: Model
              - combobox "Model"
            - main:
              - button "Choose photos, or drop or paste them here"
              - button "Use the camera"
              - button "Remove all"
              - status: "/a photo\\\\.jpg: .* [\\\\d.]+%/"
              - list "Answers":
                - listitem:
                  - heading "a photo.jpg" [level=2]
                  - list:
                    - listitem: /.+%/
                    - listitem: /.+%/
                    - listitem: /.+%/
            - contentinfo""")
        assert page.locator("[role=alert]").count() == 1
        assert page.locator("img:not([alt]), svg:not([aria-hidden], [aria-label])").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_windows_and_both_schemes(browser: Any, server: Running, jpegs: list[Path], scheme: str) -> None:
    """Nothing is wider than 400 px, and each text has the contrast of WCAG 2, level AA."""
    size = {"width": 400, "height": 800}
    with opened(browser, server.address, viewport=size, color_scheme=scheme) as page:
        drop(page, ("a_" * 60 + ".jpg", jpegs[0].read_bytes()), ("text.jpg", b"no image"))
        status(page, "1 of 2 photos answered")
        answered(page, 2)
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        contrast, text = page.evaluate(CONTRAST)
        assert contrast >= 4.5, text


def test_a_full_queue_is_shown_and_asked_again(browser: Any, model: Path, jpegs: list[Path]) -> None:
    with serving([model], max_queue=1, threads=2) as running, opened(browser, running.address) as page:
        with gated(running):
            drop(page, *jpegs[:2])
            refused = page.locator(".card .error")
            expect(refused).to_contain_text("429: 1 images wait")
        status(page, "1 of 2 photos answered")
        page.get_by_role("button", name="Try again").click()
        expect(refused).to_have_count(0)
        answered(page, 2)


def test_a_server_with_a_token_and_one_that_has_gone(browser: Any, model: Path, jpegs: list[Path]) -> None:
    with serving([model], token="secret") as running, opened(browser, running.address, ready="") as page:
        error = page.locator("#error")
        expect(error).to_contain_text("401: ")
        for token in ("wrong", "secret"):
            page.get_by_label("Token of this server").fill(token)
            with page.expect_response("**/models"):
                page.keyboard.press("Enter")
        status(page, "Ready")
        expect(error).to_have_text("")
        page.route("**/predict*", lambda route: route.fulfill(status=502, body="<html>proxy</html>"))
        drop(page, jpegs[0])
        expect(page.locator(".card .error")).to_have_text("502: Bad Gateway")


def test_the_policy_allows_the_files_of_the_page_alone(browser: Any, client: httpx.Client, server: Running) -> None:
    for address in page_files():
        response = client.get(address)
        policy = response.headers["content-security-policy"]
        assert response.status_code == 200 and "default-src 'none'" in policy and "unsafe" not in policy, address
        assert "http" not in response.text.replace("http://www.w3.org/2000/svg", ""), address
    foreign = """() => new Promise((done) => {
        addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
        document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = 1" }));
    })"""
    with pytest.raises(AssertionError, match="Content Security Policy"), opened(browser, server.address) as page:
        assert page.evaluate(foreign) == "script-src-elem"
        assert page.evaluate("window.ran") is None
