"""Malformed TensorFlow Lite files: each is refused in one line that gives the reason, soon, and in little memory."""

import tracemalloc
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.ma  # which np.unique imports when it is first called: not part of what a file costs
import pytest
import tflite
from conftest import make_random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_files import File, Form, Operator, mobilenet, write

from mobilenets.arch.network import Block, Network
from mobilenets.errors import MobilenetsError, ModelFileError
from mobilenets.weights.importing import import_files
from mobilenets.weights.read import tflite_file
from mobilenets.weights.read.tflite import read_tflite
from mobilenets.weights.recognise import Given, recognise

NETWORK = Network(1.0, 33, 47, classes=5, stem=8, blocks=(Block(1, 12), Block(2, 20)), activation="relu6")
pytestmark = pytest.mark.timeout(60)  # a reader that hangs

GIVEN = Given(pixels=(127.5, 127.5))
FORMS = {name: Form(name) for name in ("float32", "float16", "uint8", "int8")}


@cache
def sound(form: str) -> bytes:
    return write(new(form))


def new(form: str = "float32") -> File:
    return mobilenet(make_random_model(NETWORK), FORMS[form])


def importing(content: bytes) -> None:
    """Bounded in memory, whatever comes of it; the mark above bounds its time."""
    limit = 40 * len(content) + (1 << 20)
    tracemalloc.start()
    try:
        recognise(read_tflite(content), GIVEN)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit


def refused(content: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason) as caught:
        importing(content)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("form", FORMS)
def test_the_files_to_be_spoiled_are_sound(form: str) -> None:
    importing(sound(form))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a TensorFlow Lite file: it lacks the mark TFL3"),
        (b"TFL3", "it lacks the mark TFL3"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "it lacks the mark TFL3"),
        (b"PK\x03\x04TFL4" + bytes(100), "it lacks the mark TFL3"),
        (bytes(4) + b"TFL3", "0 subgraphs"),
        (b"\xf0\xff\xff\xffTFL3" + bytes(100), "damaged or cut off: it points outside its 108 bytes"),
        (b"\x00\x01\x00\x00TFL3" + bytes(100), "it points outside"),
    ],
)
def test_no_flatbuffer(content: bytes, reason: str) -> None:
    refused(content, reason)


@pytest.mark.parametrize("share", range(20))
def test_truncated(share: int) -> None:
    content = sound("int8")
    refused(content[: len(content) * share // 20], "damaged|lacks the mark")


def conv(file: File, number: int = 0) -> Operator:
    return [operator for operator in file.operators if "CONV" in operator.kind][number]


def change(part: str, **values: Any) -> Callable[[File], None]:
    """The first tensor with `part` in its name gets other values."""

    def edit(file: File) -> None:
        for name, value in values.items():
            setattr(file.named(part), name, value)

    return edit


def change_operator(number: int, **values: Any) -> Callable[[File], None]:
    def edit(file: File) -> None:
        for name, value in values.items():
            setattr(file.operators[number], name, value)

    return edit


def change_field(**values: int) -> Callable[[File], None]:
    """Of the options of the first depthwise convolution."""
    return lambda file: conv(file, 1).fields.update(values)


def insert(at: int, kind: str, shape: list[int] | None = None) -> Callable[[File], None]:
    """An operator between two others."""

    def edit(file: File) -> None:
        before = file.operators[at].inputs[0]
        made = file.add("new", shape or file.tensors[before].shape)
        file.operators[at].inputs[0] = made
        file.operators.insert(at, Operator(kind, [before], [made]))

    return edit


def padding(values: list[list[int]], at: int = 0, dtype: type = np.int32) -> Callable[[File], None]:
    def edit(file: File) -> None:
        insert(at, "PAD")(file)
        shape = [len(values), 2]
        file.operators[at].inputs.append(file.add("pads", shape, np.dtype(dtype).name, np.array(values, dtype)))

    return edit


def rescaling(kind: str, *numbers: float) -> Callable[[File], None]:
    """Arithmetic before the first layer."""

    def edit(file: File) -> None:
        insert(0, kind)(file)
        file.operators[0].inputs.append(file.add("numbers", [len(numbers)], values=np.array(numbers, np.float32)))

    return edit


# What a File with one change is refused for
STRUCTURE: dict[str, tuple[Callable[[File], Any], str]] = {
    "two subgraphs": (lambda f: setattr(f, "subgraphs", 2), "2 subgraphs: a MobileNet has one"),
    "no subgraph": (lambda f: setattr(f, "subgraphs", 0), "0 subgraphs"),
    "no operators": (lambda f: f.operators.clear(), "0 operators: a MobileNet has 1 to 2048"),
    "many operators": (
        lambda f: f.operators.extend(f.operators[-1:] * 2048),
        "2057 operators: a MobileNet has 1 to 2048",
    ),
    "two inputs": (lambda f: f.inputs.append(1), "2 inputs and 1 outputs: one of each is read"),
    "no output": (lambda f: f.outputs.clear(), "1 inputs and 0 outputs"),
    "output that nothing gives": (
        lambda f: f.outputs.__setitem__(0, 1),
        "its output is tensor 1, but the last operator",
    ),
    "operator without inputs": (change_operator(1, inputs=[]), r"operator 1 \(DEPTHWISE_CONV_2D\) has 0 inputs"),
    "operator with two outputs": (change_operator(1, outputs=[4, 5]), "has 3 inputs and 2 outputs"),
    "operator that takes its own output": (
        lambda f: setattr(conv(f, 1), "inputs", [conv(f, 1).outputs[0], *conv(f, 1).inputs[1:]]),
        "operator 1 .* does not take what the one before it gives",
    ),
    "operator that gives its own input": (
        lambda f: setattr(conv(f, 1), "outputs", conv(f, 1).inputs[:1]),
        "operator 1 .* gives an earlier tensor",
    ),
    "ring": (lambda f: setattr(f.operators[-1], "outputs", conv(f).outputs), "gives an earlier tensor"),
    "operator that reads a later tensor": (
        lambda f: setattr(conv(f, 1), "inputs", [conv(f, 2).outputs[0], *conv(f, 1).inputs[1:]]),
        "does not take what the one before it gives",
    ),
    "a branch": (
        insert(2, "ADD"),
        r"operator 2 \(ADD\): no MobileNet has one; it is not a MobileNet from there on",
    ),
    "tensor out of range": (change_operator(0, inputs=[0, 999, 2]), "tensor 999 of 2.: there is none"),
    "negative tensor": (change_operator(0, inputs=[0, -2, 2]), "tensor -2 of 2.: there is none"),
    "buffer out of range": (change("conv0/kernel", buffer=999), "conv0/kernel: buffer 999 of 2.: there is none"),
    "operator code out of range": (change_operator(0, code=77), "operator code 77 of 9: there is none"),
    "kernel that is computed": (change("conv0/kernel", values=None), "conv0/kernel: not a constant of a known number"),
    "convolution without a kernel": (change_operator(0, inputs=[0]), r"operator 0 \(CONV_2D\) lacks its kernel"),
    "convolution without options": (change_operator(0, options=""), r"operator 0 \(CONV_2D\) lacks its Conv2DOptions"),
    "options of another operator": (
        change_operator(0, options="Pool2DOptions", fields={}),
        r"operator 0 \(CONV_2D\) lacks its Conv2DOptions",
    ),
}
VALUES: dict[str, tuple[Callable[[File], Any], str]] = {
    "buffer shorter than its shape": (change("conv0/kernel", shape=[9, 3, 3, 3]), "864 bytes for shape .9, 3, 3, 3."),
    "buffer longer than its shape": (change("conv0/kernel", shape=[7, 3, 3, 3]), "864 bytes for shape .7, 3, 3, 3."),
    "huge shape": (change("conv0/kernel", shape=[2**31 - 1] * 4), "864 bytes for shape .2147483647, "),
    "huge shape that wraps": (change("conv0/kernel", shape=[2**30, 2**30, 16, 1]), "864 bytes for shape"),
    "negative shape": (change("conv0/kernel", shape=[-8, -3, 3, 3]), "864 bytes for shape .-8, -3, 3, 3."),
    "shape of a million axes": (change("conv0/kernel", shape=[2**31 - 1] * 10**6), "1000000 axes: at most 8 are read"),
    "kernel of three axes": (change("conv0/kernel", shape=[8, 9, 3]), "operator 0 .* a kernel of shape .8, 9, 3."),
    "unknown number format": (change("conv0/kernel", type="int32"), "conv0/kernel: integers without a scale"),
    "kernel of another width": (
        change("image", shape=[1, 33, 47, 4]),
        "a kernel for 3 channels takes shape .1, 33, 47, 4.",
    ),
    "input of no image": (change("image", shape=[33]), "a kernel for 3 channels takes shape .33,."),
    "bias of another length": (change("conv0/bias", shape=[4, 2]), "conv0: .4, 2. values for 8 channels"),
    "values that are not finite": (
        change("dw1/kernel", values=np.full((1, 3, 3, 8), np.nan, np.float32)),
        "dw1.weight holds values that are not finite",
    ),
    "flattened before the pool": (insert(3, "RESHAPE", [1, 340]), "from .1, 17, 24, 12. to .1, 340."),
}
NO_MOBILENET: dict[str, tuple[Callable[[File], Any], str]] = {
    "custom operator": (insert(2, "CUSTOM"), r"operator 2 \(CUSTOM\): no MobileNet has one"),
    "LSTM": (insert(2, "UNIDIRECTIONAL_SEQUENCE_LSTM"), r"\(UNIDIRECTIONAL_SEQUENCE_LSTM\): no MobileNet has one"),
    "control flow": (insert(2, "WHILE"), r"operator 2 \(WHILE\): no MobileNet has one"),
    "softmax in the middle": (insert(2, "SOFTMAX"), r"operator 3 \(CONV_2D\) after the softmax"),
    "activation before all": (insert(0, "RELU6"), r"operator 0 \(RELU6\) follows no convolution that lacks one"),
    "two activations": (insert(1, "RELU"), r"operator 1 \(RELU\) follows no convolution that lacks one"),
    "dilation": (change_field(DilationWFactor=2), "dw1: stride .1, 1. with dilation .1, 2."),
    "two strides": (change_field(StrideH=2), "dw1: stride .2, 1. with dilation"),
    "stride 3": (change_field(StrideH=3, StrideW=3), "layer 2, dw1: a depthwise convolution with stride 3"),
    "stride -1": (change_field(StrideH=-1, StrideW=-1), "layer 2, dw1: a depthwise convolution with stride -1"),
    "another activation": (change_field(FusedActivationFunction=4), "layer 2, dw1: no ReLU or ReLU6 follows it"),
    "no padding": (change_field(Padding=1), "layer 2, dw1: padding valid .* follows no rule of a MobileNet"),
    "PAD of a PAD": (padding([[0, 0], [1, 1], [1, 1], [0, 0]], 1), "dw1: padded twice, by a PAD and by itself"),
    "PAD before the pool": (
        padding([[0, 0], [1, 1], [1, 1], [0, 0]], 6),
        r"operator 7 \(AVERAGE_POOL_2D\) after a PAD",
    ),
    "PAD of channels": (padding([[0, 0], [1, 1], [1, 1], [0, 1]], 1), r"padding .* MobileNet pads height and width"),
    "PAD of two axes": (padding([[1, 1], [1, 1]], 1), "padding .* MobileNet pads height and width"),
    "pool over a part": (
        lambda f: next(o for o in f.operators if "POOL" in o.kind).fields.update(FilterWidth=2),
        "a pool over a part of .1, 9, 12, 20.",
    ),
    "rescaling by nothing": (insert(0, "MUL"), r"operator 0 \(MUL\): not a change of the image by one number"),
    "rescaling by two": (
        rescaling("MUL", 1, 2),
        r"operator 0 \(MUL\): not a change of the image by one number per c",
    ),
    "rescaling by four": (rescaling("SUB", 1, 2, 3, 4), r"operator 0 \(SUB\): not a change of the image by one number"),
    "division by 0": (
        rescaling("DIV", 2, 0, 2),
        r"operator 0 \(DIV\): not a change of the image by one number per chan",
    ),
    "times 0": (rescaling("MUL", 2, 0, 2), "^its input is normalised by mean"),
    "shuffled kernel": (
        lambda f: next(o for o in f.operators if "FULLY" in o.kind).fields.update(WeightsFormat=1),
        "fc: a shuffled kernel, which is not read",
    ),
}
QUANTISED: dict[str, tuple[Callable[[File], Any], str]] = {
    "no scale": (change("conv0/kernel", scale=[], zero=[]), "conv0/kernel: integers without a scale"),
    "scale 0": (change("conv0/kernel", scale=[0.0] * 8), "conv0/kernel: scale 0: must be above 0"),
    "scale NaN": (change("conv0/kernel", scale=[np.nan] * 8), "conv0/kernel: scale nan: must be above 0"),
    "scale infinite": (change("conv0/bias", scale=[np.inf] * 8), "conv0/bias: scale inf: must be above 0"),
    "negative scale": (change("conv0/kernel", scale=[-0.5] * 8), "conv0/kernel: scale -0.5: must be above 0"),
    "too many scales": (change("conv0/kernel", scale=[0.5] * 9), "conv0/kernel: 9 scales along axis 0 of shape"),
    "too few scales": (change("conv0/kernel", scale=[0.5] * 2), "conv0/kernel: 2 scales along axis 0 of shape"),
    "another quantised dimension": (change("dw1/kernel", axis=0), "dw1/kernel: 8 scales along axis 0 of shape"),
    "quantised dimension out of range": (change("dw1/kernel", axis=4), "dw1/kernel: 8 scales along axis 4 of shape"),
    "negative quantised dimension": (change("dw1/kernel", axis=-1), "dw1/kernel: 8 scales along axis -1 of shape"),
    "too many zero points": (change("conv0/kernel", zero=[0] * 3), "conv0/kernel: 3 zero points for 8 scales"),
    "input of scale 0": (change("image", scale=[0.0]), "image: scale 0: must be above 0"),
    "overflow": (change("conv0/kernel", scale=[3e38] * 8), "conv0.weight holds values that are not finite"),
}


@pytest.mark.parametrize("name", STRUCTURE | VALUES | NO_MOBILENET)
def test_malformed(name: str) -> None:
    edit, reason = (STRUCTURE | VALUES | NO_MOBILENET)[name]
    file = new()
    edit(file)
    refused(write(file), reason)


@pytest.mark.parametrize("name", QUANTISED)
def test_malformed_quantised(name: str) -> None:
    edit, reason = QUANTISED[name]
    file = new("int8")
    edit(file)
    refused(write(file), reason)


@pytest.mark.parametrize("zeros", [[], [0], [0] * 8])
def test_zero_points_for_none_all_or_each_of_the_channels(zeros: list[int]) -> None:
    file = new("int8")
    file.named("conv0/kernel").zero = zeros
    found = recognise(read_tflite(write(file)), GIVEN).model
    assert found.digest() == recognise(read_tflite(sound("int8")), GIVEN).model.digest()


def test_as_many_values_as_a_file_may_claim() -> None:
    file = tflite_file.File(sound("int8"))
    assert file.spend(file.left) > 0 and file.spend(0) == 0
    with pytest.raises(ModelFileError, match="claims more values than its bytes can hold"):
        file.spend(1)


def test_an_image_of_8_pixels() -> None:
    file = new("int8")
    file.named("image").shape = [1, 8, 8, 3]
    with pytest.raises(ModelFileError, match=r"height .=8. must be a whole number from 32 to 8192"):
        recognise(read_tflite(write(file)))


def vectors(content: bytes) -> dict[str, int]:
    """Where the lengths of vectors stand."""
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    kernel = next(t for t in map(graph.Tensors, range(graph.TensorsLength())) if t.Name() == b"conv0/kernel")
    parts = {"model": model, "graph": graph, "operator": graph.Operators(0), "kernel": kernel}
    parts |= {"buffer": model.Buffers(kernel.Buffer()), "quantisation": kernel.Quantization()}
    slots = {  # of the schema
        "model": {"operator codes": 6, "subgraphs": 8, "buffers": 12},
        "graph": {"tensors": 4, "inputs": 6, "outputs": 8, "operators": 10},
        "operator": {"inputs": 6, "outputs": 8},
        "kernel": {"shape": 4},
        "buffer": {"data": 4},
        "quantisation": {"scale": 8, "zero point": 10},
    }
    return {
        f"{part}: {name}": parts[part]._tab.Vector(parts[part]._tab.Offset(slot)) - 4
        for part, names in slots.items()
        for name, slot in names.items()
    }


@pytest.mark.parametrize("vector", [*vectors(sound("int8"))])
@pytest.mark.parametrize("length", [4_000_000_000, 2_000_000])
def test_vectors_longer_than_the_file(vector: str, length: int) -> None:
    content = bytearray(sound("int8"))
    place = vectors(sound("int8"))[vector]
    content[place : place + 4] = length.to_bytes(4, "little")
    refused(bytes(content), f"damaged: it claims more values than its bytes can hold|{length} |{length - 1} ")


def test_one_kernel_for_many_layers_is_no_bomb() -> None:
    """A megabyte that 500 convolutions share would be 2 GB of float32."""
    file = new("int8")
    at = next(number for number, operator in enumerate(file.operators) if "POOL" in operator.kind)
    kernel = file.add("big", [1024, 1, 1, 1024], "int8", np.ones((1024, 1, 1, 1024), np.int8), [0.5], [0])
    for _ in range(500):
        made = file.add("more", [1, 9, 12, 1024])
        fields = {"Padding": 0, "StrideW": 1, "StrideH": 1}
        file.operators.insert(
            at, Operator("CONV_2D", [file.operators[at - 1].outputs[0], kernel], [made], "Conv2DOptions", fields)
        )
        file.operators[at + 1].inputs[0] = made
        file.tensors[file.operators[at].inputs[0]].shape = [1, 9, 12, 1024]
        at += 1
    refused(write(file), "damaged: it claims more values than its bytes can hold")


def test_one_name_for_many_layers_is_no_bomb() -> None:
    """LiteRT files may share strings; a megabyte of a name is shown by its beginning."""
    file = new()
    for operator in file.operators:
        if "CONV" in operator.kind:
            file.tensors[operator.outputs[0]].name = "name" * 250_000
    conv(file, 1).fields["StrideW"] = conv(file, 1).fields["StrideH"] = 3
    refused(write(file), "^layer 2, (name){20}: a depthwise convolution with stride 3")


def test_names_are_fit_for_a_terminal(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = new()
    file.named("dw1").name = file.tensors[conv(file, 1).outputs[0]].name = "dw\n\x1b[31m\x00"
    conv(file, 1).fields["StrideW"] = conv(file, 1).fields["StrideH"] = 3
    (tmp_path / "x.tflite").write_bytes(write(file))
    with pytest.raises(ModelFileError) as caught:
        import_files([tmp_path / "x.tflite"], GIVEN)
    assert str(caught.value).isprintable()
    assert "layer 2, dw" in str(caught.value)


edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=4)


@settings(max_examples=150)
@given(st.sampled_from([*FORMS]), edits, st.floats(0.0, 1.0))
def test_whatever_bytes_change_it_is_one_of_our_errors(
    form: str, edits: list[tuple[float, bytes]], kept: float
) -> None:
    content = bytearray(sound(form))
    for place, new in edits:
        at = int(place * len(content))
        content[at : at + len(new)] = new
    if kept < 0.5:  # else the file keeps its length
        del content[int(2 * kept * len(content)) :]
    try:
        importing(bytes(content))
    except MobilenetsError as exc:
        assert len(str(exc)) < 600


@pytest.mark.parametrize(
    ("shape", "boxes"), [([1, 1917, 4], True), ([1, 10], False), ([4], False), ([1, 4, 10], False)]
)
def test_several_outputs_are_a_detector_s_where_boxes_are_among_them(shape: list[int], boxes: bool) -> None:
    file = new()
    file.outputs = [*file.outputs, file.add("more", shape)]
    refused(
        write(file),
        "2 outputs, boxes among them: .*detector" if boxes else "^1 inputs and 2 outputs: one of each is read",
    )
