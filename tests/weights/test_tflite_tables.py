"""Hard sigmoids and hard swishes that a file computes by several operators: LiteRT's bytes."""

from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model
from tflite_files import Form, mobilenet, write

from mobilenets.arch.network import Block, Network
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel
from mobilenets.weights import Given, import_files

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

# gates of 2x2 pixels, of which a quarter of the means are halves
BLOCKS = (Block(2, 16), Block(2, 24), Block(2, 24, gate=16))
GATED = Network(1.0, 32, 32, stem=8, blocks=BLOCKS, activation="hard_swish", classes=50, padding="same")
TABLES = {"conv0_act", *(f"{part}{i}_act" for part in ("dw", "pw") for i in (1, 2, 3)), "gate3_excite_act"}


def imported(path: Path, kind: str) -> QuantModel:
    """A gated network of one converter, read with its integers."""
    path.write_bytes(
        write(mobilenet(make_random_model(GATED.replace(blocks=BLOCKS[:3])), Form(kind, mean=kind == "int8")))
    )
    found = import_files([path], Given(pixels=(127.5, 127.5)), int8=True).integers
    assert found is not None
    return found


def litert(path: Path, images: np.ndarray) -> np.ndarray:
    """What goes into the softmax, as int8."""
    network = interpreter.Interpreter(str(path), num_threads=1)
    network.allocate_tensors()
    given = network.get_input_details()[0]
    softmax = next(op for op in network._get_ops_details() if op["op_name"] == "SOFTMAX")
    found = []
    for image in images:
        network.set_tensor(given["index"], (image if given["dtype"] == np.uint8 else (image ^ 128).view(np.int8))[None])
        network.invoke()
        found.append(network.get_tensor(softmax["inputs"][0]).ravel())
    logits = np.stack(found)
    return logits if logits.dtype == np.int8 else (logits ^ 128).view(np.int8)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_the_bytes_are_those_of_litert(kind: str, tmp_path: Path) -> None:
    model = imported(tmp_path / "m.tflite", kind)
    assert set(model.tables) == TABLES
    images = np.random.default_rng(1).integers(0, 256, (20, 32, 32, 3), np.uint8)
    found = reference.run(model, images)
    np.testing.assert_array_equal(found, litert(tmp_path / "m.tflite", images))
    assert len(np.unique(found)) > 30 and len(np.unique(found, axis=0)) == len(images)
