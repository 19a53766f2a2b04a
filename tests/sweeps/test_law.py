"""The log-linear law, the Pareto front, and the tables and page that show them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_rows import SIZES, paper_plan, peer_rows, rows_of, trial

from mobilenets.arch import Network
from mobilenets.arch.zoo import FAMILIES
from mobilenets.sweeps import SweepPlan, write_page
from mobilenets.sweeps.law import fit_law, front, groups
from mobilenets.sweeps.page import _dot, _measured
from mobilenets.sweeps.tables import tables


def test_families_have_markers_and_names_of_their_own() -> None:
    row = next(rows_of(paper_plan()))
    dots = [_dot(replace(row, family=family, network=f"{family}-0.5-32"), SIZES, 1e6) for family in FAMILIES if family]
    assert len({dot.marker for dot in dots}) == len({dot.series for dot in dots}) == 4
    assert [dot.label for dot in dots] == [f"{family}-0.5-32" for family in FAMILIES if family]
    assert _dot(row, SIZES, 1e6).label == "" and _dot(row, SIZES, 1e6).marker == "o"


def test_the_front_alone_is_named(tmp_path: Path) -> None:
    plan = paper_plan()
    rows = [
        replace(row, latency_ms=1.0 + at, int8_latency_ms=0.5 + at, int8_top1=0.1)
        for at, row in enumerate(rows_of(plan))
    ]
    svg = _measured(rows, "latency", "ms", 1.0, lambda row: (row.latency_ms, row.int8_latency_ms))
    best = [rows[at].network for at in front([(row.latency_ms or 0, row.top1 or 0) for row in rows])]
    named = [row.network for row in rows if f">{row.network}<" in svg]
    assert best and set(best) <= set(named) and len(set(named)) < len({row.network for row in rows})


def test_law_is_numpys_polyfit() -> None:
    rng = np.random.default_rng(0)
    costs = rng.uniform(1e6, 1e9, 12)
    top1 = 50 + 8 * np.log10(costs / 1e6) + rng.normal(0, 1, 12)
    law = fit_law(list(zip(costs, top1, strict=True)))
    slope, start = np.polyfit(np.log10(costs / 1e6), top1, 1)
    away = top1 - start - slope * np.log10(costs / 1e6)
    assert law is not None
    assert (law.slope, law.at_million) == pytest.approx((slope, start))
    assert law.rms == pytest.approx(np.sqrt(np.mean(away**2)))
    assert law.worst == pytest.approx(np.abs(away).max())
    assert law.explained == pytest.approx(np.corrcoef(np.log10(costs), top1)[0, 1] ** 2)
    assert law.at(1e8) == pytest.approx(start + 2 * slope)


def test_no_law_of_two_costs() -> None:
    assert fit_law([(1e6, 50), (1e6, 51), (2e6, 52)]) is None


def test_front_has_no_point_that_another_betters() -> None:
    points = [(2.0, 60.0), (1.0, 50.0), (1.0, 55.0), (3.0, 58.0), (4.0, 60.0), (5.0, 61.0)]
    assert front(points) == [2, 0, 5]


def test_tables_stand_beside_the_papers() -> None:
    made = {table.title: table for table in tables(groups(list(rows_of(paper_plan()))))}
    assert list(made) == ["Table 4", "Table 5", "Table 6", "Table 7"]
    first, second = (cells for _, cells in made["Table 4"].rows)
    assert first[0] == "conv-1-64" and first[-2:] == ("71.7", "–")
    assert second[0] == "1-64" and second[-2:] == ("70.6", "-1.1") and "(3 seeds)" in second[1]
    assert [cells[0] for _, cells in made["Table 5"].rows] == ["0.75-64", "shallow-1-64"]
    assert [cells[-1] for _, cells in made["Table 6"].rows] == ["–", "-2.2", "-6.9", "-20.0"]
    assert [cells[0] for _, cells in made["Table 7"].rows] == [f"1-{size}" for size in SIZES]
    assert [cells[-2] for _, cells in made["Table 7"].rows] == ["70.6", "69.1", "67.2", "64.4"]


def test_peers_stand_beside_the_mobilenets_of_tables_8_and_9() -> None:
    """Rates on the law of `rows_of`; 0.5 MobileNet is that of the third size."""
    rows = [*rows_of(paper_plan()), *peer_rows({"googlenet": 0.7, "vgg16": 0.72, "squeezenet1_0": 0.5, "alexnet": 0.4})]
    made = {table.title: table for table in tables(groups(rows))}
    eight, nine = made["Table 8"], made["Table 9"]
    assert [cells[0] for _, cells in eight.rows] == ["1-64", "googlenet-64", "vgg16-64"]
    assert [cells[0] for _, cells in nine.rows] == ["0.5-48", "squeezenet1_0-64", "alexnet-64"]
    assert [link for link, _ in nine.rows] == ["trials/0.5-48-seed0/report.html", "", ""]
    assert [cells[-3:] for _, cells in eight.rows] == [
        ("569 M, 4.2 M", "70.6", "–"),
        ("1550 M, 6.8 M", "69.8", "-0.8"),
        ("15300 M, 138 M", "71.5", "+0.9"),
    ]
    assert [cells[-2:] for _, cells in nine.rows] == [("60.2", "–"), ("57.5", "-2.7"), ("57.2", "-3.0")]
    mobilenet = next(row.top1 for row in rows if row.network == "0.5-48") or 0.0
    assert nine.rows[1][1][1:3] == ("50.0", f"{50 - 100 * mobilenet:+.1f}")
    assert "SqueezeNet 1.0 and AlexNet, without batch norm, at 0.02 of its learning rate" in nine.caption


def test_peers_are_in_tables_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With them the law, the figures, the front and the headline are what they are without them."""
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("mobilenets.sweeps.page.cloud", lambda *given, **named: repr((given, named)))
    monkeypatch.setattr("mobilenets.sweeps.page.render", lambda name, context: shown.append(context) or "")
    plan, alone = paper_plan(), list(rows_of(paper_plan()))
    for rows in (alone, [*alone, *peer_rows({"googlenet": 0.99, "squeezenet1_0": 0.01})]):
        write_page(tmp_path, plan, rows)
    without, with_peers = shown
    assert with_peers["plots"] == without["plots"] != []
    assert with_peers["facts"] == without["facts"] != []
    links = {cells[0]: link for link, cells in with_peers["trials"].rows}
    assert links["googlenet-64-seed0"] == "" and links["1-64-seed0"] == "trials/1-64-seed0/report.html"


def test_tables_need_two_networks() -> None:
    one = [row for row in rows_of(paper_plan()) if row.network == "1-64"]
    assert tables(groups(one)) == []


def test_page_is_self_contained_and_links_every_run(tmp_path: Path) -> None:
    plan = paper_plan()
    page = write_page(tmp_path, plan, list(rows_of(plan))).read_text()
    assert not re.findall(r'(?:src|href)="(?:https?:|//)', page)
    for one in plan.trials:
        assert page.count(f'href="trials/{one.name}/report.html"') >= 4, "tables and figures"
    assert "+10.1" in page and "R² 1.000" in page  # the law of `rows_of`, with a second and a third seed
    assert "−2.1" in page.replace("\N{MINUS SIGN}", "−")


def test_page_of_a_sweep_in_which_nothing_finished(tmp_path: Path) -> None:
    plan = SweepPlan("d<b>", "f", (trial(Network(0.25, 32, 32)),))
    row = next(rows_of(plan))
    failed = replace(row, state="failed", note="the loss is nan", top1=None, latency_ms=None, val_top1=None)
    page = write_page(tmp_path, plan, [failed]).read_text()
    assert "0.25-32-seed0 failed: the loss is nan" in page and "d<b>" not in page
