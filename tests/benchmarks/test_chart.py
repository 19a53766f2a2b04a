"""The page and the picture of a benchmark, of rows that are written here."""

import re
from pathlib import Path

import pytest

from mobilenets.benchmarks import Benchmark, Row, chart
from mobilenets.benchmarks.chart import check_chart, write_chart
from mobilenets.benchmarks.page import page
from mobilenets.benchmarks.result import axis_end
from mobilenets.costs.latency import Latency
from mobilenets.errors import MissingExtraError


def row(runtime: str, threads: int, median: float, p10: float, p90: float) -> Row:
    latency = Latency(median, 0.99 * median, 1.01 * median, p10, p90, 50, threads, runtime)
    return Row(runtime, "1.0", "fp32", latency, {1: 9.0, 8: 70.0}, 1.0, 0.0, None, 1_900_000, None, 23.0, "x", 1.0)


def result(*rows: Row) -> Benchmark:
    return Benchmark("0.25-96", "random", "a processor", "torch, fp32", "noise", 100, None, rows, ())


CALM = (row("mobilenets", 1, 1.0, 0.9, 1.2), row("peer", 1, 2.0, 1.8, 3.5))
NOISY = (row("mobilenets", 4, 1.0, 0.9, 50.0), row("peer", 4, 2.0, 1.8, 2.2))


def test_the_axis_holds_every_p90_but_no_outlier() -> None:
    assert axis_end(CALM) == pytest.approx(1.05 * 3.5)
    assert axis_end(NOISY) == 4.0


def test_lines_from_p10_to_p90_are_whole_or_said_to_go_on() -> None:
    html = page(result(*CALM, *NOISY))
    spreads = re.findall(r'<b( class=beyond)? style="left:([\d.]+)%;width:([\d.]+)%">', html)
    assert [bool(beyond) for beyond, _, _ in spreads] == [False, False, True, False]
    ends = [float(left) + float(width) for _, left, width in spreads]
    assert ends[:2] == pytest.approx([100 * p90 / axis_end(CALM) for p90 in (1.2, 3.5)], abs=0.02)
    assert ends[2] == 100.0
    assert html.count("lines without an end go on") == 1 and "(0.9 to 50)" in html


def test_the_page_suits_dark_windows_narrow_ones_and_readers_of_text() -> None:
    html = page(result(*CALM))
    assert "prefers-color-scheme: dark" in html and "max-width: 760px" in html and "width=device-width" in html
    assert html.count("role=img") == 2 and html.count('role=img aria-label="') == 2
    assert 'aria-label="1 ms, p10 0.9, p90 1.2"' in html
    names = re.findall(r"<th>([^<]+)</th>", html)
    cells = re.findall(r'<td data-name="([^"]+)">', html)
    assert cells == names * 2 and "img/s, 8" in names  # narrow windows show the name of each cell beside it


def test_a_page_needs_no_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart, "find_spec", lambda name: None)
    write_chart(tmp_path / "speed.html", result(*CALM))
    with pytest.raises(MissingExtraError, match=r"a report in \.png needs matplotlib"):
        check_chart(tmp_path / "speed.png")


def test_a_picture_says_what_it_is_of(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    svg = write_chart(tmp_path / "speed.svg", result(*NOISY)).read_text()
    assert "<title>0.25-96 (random weights) on a processor</title>" in svg
    assert "1 (p90: 50)" in svg and "2 (p90" not in svg
