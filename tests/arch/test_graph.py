"""`expand` against Table 1, torch's convolutions and TensorFlow's SAME; `verify` against tampering."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets.arch import Graph, Network, expand, verify
from mobilenets.arch.graph import same_padding, weight_shapes
from mobilenets.arch.network import BODY, SHALLOW_BODY, Block
from mobilenets.arch.ops import CONVOLUTIONS, Op
from mobilenets.errors import NetworkError

TABLE_1 = [  # type / stride, filter shape, input size
    ("conv s2", (3, 3, 3, 32), (224, 224, 3)),
    ("conv dw s1", (3, 3, 32), (112, 112, 32)),
    ("conv s1", (1, 1, 32, 64), (112, 112, 32)),
    ("conv dw s2", (3, 3, 64), (112, 112, 64)),
    ("conv s1", (1, 1, 64, 128), (56, 56, 64)),
    ("conv dw s1", (3, 3, 128), (56, 56, 128)),
    ("conv s1", (1, 1, 128, 128), (56, 56, 128)),
    ("conv dw s2", (3, 3, 128), (56, 56, 128)),
    ("conv s1", (1, 1, 128, 256), (28, 28, 128)),
    ("conv dw s1", (3, 3, 256), (28, 28, 256)),
    ("conv s1", (1, 1, 256, 256), (28, 28, 256)),
    ("conv dw s2", (3, 3, 256), (28, 28, 256)),
    ("conv s1", (1, 1, 256, 512), (14, 14, 256)),
    *[("conv dw s1", (3, 3, 512), (14, 14, 512)), ("conv s1", (1, 1, 512, 512), (14, 14, 512))] * 5,
    ("conv dw s2", (3, 3, 512), (14, 14, 512)),
    ("conv s1", (1, 1, 512, 1024), (7, 7, 512)),
    ("conv dw s1", (3, 3, 1024), (7, 7, 1024)),  # printed s2: a slip, 7x7 goes in and 7x7 comes out
    ("conv s1", (1, 1, 1024, 1024), (7, 7, 1024)),
    ("avg pool", (7, 7), (7, 7, 1024)),
    ("fc", (1024, 1000), (1, 1, 1024)),
    ("softmax", "classifier", (1, 1, 1000)),
]


def as_in_table_1(op: Op) -> tuple[str, object, tuple[int, int, int]]:
    m, n = op.shape_in[2], op.shape_out[2]
    if op.kind == "depthwise":
        return f"conv dw s{op.stride}", (op.kernel, op.kernel, m), op.shape_in
    if op.kind in CONVOLUTIONS:
        return f"conv s{op.stride}", (op.kernel, op.kernel, m, n), op.shape_in
    if op.kind == "global_average_pool":
        return "avg pool", op.shape_in[:2], op.shape_in
    if op.kind == "fully_connected":
        return "fc", (m, n), op.shape_in
    return op.kind, "classifier", op.shape_in


def test_table_1_row_by_row() -> None:
    rows = [as_in_table_1(op) for op in expand(Network()).ops if op.kind not in ("input", "batch_norm", "relu")]
    assert rows == TABLE_1
    assert sum(kind.startswith(("conv", "fc")) for kind, _, _ in rows) == 28


def test_batch_norm_and_relu_follow_every_convolution_and_nothing_else() -> None:
    ops = expand(Network(activation="relu6")).ops
    for position, op in enumerate(ops):
        if op.kind in CONVOLUTIONS:
            assert [ops[position + 1].kind, ops[position + 2].kind] == ["batch_norm", "relu6"]
    assert sum(op.kind == "batch_norm" for op in ops) == sum(op.kind in CONVOLUTIONS for op in ops) == 27
    assert [op.kind for op in ops[-3:]] == ["global_average_pool", "fully_connected", "softmax"]


networks = st.builds(
    Network,
    alpha=st.floats(0, 4, exclude_min=True),
    height=st.integers(32, 300),
    width=st.integers(32, 300),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(1, 1000),
    blocks=st.sampled_from([BODY, SHALLOW_BODY])
    | st.lists(st.builds(Block, st.integers(1, 2), st.integers(1, 64)), min_size=1, max_size=12).map(tuple),
    head=st.sampled_from([0, 1024]),
    convolution=st.sampled_from(["separable", "full"]),
    padding=st.sampled_from(["symmetric", "same"]),
    rounding=st.sampled_from(["floor", "multiple_of_8"]),
)


def tensorflow_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """SAME as https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2 states it."""
    along = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
    return along // 2, along - along // 2


def torch_convolve(x: torch.Tensor, network: Network, out: int, kernel: int, stride: int, groups: int) -> torch.Tensor:
    """One real torch convolution, on the meta device: shapes without the work."""
    if network.padding == "same":
        top, bottom = tensorflow_pads(x.shape[2], kernel, stride)
        left, right = tensorflow_pads(x.shape[3], kernel, stride)
        x = torch.nn.functional.pad(x, (left, right, top, bottom))
    padding = kernel // 2 if network.padding == "symmetric" else 0
    conv = torch.nn.Conv2d(x.shape[1], out, kernel, stride, padding, groups=groups, bias=False, device="meta")
    y: torch.Tensor = conv(x)
    return y


def torch_shapes(network: Network) -> list[tuple[int, int, int]]:
    """(H, W, C) after each convolution, from the definition of the network and nothing of `arch.graph`."""
    x = torch.empty(1, network.channels, network.height, network.width, device="meta")
    tensors = [torch_convolve(x, network, network.scaled(network.stem), 3, 2, 1)]
    for block in network.blocks:
        channels, before = network.scaled(block.channels), tensors[-1]
        if network.convolution == "full":
            tensors.append(torch_convolve(before, network, channels, 3, block.stride, 1))
        else:
            tensors.append(torch_convolve(before, network, before.shape[1], 3, block.stride, before.shape[1]))
            tensors.append(torch_convolve(tensors[-1], network, channels, 1, 1, 1))
    if network.head:
        tensors.append(torch_convolve(tensors[-1], network, network.scaled(network.head), 1, 1, 1))
    return [(t.shape[2], t.shape[3], t.shape[1]) for t in tensors]


@settings(max_examples=60, deadline=None)
@given(networks)
def test_shapes_are_those_of_torch(network: Network) -> None:
    ops = expand(network).ops
    assert [op.shape_out for op in ops if op.kind in CONVOLUTIONS] == torch_shapes(network)
    for op, before in zip(ops[1:], ops, strict=False):
        assert op.shape_in == before.shape_out
    assert ops[0].shape_out == (network.height, network.width, network.channels)
    assert ops[-1].shape_out == (1, 1, network.classes)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_is_tensorflows(kernel: int, stride: int) -> None:
    for size in range(1, 301):
        before, after = same_padding(size, kernel, stride)
        assert (before, after) == tensorflow_pads(size, kernel, stride)
        assert (size + before + after - kernel) // stride + 1 == -(-size // stride)  # ceil(size / stride)


def test_same_is_asymmetric_at_stride_2_on_even_sizes() -> None:
    pads = {op.name: op.padding for op in expand(Network(padding="same")).ops if op.kind in CONVOLUTIONS}
    assert (pads["conv0"], pads["dw1"], pads["dw2"], pads["pw1"]) == (
        (0, 0, 1, 1),
        (1, 1, 1, 1),
        (0, 0, 1, 1),
        (0,) * 4,
    )


def test_keras_pads_one_pixel_after_whether_the_size_is_even_or_odd() -> None:
    """ZeroPadding2D(((0, 1), (0, 1))) before every convolution of stride 2, as keras.applications has it."""
    ops = expand(Network(height=100, width=100, padding="keras")).ops
    strided = [op for op in ops if op.kind in CONVOLUTIONS and op.stride == 2]
    assert [op.padding for op in strided] == [(0, 0, 1, 1)] * 5
    assert [op.shape_out[0] for op in strided] == [50, 25, 12, 6, 3]  # "same" would give 13 and 7
    assert {op.padding for op in ops if op.kind == "depthwise" and op.stride == 1} == {(1, 1, 1, 1)}


def test_weight_shapes_are_those_of_torch_modules() -> None:
    shapes = weight_shapes(expand(Network(alpha=0.5, channels=1, classes=7)))
    assert shapes["conv0.weight"] == (16, 1, 3, 3)
    assert shapes["dw1.weight"] == (16, 1, 3, 3)
    assert shapes["pw1.weight"] == (32, 16, 1, 1)
    assert shapes["pw13_bn.running_var"] == (512,)
    assert (shapes["fc.weight"], shapes["fc.bias"]) == ((7, 512), (7,))
    assert len(shapes) == 27 * 5 + 2


GRAPH = expand(Network(alpha=0.25, height=32, width=48, classes=10))


def tampered(name: str, /, **changes: object) -> Graph:
    ops = tuple(replace(op, **changes) if op.name == name else op for op in GRAPH.ops)  # type: ignore[arg-type]
    return Graph(GRAPH.network, ops)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("dw1", {"kind": "dilated"}, "unknown kind"),
        ("dw1", {"name": "pw1"}, "used twice"),
        ("dw1", {"shape_out": (16, 24, 9)}, "does not follow"),
        ("dw1", {"shape_out": (15, 24, 8)}, "does not follow"),
        ("dw1", {"shape_out": (16, 24, 0)}, "empty"),
        ("dw1", {"shape_in": (16, 24, 9)}, "gives"),
        ("dw1", {"stride": 2}, "does not follow"),
        ("dw1", {"stride": 0}, "stride"),
        ("dw1", {"stride": -1}, "stride"),
        ("dw1", {"kernel": 5}, "does not follow"),
        ("dw1", {"kernel": 0}, "kernel"),
        ("dw1", {"padding": (0, 1, 1, 1)}, "does not follow"),
        ("dw1", {"padding": (-1, 1, 3, 1)}, "padding"),
        ("pw1", {"kernel": 3, "padding": (1, 1, 1, 1)}, "kernel"),
        ("dw1", {"inputs": ()}, "inputs"),
        ("dw1", {"inputs": (3, 3)}, "inputs"),
        ("dw1", {"inputs": (4,)}, "not an earlier op"),
        ("dw1", {"inputs": (-1,)}, "not an earlier op"),
        ("dw1", {"inputs": (99,)}, "not an earlier op"),
        ("dw1", {"inputs": (0,)}, "gives"),
        ("dw1_bn", {"shape_out": (16, 24, 9)}, "does not follow"),
        ("dw1_bn", {"bias": True}, "bias"),
        ("dw1_act", {"kernel": 3}, "kernel"),
        ("softmax", {"shape_out": (1, 1, 9)}, "does not follow"),
        ("pool", {"shape_out": (1, 1, 9)}, "does not follow"),
        ("fc", {"shape_in": (1, 1, 9)}, "gives"),
        ("fc", {"kernel": 3}, "kernel"),
        ("image", {"inputs": (0,)}, "inputs"),
        ("image", {"shape_in": (32, 48, 1)}, "does not follow"),
        ("conv0_act", {"kind": "input", "inputs": ()}, "input"),
    ],
)
def test_verify_catches(name: str, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(NetworkError, match=reason) as caught:
        verify(tampered(name, **changes))
    assert name in str(caught.value) or "used twice" in str(caught.value)


def test_verify_wants_the_image_of_the_network_first() -> None:
    for ops in ((), GRAPH.ops[1:], tampered("image", kind="relu").ops):
        with pytest.raises(NetworkError, match="must begin with the image"):
            verify(Graph(GRAPH.network, ops))
    with pytest.raises(NetworkError, match="image"):
        verify(Graph(GRAPH.network.replace(width=64), GRAPH.ops))


def test_verify_catches_a_missing_and_a_swapped_op() -> None:
    ops = list(GRAPH.ops)
    for position in range(len(ops) - 1):
        if ops[position].shape_in != ops[position].shape_out:
            with pytest.raises(NetworkError):
                verify(Graph(GRAPH.network, tuple(ops[:position] + ops[position + 1 :])))
        swapped = [*ops[:position], ops[position + 1], ops[position], *ops[position + 2 :]]
        with pytest.raises(NetworkError):
            verify(Graph(GRAPH.network, tuple(swapped)))


@settings(max_examples=30, deadline=None)
@given(networks)
def test_verify_passes_what_expand_makes(network: Network) -> None:
    graph = expand(network)
    assert verify(graph) is graph
