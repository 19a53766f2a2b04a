"""Malformed ONNX files: each is refused in one line with its reason, soon, in little memory; no other is opened."""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_files as files
import pytest
from conftest import make_random_model
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx_files import File

from mobilenets.arch.network import Block, Network
from mobilenets.errors import MobilenetsError, ModelFileError
from mobilenets.weights import Given, import_files
from mobilenets.weights.read.onnx import read_onnx
from mobilenets.weights.recognise import recognise

NETWORK = Network(1.0, 33, 47, classes=5, stem=8, blocks=(Block(1, 12), Block(2, 20)))
pytestmark = pytest.mark.timeout(60)  # a reader that hangs

GIVEN = Given(pixels=(127.5, 127.5))


@cache
def sound() -> bytes:
    return files.network(make_random_model(NETWORK)).SerializeToString()


def importing(content: bytes) -> None:
    """Bounded in memory, whatever comes of it; the mark above bounds its time."""
    limit = 60 * len(content) + (1 << 20)
    tracemalloc.start()
    try:
        recognise(read_onnx(content), GIVEN)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit


def refused(content: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason) as caught:
        importing(content)
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


def changed(change: Callable[[ModelProto], object], **how: Any) -> bytes:
    """The sound file, changed; `how` as `files.network` has it."""
    proto = files.network(make_random_model(NETWORK), **how) if how else ModelProto.FromString(sound())
    change(proto)
    return proto.SerializeToString()


def node(number: int, **fields: Any) -> bytes:
    """One node with other fields or attributes."""

    def change(proto: ModelProto) -> None:
        target = proto.graph.node[number]
        attributes = {attribute.name: attribute for attribute in target.attribute}
        for name, value in fields.items():
            if name in ("op_type", "domain", "name"):
                setattr(target, name, value)
            elif name in ("input", "output"):
                del getattr(target, name)[:]
                getattr(target, name).extend(value)
            else:
                if name in attributes:
                    target.attribute.remove(attributes[name])
                target.attribute.append(helper.make_attribute(name, value))

    return changed(change)


def insert(place: int, *kinds: str, **attributes: Any) -> bytes:
    """New nodes in the chain, each with what the one before it gives and constants."""

    def change(proto: ModelProto) -> None:
        after = proto.graph.node[place]
        before, extra = after.input[0], attributes.pop("constants", [])
        for number, kind in enumerate(kinds):
            names = []
            for values in extra:
                names.append(f"extra {number} {len(names)}")
                proto.graph.initializer.append(numpy_helper.from_array(np.asarray(values), names[-1]))
            new = helper.make_node(kind, [before, *names], [f"new {number}"], **attributes)
            before = new.output[0]
            proto.graph.node.insert(place + number, new)
        after.input[0] = before

    return changed(change)


def tensor(**fields: Any) -> bytes:
    """The first convolution's kernel with other fields."""

    def change(proto: ModelProto) -> None:
        kernel = proto.graph.initializer[0]
        for name, value in fields.items():
            if name in ("dims", "float_data"):
                del getattr(kernel, name)[:]
                getattr(kernel, name).extend(value)
            elif value is None:
                kernel.ClearField(name)
            else:
                setattr(kernel, name, value)

    return changed(change)


def values(number: int, change: Callable[[np.ndarray], object]) -> bytes:
    """An initializer with other values."""

    def spoil(proto: ModelProto) -> None:
        target = proto.graph.initializer[number]
        array = numpy_helper.to_array(target).copy()
        change(array)
        target.CopyFrom(numpy_helper.from_array(array, target.name))

    return changed(spoil)


def external(location: str) -> bytes:
    def change(proto: ModelProto) -> None:
        kernel = proto.graph.initializer[0]
        kernel.ClearField("raw_data")
        kernel.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "864")):
            kernel.external_data.add(key=key, value=value)

    return changed(change)


def shape(*sides: int | None, kind: int = TensorProto.FLOAT) -> bytes:
    return changed(
        lambda proto: proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", kind, list(sides)))
    )


def move(number: int, to: int) -> bytes:
    def change(proto: ModelProto) -> None:
        moved = NodeProto()
        moved.CopyFrom(proto.graph.node[number])
        del proto.graph.node[number]
        proto.graph.node.insert(to, moved)

    return changed(change)


def append(*nodes: NodeProto) -> bytes:
    return changed(lambda proto: proto.graph.node.extend(nodes))


def subgraph(kind: str, name: str) -> bytes:
    """A node that runs a graph of its own, with the classifier's output as its condition."""
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [], [])
    return append(helper.make_node(kind, ["gemm 17"], ["c"], name="nested", **{name: body}))


def residual() -> bytes:
    return changed(
        lambda proto: proto.graph.node.insert(9, helper.make_node("Add", ["relu 2", "relu 5"], ["sum"], name="sum"))
    )


def function() -> bytes:
    made = helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [])
    return changed(lambda proto: proto.functions.append(made))


def sparse() -> bytes:
    values, indices = numpy_helper.from_array(np.ones(1, np.float32), "s"), numpy_helper.from_array(np.array([0]))
    return changed(lambda proto: proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9])))


def doubling() -> bytes:
    """Each node joins what the one before it gives to itself."""
    first = helper.make_node("Constant", [], ["c0"], value_ints=[1, 1])
    joins = [helper.make_node("Concat", [f"c{n}"] * 2, [f"c{n + 1}"], axis=0) for n in range(40)]
    return changed(lambda proto: [proto.graph.node.insert(0, each) for each in (*reversed(joins), first)])


def repeated() -> bytes:
    """One large kernel, used again and again."""
    file = File()
    kernel, x = file.constant(np.ones((200, 200, 1, 1))), "image"
    for _ in range(60):
        x = file.add("Conv", x, kernel)
    return file.finish(x, [1, 200, 32, 32]).SerializeToString()


def constant(**said: Any) -> bytes:
    made = helper.make_node("Constant", [], ["k"], name="k", **said)
    return changed(lambda proto: [proto.graph.node.insert(0, made), node_input(proto, 1, "k")])


def node_input(proto: ModelProto, number: int, name: str) -> None:
    proto.graph.node[number].input[1] = name


def constant_sum() -> bytes:
    made = helper.make_node("Add", ["constant 1", "constant 1"], ["k"], name="k")
    return changed(lambda proto: proto.graph.node.insert(0, made))


def constant_unsqueezed(axes: int) -> bytes:
    """A constant of one axis that gets `axes` in all."""
    attributes = {"axes": [*range(axes - 1)], "name": "k"}
    made = helper.make_node("Unsqueeze", ["constant 1"], ["k"], **attributes)
    return changed(lambda proto: proto.graph.node.insert(0, made))


def cast_constant() -> bytes:
    made = helper.make_node("Cast", ["constant 1"], ["k"], name="k", to=TensorProto.INT64)
    return changed(lambda proto: proto.graph.node.insert(0, made))


def bias_behind_activation() -> bytes:
    """Without the batch norm, so that nothing but the activation stands between."""

    def change(proto: ModelProto) -> None:
        proto.graph.node[1].op_type = "Relu"
        del proto.graph.node[1].input[1:], proto.graph.node[1].attribute[:]
        proto.graph.node[2].op_type = "Add"
        proto.graph.node[2].input.append("constant 1")

    return changed(change)


def nested(depth: int) -> bytes:
    """Graphs within graphs within graphs."""
    content = b""
    for _ in range(depth):  # graph { node { attribute { g { ... } } } }, each a field of the one around it
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            content = tag + varint(len(content)) + content
    return b"\x3a" + varint(len(content)) + content


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


CONV, NORM, DEPTHWISE, DEPTHWISE_NORM, POOL, FLATTEN, GEMM = 0, 1, 3, 4, 15, 16, 17
ZEROS = np.zeros(1, np.float32)

CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    # no such file
    "empty": (lambda: b"", "^not an ONNX file: it holds no graph"),
    "another file": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "^not an ONNX file, or a damaged one"),
    "text": (lambda: b"hello, world\n" * 9, "^not an ONNX file"),
    "no end": (lambda: b"\x3a\xff\xff\xff\xff\x0f" + bytes(100), "^not an ONNX file, or a damaged one"),
    "deep": (lambda: nested(10_000), "^not an ONNX file"),
    "no nodes": (lambda: changed(lambda proto: proto.graph.ClearField("node")), "^not an ONNX file: it holds no graph"),
    "functions of its own": (function, "^it has functions or sparse constants of its own"),
    "sparse constants": (sparse, "^it has functions or sparse constants of its own"),
    # constants
    "another file's data": (lambda: external("../../etc/passwd"),
                            r"^constant 0: its values are in another file \('../../etc/passwd'\), which is not opened"),
    "an absolute path": (lambda: external("/etc/passwd"), r"^constant 0: its values are in another file"),
    "a path with escapes": (lambda: external("\x1b[2J\n" * 99), r"^constant 0: its values are in another file"),
    "raw data too short": (lambda: tensor(raw_data=bytes(860)), r"^constant 0: 215 values for shape \(8, 3, 3, 3\)"),
    "raw data too long": (lambda: tensor(raw_data=bytes(868)), r"^constant 0: 217 values for shape \(8, 3, 3, 3\)"),
    "half a number": (lambda: tensor(raw_data=bytes(863)), r"^constant 0: 215.75 values for shape"),
    "no data": (lambda: tensor(raw_data=None), r"^constant 0: 0 values for shape \(8, 3, 3, 3\)"),
    "too few numbers": (lambda: tensor(raw_data=None, float_data=[1.0] * 9), r"^constant 0: 9 values for shape"),
    "sides below nothing": (lambda: tensor(dims=[-8, -3, 3, 3]), r"^constant 0: shape \(-8, -3, 3, 3\)"),
    "sides of nothing": (lambda: tensor(dims=[0, 3, 3, 3], raw_data=b""), r"^constant 0: shape \(0, 3, 3, 3\)"),
    "huge sides": (lambda: tensor(dims=[1 << 40, 3, 3, 3]), r"^constant 0: 216 values for shape \(1099511627776,"),
    "sides beyond 64 bits": (lambda: tensor(dims=[1 << 32, 1 << 32]), r"^constant 0: 216 values for shape"),
    "sides that go round to nothing": (lambda: tensor(dims=[1 << 32] * 2, raw_data=b""), r"^constant 0: 0 values for"),
    "a thousand axes": (lambda: tensor(dims=[1] * 1000), r"^constant 0: shape"),
    "another number format": (lambda: tensor(data_type=TensorProto.INT64), r"^constant 0: 108 values for shape"),
    "text as numbers": (lambda: tensor(data_type=TensorProto.STRING), r"^constant 0: data type 8, which is not read"),
    "no such format": (lambda: tensor(data_type=99), r"^constant 0: data type 99, which is not read"),
    "whole numbers": (lambda: tensor(data_type=TensorProto.INT32), "its input 1 is no constant of floating point numb"),
    "not a number": (lambda: values(0, lambda a: a.put(5, np.nan)), "conv0.weight holds values that are not finite"),
    "an infinite scale": (lambda: values(1, lambda a: a.put(5, np.inf)), "holds values that are not finite"),
    "negative variances": (lambda: values(4, lambda a: a.put(0, -1)), "its batch norm has negative variances"),
    "a constant of nothing": (lambda: constant(), "^k: holds nothing, which is not read"),
    "a constant of text": (lambda: constant(value_string="a"), "^k: holds value_string, which is not read"),
    "arithmetic of constants": (lambda: constant_sum(), "^node 0 .*computes with constants alone, or with the image"),
    "a large constant of constants": (doubling, "^node 3 .*joins constants to more than a few numbers"),
    "one kernel again and again": (repeated, "^conv .*: up to here its layers claim more values than the file has byt"),
    # the graph
    "no input": (lambda: changed(lambda proto: proto.graph.ClearField("input")), "^0 inputs: a MobileNet takes one"),
    "two inputs": (lambda: changed(lambda proto: proto.graph.input.add(name="b")), "^2 inputs: a MobileNet takes o"),
    "an image of two axes": (lambda: shape(1, 3), "^an input of 2 axes: images have 4"),
    "an image below nothing": (lambda: shape(1, 3, -33, 47), "^images of -33x47: sides are from 32 to 8192"),
    "a huge image": (lambda: shape(1, 3, 1 << 40, 47), "^images of 1099511627776x47: sides are from 32 to 8192"),
    "a small image": (lambda: shape(1, 3, 31, 47), "^images of 31x47: sides are from 32 to 8192"),
    "a cycle of one": (lambda: node(DEPTHWISE, input=["conv 3", "constant 5"]),
                       "^node 3 .*takes 'conv 3', which nothing before it gives"),
    "a cycle of many": (lambda: node(CONV, input=["gemm 17", "constant 0"]),
                        "^node 0 .*takes 'gemm 17', which nothing before it gives"),
    "out of order": (lambda: move(9, 4), "^node 4 .*takes .*, which nothing before it gives"),
    "two chains": (lambda: append(helper.make_node("Relu", ["image"], ["b"])), "^node 18 .*an activation that follows"),
    "not connected": (lambda: append(helper.make_node("Relu", ["nowhere"], ["b"])), "^node 18 .*takes 'nowhere', whic"),
    "a sum of two branches": (residual, "^layer .* sum: it takes .*, where a MobileNet takes"),
    "a value twice": (lambda: node(2, op_type="Max", input=["batchnormalization 1"] * 2), "^node 2 .*is one chain"),
    "an output that nothing gives": (lambda: changed(lambda p: p.graph.output.add(name="b")), "^output 'b' is given b"),
    "an output given twice": (lambda: node(2, output=["conv 0"]), "^node 2 .*gives nothing, or what is given already"),
    "a constant that is computed": (lambda: node(2, output=["constant 0"]), "^node 2 .*or what is given already"),
    "no output": (lambda: node(2, output=[]), "^node 2 .*gives nothing"),
    "Loop": (lambda: subgraph("Loop", "body"), r"^node 18 \(Loop nested\): no MobileNet has it; it is not a Mobile"),
    "If": (lambda: subgraph("If", "then_branch"), r"^node 18 \(If nested\): no MobileNet has it"),
    "Scan": (lambda: subgraph("Scan", "body"), r"^node 18 \(Scan nested\): no MobileNet has it"),
    "Sigmoid": (lambda: node(5, op_type="Sigmoid"), r"^node 5 \(Sigmoid relu 5\): is before the classifier"),
    "another vendor's node": (lambda: node(5, domain="com.example"), r"^node 5 \(com.example.Relu relu 5\): no Mobile"),
    "a random number": (lambda: append(helper.make_node("RandomNormal", [], ["r"])), r"^node 18 \(RandomNormal r\): n"),
    # nodes that no MobileNet has in this way
    "a dilation": (lambda: node(CONV, dilations=[2, 2]), r"^node 0 .*dilations \(2, 2\): MobileNet has strides 1 a"),
    "a stride of 3": (lambda: node(CONV, strides=[3, 3]), r"^node 0 .*strides \(3, 3\)"),
    "uneven strides": (lambda: node(CONV, strides=[2, 1]), r"^node 0 .*strides \(2, 1\)"),
    "one stride": (lambda: node(CONV, strides=[2]), r"^node 0 .*strides \(2,\)"),
    "strides of text": (lambda: node(CONV, strides="22"), "^node 0 .*strides 22"),
    "no attribute's type": (lambda: node(DEPTHWISE, group=1.5), r"damaged|groups"),
    "groups": (lambda: node(DEPTHWISE, group=4), "4 groups for 8 channels: MobileNet has depthwise ones only"),
    "another kernel's size": (lambda: node(CONV, kernel_shape=[5, 5]), r"^node 0 .*a kernel of shape .*\(5, 5\)"),
    "padding below": (lambda: node(CONV, auto_pad="SAME_LOWER"), "^node 0 .*auto_pad SAME_LOWER"),
    "padding below nothing": (lambda: node(CONV, pads=[-1, 1, 1, 1]), r"^node 0 .*pads \(-1, 1, 1, 1\)"),
    "padding of two numbers": (lambda: node(CONV, pads=[1, 1]), r"^node 0 .*pads \(1, 1\)"),
    "padding by no rule": (lambda: node(DEPTHWISE, pads=[2, 2, 2, 2]), r"padding \(2, 2, 2, 2\) .*follows no rule"),
    "a computed kernel": (lambda: node(DEPTHWISE, input=["relu 2", "relu 2"]), "^node 3 .*does not take just what"),
    "no kernel": (lambda: node(DEPTHWISE, input=["relu 2"]), "^node 3 .*its input 1 is no constant of floating point"),
    "a mirrored Pad": (lambda: insert(DEPTHWISE, "Pad", mode="reflect", constants=[[0, 0, 1, 1, 0, 0, 1, 1]]),
                       "^node 3 .*not one padding with zeros"),
    "a Pad of ones": (lambda: insert(DEPTHWISE, "Pad", constants=[[0, 0, 1, 1, 0, 0, 1, 1], np.ones(1, np.float32)]),
                      "^node 3 .*not one padding with zeros"),
    "a Pad of channels": (lambda: insert(DEPTHWISE, "Pad", constants=[[0, 1, 0, 0, 0, 0, 0, 0]]),
                          "^node 3 .*more than height and width"),
    "two Pads": (lambda: insert(DEPTHWISE, "Pad", "Pad", constants=[[0, 0, 1, 1, 0, 0, 1, 1]]), "^node 4 .*there is"),
    "a Pad before no convolution": (lambda: insert(NORM, "Pad", constants=[[0, 0, 1, 1, 0, 0, 1, 1]]),
                                    "^node 2 .*there is a Pad before it"),
    "a Pad at the end": (lambda: append(helper.make_node("Pad", ["gemm 17"], ["b"], pads=[0, 0, 1, 0, 0, 0, 0, 0])),
                         "^it ends with a Pad"),
    "a batch norm of other channels": (lambda: node(NORM, input=["conv 0", *["constant 11"] * 4]),
                                       "^node 1 .*12 values for 8 channels"),
    "a batch norm twice": (lambda: insert(2, "BatchNormalization", constants=[ZEROS] * 4),
                           "^node 2 .*does not directly follow a convolution"),
    "a batch norm behind an activation": (lambda: insert(DEPTHWISE, "BatchNormalization", constants=[ZEROS] * 4),
                                          "^node 3 .*does not directly follow a convolution"),
    "no activation": (lambda: node(2, op_type="Identity"), "layer 1, conv 0: no ReLU or ReLU6 follows it"),
    "another clip": (lambda: insert(DEPTHWISE, "Min", constants=[ZEROS + 5]), "layer 1, conv 0: no ReLU or ReLU6 foll"),
    "a clip of many numbers": (lambda: insert(DEPTHWISE, "Min", constants=[np.ones(8, np.float32)]), "^node 3 .*8 val"),
    "an activation of the image": (lambda: insert(CONV, "Relu"), "^node 0 .*an activation that follows no convolution"),
    "softmax in the middle": (lambda: insert(DEPTHWISE, "Softmax"), "^node 3 .*before the classifier"),
    "a cast to whole numbers": (lambda: insert(DEPTHWISE, "Cast", to=TensorProto.INT32), "^node 3 .*to data type 6"),
    "a reshape in the middle": (lambda: insert(DEPTHWISE, "Reshape", constants=[[0, 2, 4, -1]]), "^node 3 .*mixes pos"),
    "channels regrouped": (lambda: insert(FLATTEN, "Reshape", constants=[[0, 4, 5, 1]]), "^node 16 .*mixes positions"),
    "a transpose in the middle": (lambda: insert(DEPTHWISE, "Transpose", perm=[0, 1, 3, 2]), r"^node 3 .*moves axes t"),
    "channels last for good": (lambda: insert(DEPTHWISE, "Transpose", perm=[0, 2, 3, 1]), "^node 4 .*its channels lie"),
    "channels first twice": (lambda: insert(DEPTHWISE, "Transpose", perm=[0, 3, 1, 2]), r"^node 3 .*moves axes to"),
    "channels last twice": (lambda: insert(DEPTHWISE, *["Transpose"] * 2, perm=[0, 2, 3, 1]), "^node 4 .*moves axes"),
    "an image on its side": (lambda: insert(CONV, "Transpose", perm=[0, 1, 3, 2]), "^node 0 .*moves axes"),
    "a constant of many axes": (lambda: constant_unsqueezed(9), r"^node 0 \(Unsqueeze k\): reshapes no constant"),
    "a constant cast to whole numbers": (cast_constant, r"^node 0 \(Cast k\): makes another number of a constant"),
    "all positions flattened": (lambda: node(POOL, op_type="Identity"), "^node 16 .*mixes positions with channels"),
    "a pool of a part": (lambda: node(POOL, op_type="AveragePool", kernel_shape=[2, 2]),
                         r"^node 15 .*averages \(2, 2\) of \(9, 12\) \(height, width\): MobileNet averages all"),
    "a mean of channels": (lambda: node(POOL, op_type="ReduceMean", axes=[1]), r"^node 15 .*averages over axes \[1\]"),
    "a mean of all": (lambda: node(POOL, op_type="ReduceMean"), r"^node 15 .*averages over axes \[\]"),
    "a maximum": (lambda: node(POOL, op_type="GlobalMaxPool"), r"^node 15 \(GlobalMaxPool .*no MobileNet has it"),
    "a scaled classifier": (lambda: node(GEMM, alpha=2.0), "^node 17 .*it scales or transposes its input"),
    "a classifier of other width": (lambda: node(GEMM, transB=0), "^node 17 .*5 values for 20 channels"),
    "two classifiers": (lambda: append(helper.make_node("Gemm", ["gemm 17", "constant 25"], ["b"])), "after the class"),
    "arithmetic in the middle": (lambda: insert(DEPTHWISE, "Mul", constants=[ZEROS + 2]), "layer 1, conv 0: no ReLU"),
    "a bias behind a batch norm": (lambda: insert(2, "Add", constants=[np.ones((8, 1, 1), np.float32)]),
                                    "^node 2 .*arithmetic that is no"),
    "a bias along the width": (lambda: node(NORM, op_type="Add", input=["conv 0", "constant 1"]),
                               r"^node 1 .*\(8,\) values for 8 channels"),
    "a bias behind an activation": (bias_behind_activation, "^node 2 .*arithmetic that is no layer"),
    # the image
    "a mean image": (lambda: insert(CONV, "Sub", constants=[np.ones((3, 33, 47), np.float32)]), "^node 0 .*one number"),
    "a number a row": (lambda: insert(CONV, "Sub", constants=[np.ones((3, 1), np.float32)]), "^node 1 .*one number"),
    "a division by nothing": (lambda: insert(CONV, "Div", constants=[ZEROS]), "^node 0 .*one number per channel"),
    "times nothing": (lambda: insert(CONV, "Mul", constants=[ZEROS]), r"^its image is multiplied by \[0.0\]"),
    "a negative": (lambda: insert(CONV, "Mul", constants=[ZEROS - 1]), r"^its image is multiplied by \[-1.0\]"),
    "times what is no number": (lambda: insert(CONV, "Mul", constants=[ZEROS * np.nan]), "^its image is multiplied by"),
}  # fmt: skip


def test_the_file_to_be_spoiled_is_sound() -> None:
    importing(sound())
    kinds = [proto.op_type for proto in ModelProto.FromString(sound()).graph.node]
    assert [kinds[place] for place in (NORM, DEPTHWISE, POOL, FLATTEN)] == [
        "BatchNormalization",
        "Conv",
        "GlobalAveragePool",
        "Flatten",
    ]
    assert kinds[GEMM] == "Gemm" and len(kinds) == 18


def test_a_constant_of_eight_axes_is_sound() -> None:
    importing(constant_unsqueezed(8))


@pytest.mark.parametrize("case", CASES)
def test_refused(case: str) -> None:
    make, reason = CASES[case]
    refused(make(), reason)


@pytest.mark.parametrize("share", range(10))
def test_truncated(share: int) -> None:
    refused(sound()[: 1 + (len(sound()) - 1) * share // 10], "^not an ONNX file")


def test_no_other_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe beside the file: who opens it waits for ever."""
    os.mkfifo(tmp_path / "weights.bin")
    path = tmp_path / "m.onnx"
    path.write_bytes(external("weights.bin"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ModelFileError, match=rf"^{path}: its values are in 'weights.bin', which must be in the same folder$"
    ):
        import_files([path])


@pytest.mark.parametrize("location", ["/etc/passwd", "../weights.bin", "a/../../weights.bin", "", "a\\..\\..\\b"])
def test_nothing_out_of_the_folder_is_opened(tmp_path: Path, location: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(external(location))
    with pytest.raises(ModelFileError, match=r"out of its folder: that is not opened$"):
        import_files([path])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"offset": "8"}, "bytes 8 to 872 of 864 of its external data"),
        ({"offset": "-1"}, "bytes -1 to 863 of 864 of its external data"),
        ({"length": "9" * 99}, "of 864 of its external data"),
        ({"length": "many"}, "its external data are at byte '0', for 'many' bytes"),
        ({"length": "9" * 9999}, "its external data are at byte '0', for '999"),
        ({"length": "860"}, "constant 0: 215 values for shape"),
    ],
)
def test_external_data_of_another_size(tmp_path: Path, where: dict[str, str], message: str) -> None:
    path, proto = tmp_path / "m.onnx", ModelProto.FromString(external("weights.bin"))
    for entry in proto.graph.initializer[0].external_data:
        entry.value = where.get(entry.key, entry.value)
    path.write_bytes(proto.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(bytes(864))
    with pytest.raises(ModelFileError, match=message):
        import_files([path])


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_bytes_changed_anywhere(changes: list[tuple[float, int]]) -> None:
    """Never another error than ours, wherever the file is hit."""
    content = bytearray(sound())
    for place, value in changes:
        content[int(place * len(content))] = value
    try:
        importing(bytes(content))
    except MobilenetsError as exc:
        assert "\n" not in str(exc)


@pytest.mark.parametrize("sides", [[1 << 34, 1, 3, 3], [1 << 62], [1 << 31, 1 << 31]])
def test_what_claims_to_be_huge_takes_no_memory(sides: list[int], tmp_path: Path) -> None:
    """In a process that may not have more than a gigabyte, libraries in other languages included."""
    path = tmp_path / "m.onnx"
    path.write_bytes(tensor(dims=sides))
    code = f"""
import resource
from pathlib import Path
from mobilenets.errors import ModelFileError
from mobilenets.weights import import_files
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    import_files([Path({str(path)!r})])
except ModelFileError as exc:
    print("refused")"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr


def test_onnx_itself_would_open_it(tmp_path: Path) -> None:
    """The case of external data is a real one."""
    (tmp_path / "weights.bin").write_bytes(bytes(864))
    (tmp_path / "m.onnx").write_bytes(external("weights.bin"))
    assert not onnx.load(tmp_path / "m.onnx").graph.initializer[0].external_data


@pytest.mark.parametrize(("shape", "boxes"), [([1, 100, 4], True), ([1, 10], False), ([4], False), ([1, 4, 10], False)])
def test_several_outputs_are_a_detector_s_where_boxes_are_among_them(shape: list[int], boxes: bool) -> None:
    def add(proto: ModelProto) -> None:
        proto.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, shape))

    refused(changed(add), "^2 outputs, boxes among them: .*detector" if boxes else "^output 'more' is given by no node")
