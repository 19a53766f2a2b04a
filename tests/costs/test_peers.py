"""The other networks of Tables 8 and 9: exact counts, and how far the paper's figures are from them."""

import sys

import pytest

from mobilenets.costs.peers import LEAST_SIDE, PEERS, _count
from mobilenets.errors import MissingExtraError

COUNTED = {
    "GoogLeNet": (1_498_376_192, 6_624_904),
    "VGG16": (15_470_264_320, 138_357_544),
    "AlexNet": (714_188_480, 61_100_840),
    "SqueezeNet 1.0": (818_924_576, 1_248_424),
}


PRINTED = {  # arXiv 1704.04861: table, ImageNet accuracy, million mult-adds, million parameters
    "GoogLeNet": ("Table 8", 69.8, 1550, 6.8),
    "VGG16": ("Table 8", 71.5, 15300, 138),
    "AlexNet": ("Table 9", 57.2, 720, 60),
    "SqueezeNet 1.0": ("Table 9", 57.5, 1700, 1.25),
}


def test_counts_are_exact() -> None:
    pytest.importorskip("torchvision")
    assert {peer.name: peer.count() for peer in PEERS.values()} == COUNTED


def test_counts_at_another_size_and_number_of_classes() -> None:
    """SqueezeNet has as many weights at every size; its last convolution has 512 weights and a bias for each class."""
    pytest.importorskip("torchvision")
    mult_adds, params = PEERS["squeezenet1_0"].count(64, 64, 10)
    assert params == COUNTED["SqueezeNet 1.0"][1] - 990 * 513
    assert mult_adds == 49_409_056  # also by hooks on every convolution


def test_the_least_side_is_exact() -> None:
    pytest.importorskip("torchvision")
    assert PEERS["alexnet"].count(LEAST_SIDE, LEAST_SIDE)[0] > 0
    with pytest.raises(RuntimeError, match="too small"):
        PEERS["alexnet"].count(LEAST_SIDE - 1, LEAST_SIDE)


def test_what_the_paper_prints() -> None:
    printed = {
        peer.name: (peer.table, peer.top1, peer.paper_mult_adds_m, peer.paper_params_m) for peer in PEERS.values()
    }
    assert printed == PRINTED


def test_where_the_paper_differs() -> None:
    ratio = {peer.name: COUNTED[peer.name][0] / 1e6 / peer.paper_mult_adds_m for peer in PEERS.values()}
    assert ratio.pop("SqueezeNet 1.0") == pytest.approx(0.5, abs=0.02)
    assert all(0.96 < value < 1.02 for value in ratio.values())
    assert all(0.97 < COUNTED[peer.name][1] / 1e6 / peer.paper_params_m < 1.03 for peer in PEERS.values())


def test_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    _count.cache_clear()
    with pytest.raises(MissingExtraError, match=r"needs torchvision: pip install 'mobilenets\[train\]'"):
        PEERS["alexnet"].count()
