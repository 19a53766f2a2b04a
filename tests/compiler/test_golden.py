"""The C of three small networks, as it stands in golden/: a change of it is to be seen in review.

`pytest tests/compiler/test_golden.py --update-golden` writes it anew.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mobilenets.arch.graph import expand, weight_shapes
from mobilenets.arch.network import Block, Network
from mobilenets.compiler.compile import sources_of
from mobilenets.compiler.emit import Source
from mobilenets.compiler.targets import TARGETS
from mobilenets.image import Preprocess
from mobilenets.model import Model

pytestmark = pytest.mark.any_processor

GOLDEN = Path(__file__).parent / "golden"
# name -> network, target, whether its weights are in it
CASES = {
    "separable": (Network(0.5, 48, 40, blocks=(Block(1, 64), Block(2, 100)), classes=3), "avx512", False),
    "full": (
        Network(0.25, 32, 33, channels=1, blocks=(Block(2, 40),), head=64, classes=2, convolution="full"),
        "avx2",
        False,
    ),
    "embedded": (
        Network(1, 32, 32, blocks=(Block(2, 4),), stem=2, classes=2, activation="relu6", padding="keras"),
        "portable",
        True,
    ),
}


def model_of(network: Network) -> Model:
    """Weights that any machine folds to the same bits."""
    shapes = weight_shapes(expand(network))
    weights = {
        name: np.ones(shape, np.float32)
        if name.endswith("running_var")
        else ((np.arange(np.prod(shape)) % 13 - 6) / 8).astype(np.float32).reshape(shape)
        for name, shape in shapes.items()
    }
    pixels = Preprocess(network.height, network.width, network.channels, mean=128.0, std=64.0)
    labels = ("plain", 'quoted "tulip" \\ why??/', "Gänseblümchen\n\x07")[: network.classes]
    return Model(network, weights, pixels, labels)


def source(name: str) -> Source:
    network, target, embed = CASES[name]
    return sources_of(model_of(network), TARGETS[target], name, embed)[0]


def texts(name: str) -> dict[str, str]:
    made = source(name)
    return {f"{name}.c": made.c, f"mobilenets_{name}.h": made.h}


@pytest.mark.parametrize("name", CASES)
def test_the_c_is_what_it_was(name: str, request: pytest.FixtureRequest) -> None:
    for file, text in texts(name).items():
        if request.config.getoption("--update-golden"):
            GOLDEN.mkdir(exist_ok=True)
            (GOLDEN / file).write_text(text, "utf-8")
        assert text == (GOLDEN / file).read_text("utf-8"), "read the difference, then run with --update-golden"


def test_nothing_else_lies_there() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == {file for name in CASES for file in texts(name)}


def test_the_c_depends_on_nothing_but_model_and_target(tmp_path: Path) -> None:
    """Neither on the order of hashes, nor on the folder, the locale, the compiler or the processor at hand."""
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from test_golden import CASES, texts
for name in CASES:
    for text in texts(name).values():
        sys.stdout.buffer.write(text.encode())"""
    found = set()
    for seed, locale in (("1", "C"), ("2", "C.UTF-8")):
        environment = {"PYTHONHASHSEED": seed, "LC_ALL": locale, "CC": "none", "PATH": ""}
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert found == {"".join(text for name in CASES for text in texts(name).values()).encode()}


def test_weights_in_the_c_are_the_weights_bit_for_bit() -> None:
    network, target, _ = CASES["embedded"]
    made, lowered = sources_of(model_of(network), TARGETS[target], "embedded", True)
    numbers = re.findall(r"[-\d.]+e[-+]\d+(?=f)", made.c.partition("embedded = {")[2])
    found = np.asarray([float(number) for number in numbers], np.float32)
    assert (found.view(np.uint32) == np.concatenate(lowered.weights.arrays).view(np.uint32)).all()


@pytest.mark.parametrize("values", [np.float32([1e-45, -1e-45, 3.4028235e38, -0.0, 0.1, 1 / 3, 2**-126, 16777217])])
def test_nine_digits_say_any_float(values: np.ndarray) -> None:
    written = np.asarray([float(f"{value:.8e}") for value in values.tolist()], np.float32)
    assert (written.view(np.uint32) == values.view(np.uint32)).all()
