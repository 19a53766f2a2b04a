"""The page in a headless Chromium: the answer of each task, photos, the camera."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import answered, api, drop, opened, rows, status
from served import Running, serving

from mobilenets import predict
from mobilenets.cli import main
from mobilenets.serving.served import Served
from mobilenets.tasks import task_type

pytestmark = pytest.mark.any_processor
expect = api.expect

CELLS = [["47a1", 48.9, 2.35, 30], ["89c3", 40.7, -74.0, 20], ["6b12", -33.9, 151.2, 12]]
BOXES = [[0.25, 0.5, 0.75, 1.0, 0.9, 2], [0.0, 0.0, 0.5, 0.25, 0.6, 0], [0.0, 0.0, 0.1, 0.1, 0.6, 2]]
NAMED = "<img src=x onerror=alert(1)>"


class Other:
    """A runner of another task whose outputs are made of those of a classifier."""

    def __init__(self, inner: Any, **changes: Any) -> None:
        self.inner, self.changes = inner, changes

    def __getattr__(self, name: str) -> Any:
        return self.changes[name] if name in self.changes else getattr(self.inner, name)

    def run(self, images: Any) -> Any:
        if self.changes["task"] == "detect":
            return np.array([BOXES] * len(images), np.float32)
        found = self.inner.run(images)
        return found / np.linalg.norm(found, axis=1, keepdims=True) if self.changes["task"] == "embed" else found


def other(model: Served, name: str, task: str, **changes: Any) -> Served:
    runner: Any = Other(model.session, task=task, **changes)
    return replace(model, name=name, session=runner, wide=runner, task=task_type(task)())


@pytest.fixture(scope="module")
def tasks(model: Path) -> Iterator[Running]:
    with serving([model], max_body=1 << 20) as running:
        flowers = running.app.models["flowers"]
        for made in (
            other(flowers, "scenes", "detect", head_config={"boxes": len(BOXES)}),
            other(flowers, "clothes", "attributes", labels=(NAMED, "hat", "bag")),
            other(flowers, "places", "geolocate", head_config={"cells": CELLS}),
            other(flowers, "faces", "embed"),
        ):
            running.app.models[made.name] = made
        yield running


def percent(probability: float) -> str:
    return f"{100 * probability:.1f}%"


def test_a_dropped_photo_is_answered_as_by_predict(
    browser: Any, tasks: Running, model: Path, jpegs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(model), str(jpegs[0]), "--json"]) == 0
    top = json.loads(capsys.readouterr().out)["predictions"][0]["top"]
    expected = [[one["label"], percent(one["probability"])] for one in top]
    with opened(browser, tasks.address) as page:
        expect(page.locator("#about")).to_have_text("Classification · 3 classes · 32 × 32 pixels · fp32")
        drop(page, jpegs[0])
        status(page, f"{jpegs[0].name}: {' '.join(expected[0])}")
        assert rows(page.locator(".card")) == expected
        widths = page.eval_on_selector_all(".track i", "all => all.map(one => one.style.width)")
        assert [float(width[:-1]) for width in widths] == pytest.approx([100 * one["probability"] for one in top])
        assert page.locator(".time span").all_inner_texts()[0].startswith("Network ")
        assert page.title() == "flowers · mobilenets"


def test_several_photos_at_once_and_what_is_no_photo(browser: Any, tasks: Running, jpegs: list[Path]) -> None:
    """Each has its answer, in the order of the files; refusals are those of the server."""
    with opened(browser, tasks.address) as page:
        drop(page, *jpegs[:6], ("text.jpg", b"no image"), ("large.jpg", jpegs[0].read_bytes() + bytes(1 << 20)))
        status(page, "6 of 8 photos answered")
        cards = page.locator(".card").all()
        names = [path.name for path in jpegs[:6]]
        assert [card.locator("h2").inner_text() for card in cards] == [*names, "text.jpg", "large.jpg"]
        for card, path in zip(cards, jpegs[:6], strict=False):
            (found,) = predict(tasks.app.models["flowers"].path, path)
            assert rows(card) == [[label, percent(p)] for label, p in found.prediction.top]
        refused = page.locator(".card .error").all_inner_texts()
        assert refused[0].startswith("415: ") and refused[1].startswith("413: the body is larger than 1048576 bytes")
        assert cards[6].locator(".blank").inner_text() == "This browser does not show this file"
        page.get_by_role("button", name="Remove all").click()
        assert page.locator(".card").count() == 0


def test_another_model_answers_the_photos_that_are_there(browser: Any, tasks: Running, jpegs: list[Path]) -> None:
    with opened(browser, tasks.address) as page:
        drop(page, jpegs[0])
        answered(page)
        page.get_by_label("Model").select_option("scenes")
        status(page, f"{jpegs[0].name}: 2 tulip, 1 daisy")
        expect(page.locator("#about")).to_contain_text("Detection")


def test_boxes_lie_where_the_network_puts_them(browser: Any, tasks: Running, jpegs: list[Path]) -> None:
    with opened(browser, tasks.address) as page:
        page.get_by_label("Model").select_option("scenes")
        drop(page, jpegs[0])
        status(page, f"{jpegs[0].name}: 2 tulip, 1 daisy")
        assert rows(page.locator(".card")) == [["tulip", "90.0%"], ["daisy", "60.0%"], ["tulip", "60.0%"]]
        photo = page.locator(".frame img").bounding_box()
        for box, drawn in zip(BOXES, page.locator(".box").all(), strict=True):
            at = drawn.bounding_box()
            left, top = (at["x"] - photo["x"]) / photo["width"], (at["y"] - photo["y"]) / photo["height"]
            right, bottom = left + at["width"] / photo["width"], top + at["height"] / photo["height"]
            assert (left, top, right, bottom) == pytest.approx(box[:4], abs=0.01)
        assert page.locator(".box span").all_inner_texts()[0] == "tulip 90.0%"


def test_attributes_and_labels_with_html(browser: Any, tasks: Running, jpegs: list[Path]) -> None:
    """Labels and file names are shown as text."""
    with opened(browser, tasks.address) as page:
        page.get_by_label("Model").select_option("clothes")
        drop(page, (NAMED, jpegs[0].read_bytes()))
        answered(page)
        (found,) = predict(tasks.app.models["flowers"].path, jpegs[0])
        order = {"daisy": NAMED, "rose": "hat", "tulip": "bag"}
        assert rows(page.locator(".card")) == [[order[label], percent(p)] for label, p in found.prediction.top]
        assert page.locator("h2").inner_text() == NAMED and page.locator("img").count() == 2
        likely = [label for label, p in found.prediction.top if p >= 0.5]
        assert page.locator(".strong").count() == len(likely)


def test_a_location_is_on_the_map(browser: Any, tasks: Running, jpegs: list[Path]) -> None:
    with opened(browser, tasks.address) as page:
        page.get_by_label("Model").select_option("places")
        drop(page, jpegs[0])
        answered(page)
        (found,) = predict(tasks.app.models["flowers"].path, jpegs[0])
        first = ("daisy", "rose", "tulip").index(found.prediction.top[0][0])
        _, latitude, longitude, _ = CELLS[first]
        dot = page.locator(".place.first")
        assert [float(dot.get_attribute(name)) for name in ("cx", "cy")] == [longitude, -latitude]
        text = f"{abs(latitude):.2f}° {'NS'[latitude < 0]}, {abs(longitude):.2f}° {'EW'[longitude < 0]}"
        assert rows(page.locator(".card"))[0] == [text, percent(found.prediction.top[0][1])]
        expect(page.get_by_role("img", name=f"Map: {text}")).to_be_visible()
        assert len(page.locator(".land").get_attribute("d")) > 10_000


def test_the_nearest_photos_of_an_embedding(browser: Any, tasks: Running, jpegs: list[Path]) -> None:
    chosen = jpegs[:3]
    vectors = []
    for path in chosen:
        (found,) = predict(tasks.app.models["flowers"].path, path)
        vector = np.array([dict(found.prediction.top)[label] for label in ("daisy", "rose", "tulip")])
        vectors.append(vector / np.linalg.norm(vector))
    cosines = {path.name: float(vectors[0] @ vector) for path, vector in zip(chosen[1:], vectors[1:], strict=True)}
    with opened(browser, tasks.address) as page:
        page.get_by_label("Model").select_option("faces")
        drop(page, *chosen)
        status(page, "3 of 3 photos answered")
        expected = [[name, f"{cosines[name]:.3f}"] for name in sorted(cosines, key=cosines.__getitem__, reverse=True)]
        assert rows(page.locator(".card").first) == expected


def test_the_camera(browser: Any, tasks: Running, jpegs: list[Path]) -> None:
    """Frames are answered one after another, beside photos, until it is stopped."""
    with opened(browser, tasks.address) as page:
        button = page.get_by_role("button", name="Use the camera")
        button.click()
        card = page.locator(".card", has=page.locator("video"))
        expect(card.locator(".bars li")).to_have_count(3)
        drop(page, jpegs[0])
        expect(page.locator(".card .bars")).to_have_count(2)
        before = page.evaluate("performance.getEntriesByType('resource').length")
        page.wait_for_function("most => performance.getEntriesByType('resource').length > most", arg=before + 3)
        assert page.evaluate("document.querySelector('video').videoWidth") > 0
        page.get_by_role("button", name="Stop the camera").click()
        expect(page.locator("video")).to_have_count(0)
        status(page, "The camera is off")
        expect(button).to_be_visible()
