"""The paper's rows and the way networks are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.arch import PAPER, named
from mobilenets.arch.network import BODY, SHALLOW_BODY, Block, Network
from mobilenets.errors import NetworkError


def test_the_body_is_table_1() -> None:
    rows = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024)]
    assert tuple(Block(*row) for row in rows) == BODY


def test_the_shallow_body_lacks_the_five_14x14x512_blocks() -> None:
    assert BODY[:6] + BODY[11:] == SHALLOW_BODY


@pytest.mark.parametrize(
    ("name", "table", "top1", "mult_adds_m", "params_m"),
    [
        ("conv-1-224", "Table 4", 71.7, 4866, 29.3),
        ("1-224", "Tables 4, 6, 7, 8", 70.6, 569, 4.2),
        ("0.75-224", "Tables 5, 6", 68.4, 325, 2.6),
        ("shallow-1-224", "Table 5", 65.3, 307, 2.9),
        ("0.5-224", "Table 6", 63.7, 149, 1.3),
        ("0.25-224", "Table 6", 50.6, 41, 0.5),
        ("1-192", "Table 7", 69.1, 418, 4.2),
        ("1-160", "Table 7", 67.2, 290, 4.2),
        ("1-128", "Table 7", 64.4, 186, 4.2),
        ("0.5-160", "Table 9", 60.2, 76, 1.32),
    ],
)
def test_paper_rows(name: str, table: str, top1: float, mult_adds_m: float, params_m: float) -> None:
    (row,) = (row for row in PAPER if row.network == named(name))
    assert (row.table, row.top1, row.network.name) == (table, top1, name)
    assert (row.mult_adds_m, row.params_m) == (mult_adds_m, params_m)


def test_the_paper_has_no_other_row() -> None:
    assert len(PAPER) == 10


@given(
    st.integers(1, 16000),
    st.integers(32, 8192),
    st.integers(32, 8192),
    st.sampled_from(["separable", "full"]),
    st.sampled_from([BODY, SHALLOW_BODY]),
)
def test_names_round_trip(thousandths: int, height: int, width: int, convolution: str, blocks: tuple) -> None:
    network = Network(thousandths / 1000, height, width, convolution=convolution, blocks=blocks)
    assert named(network.name) == network


def test_ways_to_write_a_network() -> None:
    assert named(".5-160") == named("0.50-160") == named("0.5-160x160") == Network(0.5, 160, 160)
    assert named("1.0-224x96") == Network(1.0, 224, 96)
    assert named("conv-shallow-1-224") == Network(convolution="full", blocks=SHALLOW_BODY)


@pytest.mark.parametrize(
    "name",
    [
        *("", "0.5", "160", "0.5_160", "a-160", "-0.5-160", "0.5-160x", "0.5-160 ", "0.5-160\n", " 0.5-160"),
        *("0.5-x160", "0.5-160-3", "shallow-conv-1-224", "0-160", "17-160", "0.5-31", "0.5-8193"),
        *("1-" + "9" * 5000, "9" * 5000 + "-224"),
    ],
)
def test_refused_names(name: str) -> None:
    with pytest.raises(NetworkError) as caught:
        named(name)
    assert "\n" not in str(caught.value)
