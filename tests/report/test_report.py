"""The page is well-formed, stands alone, escapes what users write, and stays small for a thousand classes."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilenets.arch.graph import expand, weight_shapes
from mobilenets.arch.network import Network
from mobilenets.costs import Latency, cost
from mobilenets.image import Preprocess
from mobilenets.model import Model
from mobilenets.report import PriorPoint, Report, write_report
from mobilenets.tasks.evaluation import evaluate_probabilities
from mobilenets.tasks.result import Picture, Section, Table

VOID = {"meta", "img", "br", "link", "input", "hr"}
EVIL = '<script>alert("1")</script>'
PAPER: tuple[PriorPoint, ...] = (
    ("1-224", 568_740_352, 70.6, "the paper, Table 6"),
    ("0.5-160", 76_524_544, 60.2, "the paper, Table 9"),
    ("0.25-128", 13_569_792, 41.3, "TF-slim"),
)
LATENCY = Latency(1.83, 1.81, 1.86, 1.79, 2.12, 212, 2, "ONNX Runtime 1.0")


class Page(HTMLParser):
    """Checks that tags nest, and keeps tags, text and every reference."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.alternatives: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.alternatives.append(dict(attrs).get("alt") or "")
        if tag not in VOID:
            self.open.append(tag)
        self._keep(attrs)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._keep(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def _keep(self, attrs: Sequence[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "data", "poster"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def report(labels: Sequence[str], images: int = 60, **changes: Any) -> Report:
    classes = len(labels)
    network = Network(alpha=0.25, height=64, width=96, classes=classes)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, images)
    powers = np.exp(rng.normal(size=(images, classes)).astype(np.float32))
    powers[np.arange(images), truth] *= 4
    names = [f"{labels[t]}/{i}.jpg" for i, t in enumerate(truth)]
    score = evaluate_probabilities(powers / powers.sum(axis=1, keepdims=True), truth, labels, names)
    pixels = rng.integers(0, 256, (96, 96, 3), np.uint8)
    weights = {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(expand(network)).items()}
    model = Model(network, weights, Preprocess(64, 96), tuple(labels), data={"sha256": "ab" * 32, "sizes": {"val": 5}})
    content: dict[str, Any] = {
        "title": "flowers",
        "model": model,
        "cost": cost(network),
        "evaluation": score,
        "history": history(3),
        "settings": {"epochs": 3, "lr": None, "opt": "adamw"},
        "latency": LATENCY,
        "images_per_second": 1843.2,
        "mistakes_pictures": [(mistake, pixels) for mistake in score.mistakes],
        "prior_points": PAPER,
        "notes": ["1 image was skipped"],
        "command": "mobilenets train flowers",
    }
    return Report(**(content | changes))


def history(epochs: int) -> list[dict[str, float]]:
    columns = ("train_loss", "train_top1", "val_loss", "val_top1", "lr", "images_per_second", "seconds")
    return [{"epoch": i + 1, **{name: 0.1 * i + 0.1 for name in columns}} for i in range(epochs)]


def written(tmp_path: Path, content: Report) -> str:
    path = tmp_path / "report.html"
    assert write_report(path, content) == path
    return path.read_text(encoding="utf-8")


def test_page_holds_every_section_and_nothing_from_outside(tmp_path: Path) -> None:
    html = written(tmp_path, report(("daisy", "roses", "tulips")))
    page = Page(html)
    sections = ("training", "confusion", "classes", "calibration", "mistakes", "cost", "plane", "settings")
    assert set(sections) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(reference.startswith(("#", "data:image/")) for reference in page.references)
    assert {reference[1:] for reference in page.references if reference[0] == "#"} <= set(page.ids)
    assert "script" not in page.tags and "link" not in page.tags
    assert not re.search(r"url\((?!#)|@import", html)
    assert page.tags.count("svg") == 4
    for text in (
        "95% interval",
        "1.83\u202fms",
        "1843",
        "mobilenets train flowers",
        "sizes.val",
        "1 image was skipped",
    ):
        assert text in page.text


def test_colours_of_figures_are_variables_that_the_style_defines(tmp_path: Path) -> None:
    html = written(tmp_path, report(("a", "b")))
    assert not re.findall(r"#0101\w\w|#0102\w\w", html)
    used = set(re.findall(r"var\((--[\w]+)\)", html))
    defined = set(re.findall(r"(--[\w-]+):", html))
    assert {"--main", "--bad", "--px224"} <= used <= defined


def test_same_report_gives_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path, report(("a", "b"))) == written(tmp_path, report(("a", "b")))


def test_user_strings_are_shown_as_they_are(tmp_path: Path) -> None:
    labels = (EVIL, '" onerror="x', "狗", "🐘 $x^2$", "a\nb", "ع" * 300, "&amp;", "{{ 7 * 7 }}")
    text = " ".join(labels)
    settings = {label: label for label in labels}
    page = Page(
        written(tmp_path, report(labels, title=text, notes=labels, settings=settings, command=text, latency=None))
    )
    assert "script" not in page.tags
    assert all(page.text.count(label) >= 6 for label in labels)


def test_only_an_evaluation(tmp_path: Path) -> None:
    bare: dict[str, Any] = {
        "history": (),
        "settings": {},
        "latency": None,
        "images_per_second": None,
        "mistakes_pictures": (),
        "prior_points": (),
        "notes": (),
        "command": "",
    }
    content = report(("a", "b"), **bare)
    page = Page(written(tmp_path, content))
    assert not {"training", "mistakes", "plane", "again"} & set(page.ids)
    assert "latency" not in page.text and "Recipe" not in page.text


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_short_and_long_histories(tmp_path: Path, epochs: int) -> None:
    html = written(tmp_path, report(("a", "b"), history=history(epochs)))
    assert ("over epochs" in html) == (epochs > 1)
    assert f"{epochs} epoch" in html


def test_history_as_a_csv_reader_gives_it(tmp_path: Path) -> None:
    rows = [{"epoch": "1", "val_loss": "1.5", "val_top1": "0.25"}, {"epoch": "2", "val_loss": "nan", "val_top1": ""}]
    assert "epoch 1, top-1 25.0%" in Page(written(tmp_path, report(("a", "b"), history=rows))).text


def test_every_picture_says_what_it_is(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pictures = (
        (Picture(pixels, "3.jpg: found 2 boxes"), Picture(pixels, "", "")),
        (Picture(pixels, "a", "predicted as b"),),
    )
    sections = [Section("Places", pictures=pictures[0]), Section("Pairs", pictures=pictures[1])]
    page = Page(written(tmp_path, report(("a", "b"), sections=sections)))
    assert all(page.alternatives)
    assert {"3.jpg: found 2 boxes", "Places", "a: predicted as b"} <= set(page.alternatives)


@pytest.mark.parametrize(("own", "told"), [(0.37, True), (0.3, False), (0.2, False), (None, False)])
def test_a_model_that_is_better_than_its_epoch(own: float | None, told: bool, tmp_path: Path) -> None:
    """The best of three epochs has 30 %; batch norm's statistics were re-estimated after it."""
    content = report(("a", "b"))
    model = replace(content.model, metrics={} if own is None else {"val_top1": own})
    text = Page(written(tmp_path, replace(content, model=model))).text
    assert "epoch 3, top-1 30.0%, circled" in text
    assert ("37.0% after its batch-norm statistics were re-estimated" in text) == told
    assert ("re-estimated" in text) == told


def test_history_of_losses_alone(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "train_loss": 1.5}, {"epoch": 2, "train_loss": 1.25}]
    html = written(tmp_path, report(("a", "b"), history=rows))
    assert "Loss over epochs" in html and "Top-1 over epochs" not in html


def test_matrix_of_numbers_up_to_30_classes_then_a_heat_map(tmp_path: Path) -> None:
    numbers = written(tmp_path, report([f"c{i}" for i in range(30)]))
    picture = written(tmp_path, report([f"c{i}" for i in range(31)]))
    assert 'class="matrix' in numbers and 'class="heat"' not in numbers
    assert 'class="matrix' not in picture and 'class="heat"' in picture
    assert "Most confused pairs" in numbers and "Most confused pairs" in picture


def test_all_right(tmp_path: Path) -> None:
    right = evaluate_probabilities(np.eye(2, dtype=np.float32), np.arange(2), ("a", "b"), ["1", "2"])
    page = Page(written(tmp_path, report(("a", "b"), evaluation=right, mistakes_pictures=())))
    assert "All images were classified correctly" in page.text


def test_a_thousand_classes_stay_small(tmp_path: Path) -> None:
    html = written(tmp_path, report([f"class {i}" for i in range(1000)], images=5000))
    Page(html)
    assert len(html) < 3_000_000


def test_grey_and_large_pictures(tmp_path: Path) -> None:
    content = report(("a", "b"))
    mistake = content.evaluation.mistakes[0]
    grey, large = np.zeros((28, 28, 1), np.uint8), np.zeros((2000, 1000, 3), np.uint8)
    html = written(tmp_path, report(("a", "b"), mistakes_pictures=[(mistake, grey), (mistake, large)]))
    assert html.count("data:image/png") == 1 and html.count("data:image/jpeg") == 1
    assert len(html) < 300_000


@pytest.mark.parametrize("classes, counts_hidden", [(10, False), (11, True)])
def test_a_matrix_fits_a_narrow_window(classes: int, counts_hidden: bool, tmp_path: Path) -> None:
    html = written(tmp_path, report([f"class {i}" for i in range(classes)]))
    style, body = html.split("</style>", 1)
    narrow = style[style.index("(max-width: 760px)") : style.index("@media print")]
    assert ".matrix { table-layout: fixed; width: 100%; }" in narrow
    assert ".matrix.many td { height: 14px; font-size: 0; }" in narrow
    assert bool(re.search(r'<table class="matrix[^"]* many"', body)) == counts_hidden
    assert ("The counts are shown in a wider window." in body) == counts_hidden


def test_tables_of_many_columns_become_lists_in_a_narrow_window(tmp_path: Path) -> None:
    wide = Table("", ("", "top-1", "ms", "weights", "<arena>"), (("float", "91%", "0.7", "2 MB", "9 KB"),))
    few = Table("", ("class", "AP"), (("cat", "0.5"),))
    html = written(tmp_path, report(("a", "b"), sections=[Section("Beside", tables=(wide, few))]))
    Page(html)
    assert html.count('<table class="full many-columns">') == 1
    assert '<td class="n" data-name="&lt;arena&gt;">9 KB</td>' in html  # shown beside the cell there
    assert "content: attr(data-name)" in html
