"""Weights for another alpha, resolution or number of classes: the least important goes, the new is silent."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import MakeModel

from mobilenets.arch import Network
from mobilenets.arch.network import SHALLOW_BODY, Block
from mobilenets.errors import UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.model import Model
from mobilenets.runtime import Session
from mobilenets.weights.transfer import transfer

WIDE = Network(alpha=0.25, height=40, width=32, classes=5, blocks=SHALLOW_BODY, activation="relu6", padding="same")
LABELS = ("a", "b", "c")


def features(model: Model) -> np.ndarray:
    """(N, channels) that the classifier sees, by a classifier that is the identity."""
    channels = model.weights["fc.weight"].shape[1]
    same = {"fc.weight": np.eye(channels, dtype=np.float32), "fc.bias": np.zeros(channels, np.float32)}
    labels = tuple(map(str, range(channels)))
    network = model.network.replace(classes=channels)
    seen = replace(model, network=network, weights={**model.weights, **same}, labels=labels)
    images = np.random.default_rng(1).integers(0, 256, (3, network.height, network.width, 3), np.uint8)
    return Session.from_onnx(to_onnx(seen)).logits(images)


def test_other_classes_keep_the_body_and_empty_the_classifier(random_model: MakeModel) -> None:
    model = random_model(WIDE)
    moved = transfer(model, WIDE.replace(classes=1000), LABELS)
    assert moved.kept == moved.of and moved.new == 0 and "all" in moved.note
    assert moved.model.labels == LABELS and moved.model.network.classes == 3
    for name, array in moved.model.weights.items():
        assert (not array.any()) if name.startswith("fc.") else np.array_equal(array, model.weights[name])


def test_another_resolution_changes_no_weight(random_model: MakeModel) -> None:
    model = random_model(WIDE)
    moved = transfer(model, WIDE.replace(height=64, width=96), model.labels).model
    assert (moved.preprocess.height, moved.preprocess.width) == (64, 96)
    assert all(np.array_equal(moved.weights[name], model.weights[name]) for name in moved.weights if "fc" not in name)


@pytest.mark.parametrize("folded", [False, True])
def test_a_narrower_network_leaves_out_what_matters_least(random_model: MakeModel, folded: bool) -> None:
    """Half of the channels of every layer are silenced: without them the network says the same."""
    model = random_model(WIDE)
    narrow = WIDE.replace(alpha=0.125)
    weights = {name: array.copy() for name, array in model.weights.items()}
    kept: dict[str, np.ndarray] = {}
    rng = np.random.default_rng(3)
    for i in range(9):
        name = f"pw{i}" if i else "conv0"
        count = len(weights[f"{name}.weight"])
        silent = rng.permutation(count)[: count // 2]
        kept[name] = np.setdiff1d(np.arange(count), silent)
        weights[f"{name}_bn.weight"][silent] = 1e-9 * (not folded) + folded
        for norm in [f"{name}_bn", f"dw{i + 1}_bn"][: 2 if i < 8 else 1]:  # nor does a constant come from them
            weights[f"{norm}.bias"][silent] = 0
            weights[f"{norm}.running_mean"][silent] = 0
        if folded:
            weights[f"{name}.weight"][silent] *= 1e-9
    data = {"imported": {"folded": folded}}
    silenced = Model(WIDE, weights, model.preprocess, model.labels, data=data)
    moved = transfer(silenced, narrow, model.labels)
    assert (moved.kept, moved.of, moved.new) == (sum(map(len, kept.values())), 2 * moved.kept, 0)
    assert f"{moved.kept} of {moved.of} channels kept" in moved.note
    np.testing.assert_allclose(features(moved.model), features(silenced)[:, kept["pw8"]], rtol=1e-3, atol=1e-4)


def test_a_wider_network_says_at_first_what_the_narrow_one_said(random_model: MakeModel) -> None:
    model = random_model(WIDE)
    moved = transfer(model, WIDE.replace(alpha=0.4), model.labels)
    assert moved.kept == moved.of and moved.new > 0 and f"{moved.new} new" in moved.note
    channels = model.weights["fc.weight"].shape[1]
    wide = features(moved.model)
    np.testing.assert_allclose(wide[:, :channels], features(model), rtol=1e-4, atol=1e-5)
    fresh = moved.model.weights["pw3.weight"]
    assert (
        fresh[len(model.weights["pw3.weight"]) :].any() and not fresh[:, model.weights["pw3.weight"].shape[1] :].any()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 1}, r"channels \(=1\): the trained network has 3"),
        ({"convolution": "full"}, r"convolution \(='full'\): the trained network has 'separable'"),
        ({"blocks": Network().blocks}, "has 8 blocks, the wanted one 13"),
    ],
)
def test_another_make_is_refused(change: dict, message: str, random_model: MakeModel) -> None:
    with pytest.raises(UsageError, match=message):
        transfer(random_model(WIDE), WIDE.replace(**change), LABELS)


def test_a_width_at_which_blocks_have_other_convolutions_is_refused(random_model: MakeModel) -> None:
    """At alpha 0.25 the block takes as many channels as it expands to, and needs no convolution for that."""
    block = Block(1, 16, expansion=24)
    network = Network(1.0, 32, 32, classes=3, stem=16, blocks=(block,), rounding="multiple_of_8")
    with pytest.raises(UsageError, match=r"alpha \(=0.25\): the blocks have other convolutions"):
        transfer(random_model(network), network.replace(alpha=0.25), LABELS)
