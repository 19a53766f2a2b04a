"""The other networks of Tables 8 and 9: exact counts, and how far the paper's figures are from them."""

import sys

import pytest

from mobilenets.costs.peers import Peer, count_peers
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


@pytest.fixture(scope="module")
def peers() -> tuple[Peer, ...]:
    pytest.importorskip("torchvision")
    return count_peers()


def test_counts_are_exact(peers: tuple[Peer, ...]) -> None:
    assert {peer.name: (peer.mult_adds, peer.params) for peer in peers} == COUNTED


def test_what_the_paper_prints(peers: tuple[Peer, ...]) -> None:
    printed = {peer.name: (peer.table, peer.top1, peer.paper_mult_adds_m, peer.paper_params_m) for peer in peers}
    assert printed == PRINTED


def test_where_the_paper_differs(peers: tuple[Peer, ...]) -> None:
    ratio = {peer.name: peer.mult_adds / 1e6 / peer.paper_mult_adds_m for peer in peers}
    assert ratio.pop("SqueezeNet 1.0") == pytest.approx(0.5, abs=0.02)
    assert all(0.96 < value < 1.02 for value in ratio.values())
    assert all(0.97 < peer.params / 1e6 / peer.paper_params_m < 1.03 for peer in peers)


def test_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtraError, match=r"needs torchvision: pip install 'mobilenets\[train\]'"):
        count_peers()
