"""Recognising: a random network, said in any way that a file may say it, comes back as the same function."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from chains import classifier, norm, ones, paper, pool, tiny
from conftest import make_random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets.arch.fold import fold_batch_norm
from mobilenets.arch.graph import same_padding
from mobilenets.arch.network import BODY, SHALLOW_BODY, Block, Network
from mobilenets.arch.ops import CONVOLUTIONS, Op
from mobilenets.data.imagenet import names as imagenet_names
from mobilenets.errors import ModelFileError, NetworkError, UsageError
from mobilenets.model import Model
from mobilenets.weights.layers import Content, FileLayer, Norm, chain
from mobilenets.weights.recognise import Given, Imported, recognise

ALPHAS = (0.1, 0.25, 0.35, 0.5, 0.75, 1.0, 1.25)

own_blocks = st.lists(st.builds(Block, st.integers(1, 2), st.integers(1, 40)), min_size=1, max_size=5).map(tuple)
networks = st.builds(
    Network,
    alpha=st.sampled_from(ALPHAS),
    height=st.integers(32, 80),
    width=st.integers(32, 80),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 7),
    stem=st.sampled_from([32, 32, 5]),
    blocks=st.one_of(own_blocks, st.sampled_from([BODY, SHALLOW_BODY])),
    head=st.sampled_from([0, 0, 1024, 40]),
    activation=st.sampled_from(["relu", "relu6"]),
    padding=st.sampled_from(["symmetric", "same", "keras"]),
    epsilon=st.sampled_from([1e-5, 1e-3, 0.3]) | st.floats(1e-6, 1.0),
    rounding=st.sampled_from(["floor", "multiple_of_8"]),
)


@dataclass(frozen=True)
class Saying:
    """What a file says, and how."""

    strides: bool  # not saying them is for the paper's depths
    padding: str  # "pixels", "same" where it is, "nothing"
    activation: bool
    size: bool
    norms: str  # "plain", "folded", "with bias", "another epsilon each", "mixed": some folded, "epsilon unsaid"
    pointwise_classifier: bool
    pool: bool
    pixels: bool


sayings = st.builds(
    Saying,
    strides=st.booleans(),
    padding=st.sampled_from(["pixels", "same", "nothing"]),
    activation=st.booleans(),
    size=st.booleans(),
    norms=st.sampled_from(["plain", "folded", "with bias", "another epsilon each", "mixed", "epsilon unsaid"]),
    pointwise_classifier=st.booleans(),
    pool=st.booleans(),
    pixels=st.booleans(),
)


def said(model: Model, how: Saying, seed: int = 0) -> tuple[Content, Given]:
    """`model` as a reader would hand it on, and what the user has to add."""
    rng, network = np.random.default_rng(seed), model.network
    strides = how.strides or network.blocks not in (BODY, SHALLOW_BODY)
    folded = fold_batch_norm(model.graph, model.weights)[1]
    layers = []
    for op in model.graph.ops:
        if op.kind not in CONVOLUTIONS:
            continue
        known: dict[str, Any] = {"stride": op.stride} if strides else {}
        if how.padding != "nothing":
            known["padding"] = "same" if how.padding == "same" and is_same(op) else op.padding
        if how.activation:
            known["activation"] = network.activation
        plain = how.norms == "folded" or (how.norms == "mixed" and rng.integers(2) and op.name != "conv0")
        arrays = {"weight": folded[f"{op.name}.weight"], "bias": folded[f"{op.name}.bias"]}
        layers.append(
            FileLayer(op.kind, op.name, **(arrays if plain else unfolded(model, op, how.norms, rng)), **known)
        )
    if how.pool or how.pointwise_classifier:
        layers.append(FileLayer("pool", "pool"))
    weight, bias = model.weights["fc.weight"], model.weights["fc.bias"]
    if how.pointwise_classifier:
        layers.append(FileLayer("pointwise", "fc", weight[:, :, None, None], bias))
    else:
        layers.append(FileLayer("fully_connected", "fc", weight, bias))
    size, pixels = (network.height, network.width), (127.5, 127.5)
    added = Given(
        size=None if how.size else size,
        pixels=None if how.pixels else pixels,
        activation=None if how.activation else network.activation,
        padding=network.padding if how.padding == "nothing" else None,
        epsilon=network.epsilon if how.norms == "epsilon unsaid" else None,
    )
    content = Content("Test", tuple(layers), size if how.size else None, pixels if how.pixels else None)
    return content, added


def is_same(op: Op) -> bool:
    pads = [same_padding(size, op.kernel, op.stride) for size in op.shape_in[:2]]
    return op.padding == (pads[0][0], pads[1][0], pads[0][1], pads[1][1])


def unfolded(model: Model, op: Op, how: str, rng: np.random.Generator) -> dict[str, Any]:
    """Kernel, bias and batch norm; the same function in other arrays."""
    gamma, beta, mean, var = (
        model.weights[f"{op.name}_bn.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    bias, epsilon = None, model.network.epsilon
    if how == "with bias":
        bias = rng.normal(size=mean.shape).astype(np.float32)
        mean = mean + bias
    if how == "another epsilon each":
        other = float(rng.choice([1e-5, 1e-3, 0.1]))
        gamma = (gamma * np.sqrt((var + other) / (var + epsilon))).astype(np.float32)
        epsilon = other
    batch_norm = Norm(gamma, beta, mean, var, None if how == "epsilon unsaid" else epsilon)
    return {"weight": model.weights[f"{op.name}.weight"], "bias": bias, "norm": batch_norm}


@settings(max_examples=75)
@given(networks, sayings)
def test_the_same_function_comes_back(network: Network, how: Saying) -> None:
    model = make_random_model(network)
    imported = recognise(*said(model, how)).model
    assert_same_function(imported, model)
    if network.blocks in (BODY, SHALLOW_BODY) and network.stem == 32 and network.head in (0, 1024):
        assert (imported.network.alpha, imported.network.blocks) == (network.alpha, network.blocks)
    if how.norms not in ("folded", "another epsilon each"):
        assert imported.network.epsilon == network.epsilon


def assert_same_function(one: Model, other: Model) -> None:
    (graph, weights), (graph_2, weights_2) = (fold_batch_norm(model.graph, model.weights) for model in (one, other))
    assert graph.ops == graph_2.ops
    for name, array in weights_2.items():
        largest = float(np.abs(array).max())
        np.testing.assert_allclose(weights[name], array, rtol=1e-4, atol=1e-5 * largest + 1e-7)
    assert one.preprocess == other.preprocess


def imported(layers: list[FileLayer], given: Given | None = None, **content: Any) -> Imported:
    known = {"size": (64, 64), "pixels": (0.0, 255.0), **content}
    return recognise(Content("Test", tuple(layers), **known), given)


SAID = {"activation": "relu", "padding": "same"}


def test_everything_that_is_missing_is_asked_for_at_once() -> None:
    layers = [*tiny()[:3], classifier(5, 12)]
    layers[0] = replace(layers[0], norm=norm(8, epsilon=None))
    with pytest.raises(UsageError) as caught:
        recognise(Content("Test", tuple(layers)))
    assert str(caught.value) == (
        "the file does not say the image size (--img-size); nor the activation (--activation relu or relu6); nor batch "
        "norm's epsilon (--epsilon); nor how pixels become its input (--mean 127.5 --std 127.5 for [-1, 1], --mean 0 "
        "--std 255 for [0, 1]); nor the padding (--padding symmetric, same or keras): flags of mobilenets import"
    )


def test_who_answers() -> None:
    """The user before the file, the file before the conventions of its makers."""
    layers = tiny(activation="relu")
    conventions = {"size": (96, 96), "activation": "relu6", "padding": "keras", "pixels": (1, 2)}
    content = Content("Test", tuple(layers), size=(64, 64), maker="somebody", conventions=conventions)
    facts = recognise(content, Given(pixels=(0, 255))).facts
    assert {fact.name: (fact.value, fact.source) for fact in facts} == {
        "format": ("Test", "the file"),
        "alpha": ("1, with widths of its own", "the widths"),
        "size": ("64x64", "the file"),
        "activation": ("relu", "the file"),
        "pixels": ("(pixel - 0) / 255", "you"),
        "padding": ("keras", "convention of somebody"),
        "labels": ("5: 0, 1, 2, ...", "none: numbers (--labels FILE names them)"),
        "batch norm": ("folded into the convolutions", "the file"),
        "fit": ("crop", "assumed, the file does not say (--fit)"),
        "crop": ("0.875", "assumed, the file does not say (--crop)"),
        "resize": ("bilinear", "assumed, the file does not say (--resize)"),
    }


def test_what_is_given_goes_before_what_the_file_says() -> None:
    given = Given(size=(32, 48), pixels=(1, 2), activation="relu6", padding="keras", epsilon=0.01)
    model = imported(tiny(**SAID), given).model
    assert (model.network.height, model.network.width, model.network.activation) == (32, 48, "relu6")
    assert (model.network.padding, model.network.epsilon) == ("keras", 0.01)
    assert (model.preprocess.mean, model.preprocess.std) == (1, 2)


def test_an_epsilon_of_0_is_restated() -> None:
    layers = tiny(**SAID)
    layers[1] = replace(layers[1], norm=replace(norm(8, 0.0), var=ones(8) / 4, gamma=ones(8)))
    model = imported(layers).model
    assert model.network.epsilon == 1e-3
    np.testing.assert_allclose(fold_batch_norm(model.graph, model.weights)[1]["dw1.weight"], 2.0, rtol=1e-6)


def test_padding_in_pixels_names_the_layer_that_follows_no_rule() -> None:
    layers = tiny(activation="relu", padding=(1, 1, 1, 1))
    layers[2] = replace(layers[2], padding="valid")
    assert imported(layers).model.network.padding == "symmetric"
    layers[1] = replace(layers[1], padding=(2, 1, 0, 1))
    with pytest.raises(ModelFileError) as caught:
        imported(layers)
    assert str(caught.value) == (
        "layer 2, dw: padding (2, 1, 0, 1) (top, left, bottom, right) on (32, 32) follows no rule of a MobileNet"
    )
    layers[1] = replace(layers[1], padding="valid")
    with pytest.raises(ModelFileError, match=r"layer 2, dw: padding valid .* on \(32, 32\) follows no rule"):
        imported(layers)


@pytest.mark.parametrize(
    ("at", "activation", "message"),
    [
        (1, "none", "layer 2, dw: no ReLU or ReLU6 follows it, as in a MobileNet"),
        (0, "tanh", "layer 1, stem: no ReLU or ReLU6 follows it, as in a MobileNet"),
        (2, None, "layer 3, pw: no ReLU or ReLU6 follows it, as in a MobileNet"),
        (1, "relu6", "pw: relu, where dw has relu6"),
    ],
)
def test_activations(at: int, activation: str | None, message: str) -> None:
    layers = tiny(**SAID)
    layers[at] = replace(layers[at], activation=activation)
    with pytest.raises(ModelFileError) as caught:
        imported(layers)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": replace(norm(8), var=-ones(8))}, "dw: its batch norm has negative variances"),
        ({"norm": norm(7)}, r"dw: \(7,\) values for 8 channels"),
        ({"norm": replace(norm(8), gamma=ones(1))}, r"dw: \(1,\) values for 8 channels"),
        ({"bias": ones(9)}, r"dw: \(9,\) values for 8 channels"),
        ({"bias": ones(2, 4)}, r"dw: \(2, 4\) values for 8 channels"),
        ({"bias": ones(9), "norm": norm(8)}, r"dw: \(9,\) values for 8 channels"),
        ({"weight": np.full((8, 1, 3, 3), np.nan, np.float32)}, "dw1.weight holds values that are not finite"),
        ({"bias": np.full(8, np.inf, np.float32)}, "dw1_bn.bias holds values that are not finite"),
        ({"norm": replace(norm(8), mean=ones(8) * np.nan)}, "dw1_bn.running_mean holds values that are not finite"),
        ({"norm": replace(norm(8), var=ones(8) * np.nan)}, "dw1_bn.running_var holds values that are not finite"),
        ({"norm": replace(norm(8, 0.0), var=0 * ones(8))}, "dw1_bn.weight holds values that are not finite"),
    ],
)
def test_arrays(change: dict[str, Any], message: str) -> None:
    layers = tiny(**SAID)
    layers[0], layers[1] = replace(layers[0], norm=norm(8)), replace(layers[1], **change)
    with pytest.raises(ModelFileError, match=message):
        imported(layers)


def test_the_classifiers_arrays() -> None:
    layers = tiny(**SAID)
    with pytest.raises(ModelFileError, match=r"fc: a bias of shape \(4,\) for 5 outputs"):
        imported([*layers[:-1], replace(layers[-1], bias=ones(4))])
    with pytest.raises(ModelFileError, match=r"fc\.weight holds values that are not finite"):
        imported([*layers[:-1], replace(layers[-1], weight=ones(5, 12) * np.inf)])
    assert not imported(layers).model.weights["fc.bias"].any()  # none stands in the file


WORDS = tuple(f"word {i}" for i in range(1000))


@pytest.mark.parametrize("source", ["you", "the file"])
@pytest.mark.parametrize(
    ("outputs", "labels", "classes", "first", "background"),
    [
        (1001, None, 1000, "tench", True),
        (1001, WORDS, 1000, "word 0", True),
        (1001, ("background", *WORDS), 1000, "word 0", True),
        (1001, (" Dummy ", *WORDS), 1000, "word 0", True),
        (1001, ("zero", *WORDS), 1001, "zero", False),
        (1000, None, 1000, "tench", False),
        (1000, WORDS, 1000, "word 0", False),
        (7, None, 7, "0", False),
        (2, ("cat", "dog"), 2, "cat", False),
    ],
)
def test_outputs(
    outputs: int, labels: tuple[str, ...] | None, classes: int, first: str, background: bool, source: str
) -> None:
    """The rule of 1001 outputs: the first is the background, unless 1001 labels say otherwise."""
    layers = tiny(outputs, **SAID)
    rows = np.arange(outputs, dtype=np.float32)
    layers[-1] = replace(layers[-1], weight=np.repeat(rows[:, None], 12, 1), bias=rows)
    if source == "you":
        found = imported(layers, Given(labels=labels))
    else:
        found = imported(layers, labels=labels)
    model = found.model
    assert (model.network.classes, len(model.labels), model.labels[0]) == (classes, classes, first)
    assert model.weights["fc.weight"].shape == (classes, 12)
    assert model.weights["fc.bias"].tolist() == rows[background:].tolist()
    facts = {fact.name: fact.source for fact in found.facts}
    assert ("outputs" in facts) == background
    if labels:
        assert facts["labels"] == source


@pytest.mark.parametrize("ends", [None, "sigmoid"])
@pytest.mark.parametrize("labels", [None, ("no", "yes")])
def test_one_logit_is_two_classes(ends: str | None, labels: tuple[str, ...] | None) -> None:
    """Their softmax is the sigmoid of the one logit."""
    found = imported([*tiny(1, **SAID)], ends=ends, labels=labels)
    model = found.model
    assert (model.network.classes, model.labels) == (2, labels or ("0", "1"))
    assert model.weights["fc.weight"].tolist() == [[0.0] * 12, [1.0] * 12]
    assert model.weights["fc.bias"].tolist() == [0.0, 0.0]
    assert {fact.name: fact.value for fact in found.facts}["outputs"].startswith("2: the one logit z")


@pytest.mark.parametrize(
    ("outputs", "ends", "message"),
    [
        (1, "softmax", "fc: a softmax of one output is always 1: at least two classes are needed"),
        (2, "sigmoid", "fc: sigmoids of 2 outputs, of which any number may be true: a classifier has a softmax"),
    ],
)
def test_ends_that_are_no_classification(outputs: int, ends: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=f"^{message}$"):
        imported(tiny(outputs, **SAID), ends=ends)


def test_one_logit_takes_two_labels() -> None:
    with pytest.raises(UsageError, match="1 labels for a network of 2 classes"):
        imported(tiny(1, **SAID), labels=("yes",))


@pytest.mark.parametrize(
    ("head", "left"),
    [
        ([], ()),
        ([pool()], ()),
        ([pool(), classifier(9, 256, activation="relu6"), classifier(3, 9)], ("fc", "fc")),
        ([pool(), classifier(9, 256), classifier(3, 9)], ("fc", "fc")),
    ],
)
def test_a_body_is_taken_where_its_head_is_not_one_classifier(head: list[FileLayer], left: tuple[str, ...]) -> None:
    content = Content("Test", (*paper(**SAID)[:-2], *head), (64, 64), (0.0, 255.0))
    with pytest.raises(ModelFileError):
        recognise(content)
    found = recognise(content, body_only=True)
    assert (found.model.network.output, found.model.network.alpha, found.left) == ("features", 0.25, left)
    assert found.model.weights.keys() == {k for k in imported(paper(**SAID)).model.weights if not k.startswith("fc.")}


def test_half_a_body_is_none() -> None:
    content = Content("Test", tuple(paper(**SAID)[:11]), (64, 64), (0.0, 255.0))
    with pytest.raises(ModelFileError, match="it ends with pw5, before the classifier"):
        recognise(content, body_only=True)


@pytest.mark.parametrize("given", [Given(), Given(fit="letterbox", resize="nearest"), Given(crop=1.0)])
def test_how_images_are_fitted_is_said_or_assumed(given: Given) -> None:
    found = imported(tiny(**SAID), given)
    fit = found.model.preprocess
    assert (fit.fit, fit.crop, fit.resize) == (given.fit or "crop", given.crop or 0.875, given.resize or "bilinear")
    facts = {fact.name: fact.source for fact in found.facts}
    for name in ("fit", "crop", "resize"):
        said = getattr(given, name) is not None
        wanted = "you" if said else f"assumed, the file does not say (--{name})"
        assert facts.get(name, "nobody") == ("nobody" if name == "crop" and given.fit else wanted)


def test_imagenets_names_are_a_guess_that_is_said() -> None:
    found = imported(tiny(1000, **SAID))
    assert found.model.labels == imagenet_names()
    assert found.facts[-2].source == "ImageNet's classes in their usual order"


@pytest.mark.parametrize(
    ("outputs", "labels", "message"),
    [
        (5, ("a", "b"), "2 labels for a network of 5 classes"),
        (1001, ("a", "b"), "2 labels for a network of 1001 classes"),
        (1001, ("background", "b"), "2 labels for a network of 1000 classes"),
        (1000, ("background", *WORDS), "1001 labels for a network of 1000 classes"),
    ],
)
def test_labels_of_another_length(outputs: int, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        imported(tiny(outputs, **SAID), Given(labels=labels))
    assert str(caught.value) == message


def test_what_no_network_can_have_is_the_files_fault_or_the_users() -> None:
    with pytest.raises(ModelFileError, match=r"height \(=8\) must be a whole number from 32 to 8192"):
        imported(tiny(**SAID), size=(8, 64))
    with pytest.raises(NetworkError, match=r"height \(=8\) must be a whole number from 32 to 8192"):
        imported(tiny(**SAID), Given(size=(8, 64)))
    with pytest.raises(NetworkError, match=r"std \(=0.0\) must be above 0"):
        imported(tiny(**SAID), Given(pixels=(0, 0)))
    for epsilon in (0.0, 2.0):
        with pytest.raises(NetworkError, match="epsilon"):
            imported(tiny(**SAID), Given(epsilon=epsilon))


def test_files_that_run_one_after_the_other() -> None:
    layers = paper(**SAID)
    parts = [Content("Test", tuple(layers[:-2]), (64, 64), (0.0, 255.0)), Content("Other", tuple(layers[-2:]))]
    whole, pieces = imported(layers), recognise(chain(parts))
    assert pieces.model.digest() == whole.model.digest()
    assert pieces.model.network == whole.model.network
    with pytest.raises(ModelFileError, match="layer 1, pool: a pool before a block is complete"):
        recognise(chain(parts[::-1]))
