"""Table 13."""

import json

import pytest

from mobilenets.cli import main
from mobilenets.train.detectors import count_detectors


def test_the_paper_s_figures_come_out() -> None:
    """All printed digits, but for SSD's first map: 0.07 M parameters and 0.05 G mult-adds more."""
    for row in count_detectors():
        if row.paper_mult_adds_g is None or row.paper_params_m is None:
            continue
        assert row.mult_adds / 1e9 == pytest.approx(row.paper_mult_adds_g, abs=0.06)
        assert row.params / 1e6 == pytest.approx(row.paper_params_m, abs=0.07)


def test_ssdlite_is_smaller() -> None:
    ssd, lite = count_detectors()[:2]
    assert lite.params < 0.8 * ssd.params and lite.mult_adds < ssd.mult_adds


def test_describe_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--task", "detect", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["rows"]] == [
        "SSD 300",
        "SSDLite 300",
        "Faster R-CNN 300",
        "Faster R-CNN 600",
    ]
    assert main(["describe", "--task", "detect"]) == 0
    assert "25.22" in capsys.readouterr().out
