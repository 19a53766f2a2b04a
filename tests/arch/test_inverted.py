"""Inverted residual blocks, gates and hard swish as data: ops, costs and memory by hand, JSON, what cannot be."""

import pytest
from conftest import make_random_model
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.arch.graph import expand
from mobilenets.arch.network import Block, Network
from mobilenets.costs import cost
from mobilenets.costs.memory import lifetimes, peak_elements
from mobilenets.errors import NetworkError
from mobilenets.model import load

GATED = Network(
    1.0, 64, 48, stem=16, blocks=(Block(2, 40, kernel=5, expansion=96, gate=24),), activation="hard_swish", classes=7
)


def test_the_ops_of_a_block() -> None:
    graph = expand(Network(1.0, 32, 32, stem=8, blocks=(Block(1, 8, expansion=24, residual=True, gate=4),), classes=2))
    assert [op.name for op in graph.ops if op.kind not in ("batch_norm", "relu")] == [
        *("image", "conv0", "ex1", "dw1", "gate1_pool", "gate1_squeeze", "gate1_excite", "gate1_excite_act", "gate1"),
        *("pw1", "add1", "pool", "fc", "softmax"),
    ]
    assert [graph.ops[i].name for i in graph.op("add1").inputs] == ["pw1_bn", "conv0_act"]
    assert [graph.ops[i].name for i in graph.op("gate1").inputs] == ["dw1_act", "gate1_excite_act"]
    assert "pw1_act" not in {op.name for op in graph.ops}  # the projection is linear (Sandler et al. 2018, 3.2)


def test_costs_by_hand() -> None:
    """16x16x8 in: to 24 channels, 3x3 of each, a gate by 4, back to 8."""
    found = cost(Network(1.0, 32, 32, stem=8, blocks=(Block(1, 8, expansion=24, residual=True, gate=4),), classes=2))
    layers = {layer.name: (layer.mult_adds, layer.params) for layer in found.layers}
    assert layers["ex1"] == (256 * 8 * 24, 8 * 24 + 2 * 24)
    assert layers["dw1"] == (256 * 9 * 24, 9 * 24 + 2 * 24)
    assert layers["gate1_squeeze"] == (24 * 4, 24 * 4 + 4)
    assert layers["gate1_excite"] == (24 * 4, 24 * 4 + 24)
    assert layers["gate1"] == layers["add1"] == (0, 0)
    assert layers["pw1"] == (256 * 24 * 8, 24 * 8 + 2 * 8)


def test_what_the_block_takes_is_kept_until_it_is_added() -> None:
    graph = expand(Network(1.0, 32, 32, stem=8, blocks=(Block(1, 8, expansion=24, residual=True),), classes=2))
    names = [op.name for op in graph.ops]
    kept = next(buffer for buffer in lifetimes(graph) if buffer.first == names.index("conv0"))
    assert kept.last == names.index("add1")
    assert peak_elements(graph) == 256 * (8 + 24 + 24)  # it, and input and output of the depthwise convolution


def test_a_file_gives_back_the_blocks(tmp_path) -> None:
    model = make_random_model(GATED)
    assert load(model.save(tmp_path / "m.safetensors")).network == model.network


@given(
    st.builds(
        Block,
        stride=st.sampled_from([1, 2]),
        channels=st.integers(1, 40),
        kernel=st.sampled_from([3, 5]),
        expansion=st.sampled_from([0, 16, 60]),
        gate=st.sampled_from([0, 0, 5]),
        activation=st.sampled_from([None, "relu", "relu6", "hard_swish"]),
    ),
    st.sampled_from(["symmetric", "same", "keras"]),
    st.sampled_from([0.3, 1.0]),
)
def test_json_gives_back_any_block(block: Block, padding: str, alpha: float) -> None:
    network = Network(alpha, 32, 40, stem=16, blocks=(block,), padding=padding)
    assert Network.from_json(network.to_json()) == network
    assert cost(network).mult_adds > 0


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"kernel": 4}, "block 2: kernel (=4) must be 3 or 5, or 0 for no convolution"),
        ({"start": 1}, "block 2: start (=1) must be 3 or 5"),
        ({"start": 3}, "block 2: start (=3) needs an expansion"),
        ({"kernel": 0, "stride": 2}, "block 2: a block without a depthwise convolution needs stride 1"),
        ({"fused": True, "kernel": 5}, "block 2: a fused block has a 3x3 kernel, no gate and no start"),
        ({"fused": True, "gate": 8}, "block 2: a fused block has"),
        ({"fused": 1}, "block 2: fused (=1) must be true or false"),
        ({"residual": True, "stride": 2, "channels": 16}, "a residual needs stride 1"),
        ({"residual": 1}, "block 2: residual (=1) must be true or false"),
        ({"gate": -1}, "block 2: gate (=-1)"),
        ({"expansion": 1.5}, "block 2: expansion (=1.5)"),
        ({"activation": "swish"}, "block 2: activation (='swish') must be one of relu, relu6, hard_swish, or null"),
    ],
)
def test_blocks_that_cannot_be(values: dict, rule: str) -> None:
    with pytest.raises(NetworkError) as found:
        Network(blocks=(Block(1, 16), Block(**{"stride": 1, "channels": 24, **values})))
    assert rule in str(found.value)


def test_a_network_of_full_convolutions_has_plain_blocks_only() -> None:
    with pytest.raises(NetworkError, match="has stride and channels only"):
        Network(convolution="full", blocks=(Block(1, 16, kernel=5),))
