"""Networks that others quantised, run here with their own integers and by LiteRT: how many bytes of the logits differ.

    python benchmarks/int8_imports.py PHOTOS FILE[+FILE] [...]

`A.tflite+B.tflite` run one after the other. PHOTOS is a folder with a folder a class, or with one photo of each class
in the order of the network's classes. The last column is top-1 of the file imported as floats.
"""

import argparse
from pathlib import Path

import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter

from mobilenets.image import prepare
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime import open_session
from mobilenets.weights import import_files


def litert_logits(path: Path, inputs: np.ndarray) -> np.ndarray:
    """(N, ...) what goes into the softmax, or comes out where there is none, by XNNPACK on one thread."""
    content = readable(path.read_bytes())
    network = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
    network.allocate_tensors()
    softmax = [op for op in network._get_ops_details() if op["op_name"] == "SOFTMAX"]
    index = softmax[0]["inputs"][0] if softmax else network.get_output_details()[0]["index"]
    given = network.get_input_details()[0]
    found = []
    for one in inputs:
        network.set_tensor(given["index"], one.view(given["dtype"])[None])
        network.invoke()
        found.append(network.get_tensor(index)[0].copy())
    return np.stack(found)


def readable(content: bytes) -> bytes:
    """Old converters give a bias the axis of its kernel, which today's LiteRT refuses: axis 0."""
    changed = bytearray(content)
    graph = tflite.Model.GetRootAsModel(changed, 0).Subgraphs(0)
    for number in range(graph.TensorsLength()):
        quantisation = graph.Tensors(number).Quantization()
        if quantisation is not None and graph.Tensors(number).ShapeLength() == 1:
            offset = quantisation._tab.Offset(16)
            if offset:
                at = quantisation._tab.Pos + offset
                changed[at : at + 4] = bytes(4)
    return bytes(changed)


def photos_of(folder: Path) -> tuple[list[Path], np.ndarray]:
    """The photos of a folder with a folder a class, or of one photo a class, and the class of each."""
    paths = sorted(folder.glob("*/*.jpg")) or sorted(folder.glob("*.jpg"))
    names = [path.parent.name if path.parent != folder else path.name for path in paths]
    return paths, np.unique(names, return_inverse=True)[1]


def codes(logits: np.ndarray) -> np.ndarray:
    return logits if logits.dtype == np.int8 else (logits ^ 128).view(np.int8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("files", nargs="+")
    flags = parser.parse_args()
    photos, truth = photos_of(flags.photos)
    print("| file | bytes | differ | largest | top-1 LiteRT | integers | floats |", flush=True)
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in flags.files:
        paths = [Path(part) for part in name.split("+")]
        imported = import_files(paths, int8=True)
        model = imported.integers
        assert model is not None
        images = np.stack([prepare(path, model.preprocess) for path in photos])
        theirs = images
        for path in paths:
            signed = Interpreter(model_content=readable(path.read_bytes())).get_input_details()[0]["dtype"] == np.int8
            theirs = litert_logits(path, theirs ^ 128 if signed and theirs is images else theirs)
        theirs = codes(theirs.reshape(len(images), -1)[:, -model.network.classes :])
        affine, (real, floats) = model.activations["fc"], (logits(each, images) for each in (model, imported.model))
        ours = np.rint(real / np.float32(affine.scale)).astype(int) + affine.zero_point
        assert (ours[:4] == reference.run(model, images[:4])).all()
        wrong, largest = ours != theirs, np.abs(ours - theirs).max()
        right = [f"{(each.argmax(axis=1) == truth).mean():.1%}" for each in (theirs, ours, floats)]
        print(f"| {paths[0].name} | {wrong.size:,} | {wrong.sum():,} | {largest} | {' | '.join(right)} |", flush=True)


def logits(model: Model | QuantModel, images: np.ndarray) -> np.ndarray:
    session = open_session(model)
    return np.concatenate([session.logits(images[i : i + 50]) for i in range(0, len(images), 50)])


if __name__ == "__main__":
    main()
