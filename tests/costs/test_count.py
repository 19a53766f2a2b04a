"""Every number of Tables 1 to 9 that is a count, exactly and as the paper prints it (arXiv 1704.04861)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets.arch import PAPER, Network, expand, named
from mobilenets.arch.network import SHALLOW_BODY
from mobilenets.arch.ops import OPS, Op
from mobilenets.arch.zoo import Row
from mobilenets.costs.count import cost, cost_of_graph
from mobilenets.exporters.onnx import to_onnx

# the 16 models of Figures 4 and 5: M mult-adds at 224, 192, 160, 128, and parameters
EXACT = {
    1.0: ((568.740, 418.122, 290.675, 186.401), 4_231_976),
    0.75: ((325.400, 239.273, 166.397, 106.770), 2_585_560),
    0.5: ((149.497, 109.970, 76.525, 49.160), 1_331_592),
    0.25: ((41.030, 30.213, 21.059, 13.570), 470_072),
}


@pytest.mark.parametrize("alpha", EXACT)
def test_the_16_models(alpha: float) -> None:
    mult_adds, params = EXACT[alpha]
    for side, millions in zip((224, 192, 160, 128), mult_adds, strict=True):
        counted = cost(Network(alpha=alpha, height=side, width=side))
        assert round(counted.mult_adds / 1e6, 3) == millions
        assert counted.params == params


def test_table_1_layer_by_layer() -> None:
    """Mult-adds and weights of the 28 layers, worked out from the table's own filter and input shapes."""
    body = [(112, 32, 64, 1), (112, 64, 128, 2), (56, 128, 128, 1), (56, 128, 256, 2), (28, 256, 256, 1)]
    body += [(28, 256, 512, 2), *[(14, 512, 512, 1)] * 5, (14, 512, 1024, 2), (7, 1024, 1024, 1)]
    expected = [("conv0", 9 * 3 * 32 * 112**2, 9 * 3 * 32)]
    for i, (side, m, n, stride) in enumerate(body, 1):
        area = (side // stride) ** 2
        expected += [(f"dw{i}", 9 * m * area, 9 * m), (f"pw{i}", m * n * area, m * n)]
    expected += [("pool", 0, 0), ("fc", 1024 * 1000, 1024 * 1000), ("softmax", 0, 0)]
    counted = cost(Network())
    assert [(layer.name, layer.mult_adds, layer.weights) for layer in counted.layers] == expected
    assert counted.mult_adds == sum(mult_adds for _, mult_adds, _ in expected) == 568_740_352
    assert counted.weights == sum(weights for _, _, weights in expected) == 4_209_088
    assert counted.params - counted.weights == 2 * 10_944 + 1000  # batch norm's scale and shift, classifier's bias
    assert counted.output_channels == 10_944 + 1000


def test_table_2() -> None:
    """The paper prints 1.19 for the mult-adds of conv 3x3: its column sums to 99.29; 1.91 is meant."""
    shares = {share.kind: share for share in cost(Network()).by_type()}
    printed = {
        "pointwise 1x1": (94.86, 74.59),
        "depthwise 3x3": (3.06, 1.06),
        "conv 3x3": (1.91, 0.02),
        "fully connected": (0.18, 24.33),
    }
    assert list(shares) == list(printed)  # largest first
    for kind, (mult_adds, weights) in printed.items():
        assert round(100 * shares[kind].mult_adds, 2) == mult_adds
        assert round(100 * shares[kind].weights, 2) == weights
    assert sum(share.mult_adds for share in shares.values()) == pytest.approx(1, abs=1e-12)
    assert sum(share.weights for share in shares.values()) == pytest.approx(1, abs=1e-12)


def layer(kind: str, side: int, m: int, n: int) -> tuple[int, int]:
    """(mult-adds, weights) of one layer on a side x side input."""
    kernel = 1 if kind == "pointwise" else 3
    op = Op(kind, "layer", (), (side, side, m), (side, side, n), kernel, 1, (kernel // 2,) * 4)
    return OPS[kind].counts(op)[:2]


def separable(side: int, channels: int) -> tuple[int, int]:
    parts = [layer(kind, side, channels, channels) for kind in ("depthwise", "pointwise")]
    return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]


@pytest.mark.parametrize(
    ("counted", "mult_adds", "params"),
    [
        (layer("conv", 14, 512, 512), 462, 2.36),
        (separable(14, 512), 52.3, 0.27),
        (separable(14, 384), 29.6, 0.15),  # alpha 0.75
        (separable(10, 384), 15.1, 0.15),  # and rho 0.714
    ],
)
def test_table_3(counted: tuple[int, int], mult_adds: float, params: float) -> None:
    assert round(counted[0] / 1e6, 0 if mult_adds == 462 else 1) == mult_adds
    assert round(counted[1] / 1e6, 2) == params


@given(st.integers(1, 300), st.integers(1, 2048), st.integers(1, 2048))
def test_separable_over_standard_is_1_over_n_plus_1_over_9(side: int, m: int, n: int) -> None:
    cheap = layer("depthwise", side, m, m)[0] + layer("pointwise", side, m, n)[0]
    assert cheap / layer("conv", side, m, n)[0] == pytest.approx(1 / n + 1 / 9)


@pytest.mark.parametrize("row", PAPER, ids=lambda row: row.network.name)
def test_tables_4_to_9_as_printed(row: Row) -> None:
    """The paper rounds some and cuts others (290.675 and 76.525 M are printed 290 and 76)."""
    counted = cost(row.network)
    mult_adds = counted.mult_adds
    if row.network.convolution == "full":
        mult_adds -= counted.layers[-2].mult_adds  # slip: the 4866 of Table 4 are without the classifier
    params = counted.params
    if row.table == "Table 9":
        params = counted.weights  # 1.32 there, 1.3 in Table 6: without batch norm and bias
    assert int(mult_adds / 1e6) == row.mult_adds_m or round(mult_adds / 1e6) == row.mult_adds_m
    digits = 2 if row.table == "Table 9" else 1
    assert round(params / 1e6, digits) == row.params_m


@pytest.mark.parametrize(
    ("network", "mult_adds", "params"),
    [
        (Network(), 568_740_352, 4_231_976),
        (Network(alpha=0.75, height=160, width=160), None, 2_585_560),
        (Network(blocks=SHALLOW_BODY), None, 2_887_976),
        (Network(convolution="full"), None, 29_294_088),
        (Network(alpha=0.5, height=160, width=160), None, 1_331_592),
    ],
)
def test_exact_parameters(network: Network, mult_adds: int | None, params: int) -> None:
    assert cost(network).params == params
    assert mult_adds is None or cost(network).mult_adds == mult_adds


def test_exact_mult_adds_of_tables_4_and_5() -> None:
    full, shallow = cost(Network(convolution="full")), cost(Network(blocks=SHALLOW_BODY))
    assert full.layers[-2].kind == "fully_connected"
    assert round((full.mult_adds - 1_024_000) / 1e6, 3) == 4866.269
    assert round(shallow.mult_adds / 1e6, 3) == 307.323


@settings(deadline=None, max_examples=50)
@given(
    st.floats(0.05, 2),
    st.integers(32, 256),
    st.integers(32, 256),
    st.integers(1, 1000),
    st.sampled_from(["separable", "full"]),
    st.sampled_from([1, 3]),
)
def test_whole_is_the_sum_of_its_layers_and_of_a_naive_count(
    alpha: float, height: int, width: int, classes: int, convolution: str, channels: int
) -> None:
    network = Network(alpha, height, width, channels, classes, convolution=convolution)  # type: ignore[arg-type]
    counted = cost(network)
    h, w, c = -(-height // 2), -(-width // 2), max(1, int(alpha * 32 + 1e-6))
    mult_adds, params = 9 * channels * c * h * w, 9 * channels * c + 2 * c
    for block in network.blocks:
        n, h, w = max(1, int(alpha * block.channels + 1e-6)), -(-h // block.stride), -(-w // block.stride)
        weights = 9 * c * n if convolution == "full" else 9 * c + c * n
        mult_adds += weights * h * w
        params += weights + 2 * n + (0 if convolution == "full" else 2 * c)
        c = n
    assert counted.mult_adds == mult_adds + c * classes
    assert counted.params == params + c * classes + classes
    assert counted.mult_adds == sum(layer.mult_adds for layer in counted.layers)
    assert counted.params == sum(layer.params for layer in counted.layers)


def test_cost_counts_the_graph_it_is_given() -> None:
    network = Network(alpha=0.3, height=50, width=70)
    assert cost_of_graph(expand(network)) == cost(network)


def test_bytes_by_hand() -> None:
    counted = cost(Network(alpha=0.25, classes=10))
    assert counted.bytes("fp32") == 4 * counted.weights + 4 * counted.output_channels
    assert counted.bytes("fp16") == 2 * counted.weights + 4 * counted.output_channels
    assert counted.bytes("int8") == counted.weights + 8 * counted.output_channels
    assert counted.bytes() == counted.bytes("fp32")


@pytest.mark.parametrize("name", ["0.25-96", "0.13-33x57", "conv-0.25-64", "shallow-0.5-128", "1-224"])
def test_bytes_are_those_of_the_onnx_file(name: str, random_model) -> None:
    model = random_model(named(name).replace(classes=10 if name != "1-224" else 1000))
    overhead = len(to_onnx(model)) - cost(model.network).bytes("fp32")
    assert 0 < overhead < 16 * 1024 + len(json.dumps(model.labels))


def test_arithmetic_intensity_by_hand() -> None:
    counted = cost(Network())
    layers = {layer.name: layer for layer in counted.layers}
    elements = 112 * 112 * 32 + 112 * 112 * 64 + 32 * 64
    assert layers["pw1"].intensity() == pytest.approx(112 * 112 * 32 * 64 / (4 * elements))
    assert layers["pw1"].intensity("int8") == pytest.approx(112 * 112 * 32 * 64 / elements)
    assert layers["dw2"].intensity() < 1 < layers["pw13"].intensity()
    moved = sum(layer.mult_adds / layer.intensity() for layer in counted.layers if layer.mult_adds)
    assert counted.intensity() == pytest.approx(counted.mult_adds / moved)
