"""Files that are made to take for ever: each is refused before work is spent on its many parts."""

import io
import pickle
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
import tflite
from conftest import make_random_model
from onnx import TensorProto, helper
from safetensors.numpy import save

from mobilenets.arch.network import Block, Network
from mobilenets.errors import ModelFileError
from mobilenets.exporters import write
from mobilenets.runtime import Session
from mobilenets.weights import import_files
from mobilenets.weights.importing import read_content
from mobilenets.weights.read import hdf5

pytestmark = pytest.mark.timeout(60)  # a reader that hangs

NETWORK = Network(1.0, 33, 47, classes=5, stem=8, blocks=(Block(1, 12), Block(2, 20)))


def zipped(pickled: bytes, storages: int = 0) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("m/data.pkl", pickled)
        for number in range(storages):
            archive.writestr(f"m/data/{number}", b"")
    return content.getvalue()


def metadata_of_tflite(entries: int) -> bytes:
    """A file that is nothing but one entry of metadata, many times."""
    build = flatbuffers.Builder()
    tflite.MetadataStart(build)
    entry = tflite.MetadataEnd(build)
    tflite.ModelStartMetadataVector(build, entries)
    for _ in range(entries):
        build.PrependUOffsetTRelative(entry)
    metadata = build.EndVector()
    tflite.SubGraphStart(build)
    graph = tflite.SubGraphEnd(build)
    tflite.ModelStartSubgraphsVector(build, 1)
    build.PrependUOffsetTRelative(graph)
    graphs = build.EndVector()
    tflite.ModelStart(build)
    tflite.ModelAddSubgraphs(build, graphs)
    tflite.ModelAddMetadata(build, metadata)
    build.Finish(tflite.ModelEnd(build), b"TFL3")
    return bytes(build.Output())


def nodes_of_onnx(count: int) -> bytes:
    names = ["image", *map(str, range(count))]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 33, 47])
    answer = helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, None)
    return bytes(helper.make_model(helper.make_graph(nodes, "g", [image], [answer])).SerializeToString())


FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "steps": (".pt", lambda: zipped(b"\x80\x02" + b"N" * 1_100_000 + b"."), "more than 1000000 steps"),
    "old steps": (".pt", lambda: b"\x80\x02" + b"N" * 1_100_000 + b".", "more than 1000000 steps"),
    "storages": (".pt", lambda: zipped(pickle.dumps({}), 30_000), "30001 tensors: no MobileNet has more"),
    "keys": (".pt", lambda: zipped(pickle.dumps(dict.fromkeys(map(str, range(30_000))), 2)), "30000 tensors: no"),
    "tensors": (
        ".safetensors",
        lambda: save({f"{i}.weight": np.zeros(1, np.float32) for i in range(30_000)}),
        "30000 tensors: no MobileNet has more",
    ),
    "nodes": (".onnx", lambda: nodes_of_onnx(30_000), "more than 20000 nodes or constants"),
    "metadata": (".tflite", lambda: metadata_of_tflite(200_000), "200000 entries|more values than its bytes|0 inputs"),
}


@pytest.mark.parametrize("case", FILES)
def test_too_many_parts(case: str) -> None:
    suffix, make, reason = FILES[case]
    with pytest.raises(ModelFileError, match=reason):
        read_content(make(), suffix)


def test_headers_of_hdf5_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    content = write(make_random_model(NETWORK), "keras-h5")
    hdf5.Hdf5(content).child(hdf5.Hdf5(content).root, "model_weights")
    monkeypatch.setattr(hdf5, "MAX_PARTS", 3)
    with pytest.raises(ModelFileError, match="more than 3 links"):
        hdf5.Hdf5(content)


# --- what ONNX Runtime would run


def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    proto = onnx.load_model_from_string(write(make_random_model(NETWORK), "onnx"))
    change(proto)
    return bytes(proto.SerializeToString())


def loop(proto: onnx.ModelProto) -> None:
    """A loop that would take years, between the last node and the answer."""
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    count = helper.make_tensor("count", TensorProto.INT64, [], [1 << 60])
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["again"])],
        "body",
        inputs,
        [helper.make_tensor_value_info("again", TensorProto.BOOL, [])],
    )
    proto.graph.initializer.extend([true, count])
    proto.graph.node.append(helper.make_node("Loop", ["count", "true"], [], body=body))


def padded(proto: onnx.ModelProto) -> None:
    node = next(node for node in proto.graph.node if node.op_type == "Conv")
    next(a for a in node.attribute if a.name == "pads").ints[:] = [1 << 20] * 4


def many(proto: onnx.ModelProto) -> None:
    proto.graph.node.extend([proto.graph.node[0]] * 30_000)


def elsewhere(proto: onnx.ModelProto) -> None:
    entry = proto.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (loop, "its graph has a Loop, which holds a graph"),
        (padded, "a tensor of [0-9]+ numbers, at most"),
        (many, "nodes and [0-9]+ constants, more than 20000"),
        (elsewhere, "its values are in another file, which is not opened"),
    ],
)
def test_graphs_that_are_not_run(change: Callable[[onnx.ModelProto], object], reason: str) -> None:
    Session.from_onnx(changed(lambda proto: None), 1)
    with pytest.raises(ModelFileError, match=reason):
        Session.from_onnx(changed(change), 1)


# --- names


NAME = "x" * 20_000 + "\x1b[31mred\n"


@pytest.mark.parametrize("field", ["op_type", "name", "output", "input", "domain"])
def test_names_of_onnx_are_shortened_and_escaped(field: str, tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        node = proto.graph.node[5]
        if field in ("input", "output"):
            getattr(node, field)[0] = NAME
        else:
            setattr(node, field, NAME)
            node.op_type = node.op_type if field == "op_type" else "Strange"

    path = tmp_path / "m.onnx"
    path.write_bytes(changed(change))
    for open_it in (lambda: import_files([path]), lambda: Session.from_onnx(str(path), 1)):
        with pytest.raises(ModelFileError) as caught:
            open_it()
        assert str(caught.value).isprintable() and len(str(caught.value)) <= 1000


def test_names_of_tensors_are_shortened_and_escaped(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    for name in (NAME, f"{NAME}.weight", "\x1b[31mred.weight", "blocks.\x07.weight"):
        path.write_bytes(save({name: np.zeros((2, 3, 3), np.float32)}))
        with pytest.raises(ModelFileError) as caught:
            import_files([path])
        assert str(caught.value).isprintable() and len(str(caught.value)) <= 1000
