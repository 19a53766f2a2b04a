"""Transfer of V2, V3 and V4: residual sums and gates keep consistent channels."""

import numpy as np
import pytest
from conftest import MakeModel
from test_transfer import LABELS, features

from mobilenets.arch import Graph, Network, expand, named
from mobilenets.arch.network import Block
from mobilenets.arch.ops import CONVOLUTIONS
from mobilenets.model import Model
from mobilenets.weights.transfer import _groups, transfer

# a network, and a wider one
FAMILIES = {
    "v2": (named("v2-0.35-64"), 0.5),
    "v3": (named("v3-small-0.75-64"), 1.0),
    "minimalistic": (named("v3-small-minimalistic-0.75-64"), 1.0),
    "v4": (named("v4-conv-small-0.25-64"), 0.35),
}


def grouped(graph: Graph) -> dict[str, str]:
    return _groups(graph, {op.name for op in graph.ops if op.kind == "add"})


@pytest.mark.parametrize("family", FAMILIES)
def test_all_but_the_classifier_is_kept(family: str, random_model: MakeModel) -> None:
    network, _ = FAMILIES[family]
    model = random_model(network.replace(classes=5))
    moved = transfer(model, network.replace(height=96), LABELS)
    assert moved.kept == moved.of and moved.new == 0
    for name, array in moved.model.weights.items():
        assert (not array.any()) if name.startswith("fc.") else np.array_equal(array, model.weights[name])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wider_network_computes_the_same_features(family: str, random_model: MakeModel) -> None:
    network, wider = FAMILIES[family]
    model = random_model(network.replace(classes=3))
    moved = transfer(model, network.replace(alpha=wider), LABELS)
    assert moved.kept == moved.of and moved.new > 0
    expected = features(model)
    found = features(moved.model)[:, : expected.shape[1]]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def silenced(model: Model, counts: dict[str, int]) -> Model:
    """Return `model` with all but `counts` channels of each group of layers set to zero, one choice per group."""
    weights = {name: array.copy() for name, array in model.weights.items()}
    groups, rng, silent = grouped(model.graph), np.random.default_rng(3), {}
    for op in model.graph.ops:
        if op.kind not in CONVOLUTIONS:
            continue
        group, channels = groups[op.name], op.shape_out[2]
        if group not in silent:
            silent[group] = rng.permutation(channels)[: max(0, channels - counts[group])]
        if op.bias:  # of a gate and of the hidden layer
            weights[f"{op.name}.weight"][silent[group]] = 0
            weights[f"{op.name}.bias"][silent[group]] = 0
            continue
        weights[f"{op.name}_bn.weight"][silent[group]] = 1e-9
        weights[f"{op.name}_bn.bias"][silent[group]] = weights[f"{op.name}_bn.running_mean"][silent[group]] = 0
    return Model(model.network, weights, model.preprocess, model.labels)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_narrower_network_leaves_out_silent_channels(family: str, random_model: MakeModel) -> None:
    """Its features are those of the wide one, except for columns that are zero there."""
    narrow, wide = FAMILIES[family]
    graph = expand(narrow)
    groups = grouped(graph)
    counts = {groups[op.name]: op.shape_out[2] for op in graph.ops if op.kind in CONVOLUTIONS}
    model = silenced(random_model(narrow.replace(alpha=wide, classes=3)), counts)
    moved = transfer(model, narrow, LABELS)
    assert moved.new == 0 and moved.kept == sum(counts.values()) and moved.kept < moved.of
    expected, found = features(model), features(moved.model)
    if found.shape != expected.shape:
        expected = expected[:, np.sort(np.argsort(-np.abs(expected).max(0))[: found.shape[1]])]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_ops_of_one_residual_sum_are_one_group() -> None:
    blocks = (Block(1, 24, expansion=48), Block(1, 24, expansion=48, gate=8, residual=True), Block(2, 32))
    groups = grouped(expand(Network(1.0, 32, 32, stem=16, blocks=blocks)))
    together = {name for name, group in groups.items() if group == "pw1"}
    assert together == {"pw1", "pw1_bn", "pw2", "pw2_bn", "add2", "dw3", "dw3_bn", "dw3_act"}
    gated = ("ex2", "dw2", "gate2_pool", "gate2_excite", "gate2")
    assert {groups[name] for name in gated} == {"ex2"} and groups["gate2_squeeze"] == "gate2_squeeze"


def test_residual_sums_that_one_of_the_networks_has_are_named(random_model: MakeModel) -> None:
    """At alpha 0.5 the seventh block gives as many channels as it takes, at 1.0 more."""
    wide, narrow = (named(f"v3-small-{alpha}-32").replace(classes=3) for alpha in ("1.0", "0.5"))
    for trained, wanted in ((wide, narrow), (narrow, wide)):
        moved = transfer(random_model(trained), wanted, LABELS)
        assert moved.sums == ("add7",) and moved.note.endswith("; other residual sums: add7")
        assert expand(moved.model.network) == expand(wanted)


def test_the_hidden_layer_of_a_body_is_new(random_model: MakeModel) -> None:
    network = named("v3-small-0.5-32").replace(classes=3)
    body = random_model(network.replace(output="features", classes=1))
    moved = transfer(body, network, LABELS)
    assert moved.kept == moved.of and moved.new == network.hidden
    assert moved.model.weights["hidden.weight"].std() == pytest.approx((2 / 288) ** 0.5, rel=0.02)
    back = transfer(moved.model, network.replace(output="features"), ("features",))
    assert back.model.digest() == body.digest()
