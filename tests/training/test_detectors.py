"""Table 13."""

import json

import pytest

from mobilenets.cli import main
from mobilenets.training.detectors import Detector, count_detectors

Rows = tuple[Detector, ...]
BLOCKS = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024))  # Table 1


@pytest.fixture(scope="module")
def rows() -> Rows:
    return count_detectors()


def test_the_paper_s_figures_come_out(rows: Rows) -> None:
    """All printed digits, but for SSD's first map: 0.07 M parameters and 0.05 G mult-adds more."""
    for row in rows:
        if row.paper_mult_adds_g is None or row.paper_params_m is None:
            continue
        assert row.mult_adds / 1e9 == pytest.approx(row.paper_mult_adds_g, abs=0.06)
        assert row.params / 1e6 == pytest.approx(row.paper_params_m, abs=0.07)


def separable(size: int, channels: int, blocks: tuple[tuple[int, int], ...]) -> int:
    """Mult-adds of depthwise and pointwise convolutions on a square map, from the second block's input on."""
    total = 0
    for stride, out in blocks:
        size = -(-size // stride)
        total += size**2 * channels * (9 + out)
        channels = out
    return total


def test_faster_rcnn_is_counted_as_by_hand(rows: Rows) -> None:
    """Eleven blocks below the proposals, twelve anchors a cell; two blocks and two layers for each of 300 regions."""
    counted = {row.name: row.mult_adds for row in rows}
    for side, cells in ((300, 19), (600, 38)):
        half = -(-side // 2)
        below = half**2 * 27 * 32 + separable(half, 32, BLOCKS[:11])
        proposals = cells**2 * 512 * (9 * 512 + 12 * 5)
        region = separable(14, 512, BLOCKS[11:]) + 1024 * 91 * 5
        assert counted[f"Faster R-CNN {side}"] == below + proposals + 300 * region


def test_ssdlite_is_smaller(rows: Rows) -> None:
    ssd, lite = rows[:2]
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
