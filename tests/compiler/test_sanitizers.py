"""Emitted networks under the sanitizers of the compilers and under valgrind: no finding; see driver.py."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_random_model
from driver import COMMANDS, build, command, run
from int8_networks import random_integers
from running import float64_logits, images_of, relative_rms
from test_parity import RESIDUAL

from mobilenets.arch.network import Block, Network
from mobilenets.compiler.program import Target
from mobilenets.compiler.targets import BF16_TARGETS, INT8_TARGETS, TARGETS, best_target
from mobilenets.quant import reference

pytestmark = pytest.mark.slow

NETWORKS = {
    "33x65": Network(0.25, 33, 65, classes=11, padding="same"),
    "0.25-96": Network(0.25, 96, 96, padding="keras", activation="relu6"),
    "alpha .1, grey": Network(0.1, 40, 37, channels=1, classes=2),
    "full, head": Network(0.1, 48, 36, convolution="full", head=70, classes=5, padding="same"),
    "head": Network(0.33, 50, 35, head=100, blocks=(Block(1, 64), Block(2, 100)), classes=17),
    "odd": Network(1.3, 32, 70, stem=5, blocks=(Block(2, 3), Block(1, 17), Block(2, 130)), classes=1001),
    "residual": RESIDUAL,
    "one pixel": Network(0.25, 32, 32, blocks=(Block(2, 16),) * 5, classes=1, output="sigmoid"),
}
PLAIN = TARGETS["portable"]
KINDS: dict[str, tuple[str, Target]] = {  # tiles: of AMX, emulated
    "fp32": ("fp32", best_target()),
    "fp32 plain": ("fp32", PLAIN),
    "bf16": ("bf16", best_target("auto", BF16_TARGETS)),
    "bf16 plain": ("bf16", PLAIN),
    "bf16x3 tiles": ("bf16x3", replace(BF16_TARGETS["amx"], flags=())),
    "int8": ("int8", best_target("auto", INT8_TARGETS)),
    "int8 plain": ("int8", PLAIN),
    "int8 tiles": ("int8", replace(INT8_TARGETS["amx"], flags=())),
}
FLOATS = [kind for kind in KINDS if kind.startswith("fp32")]
BOUNDS = {"fp32": 1e-5, "bf16": 0.05, "bf16x3": 3e-4, "int8": 1e-6}


def check(folder: Path, network: Network, kind: str, compiler: str, *before: str) -> None:
    """No finding, and the right answer."""
    precision, target = KINDS[kind]
    words = [*command(compiler), *(["-DTILES"] if "tiles" in kind else [])]
    if precision == "int8":
        integers = random_integers(network)
        image = images_of(integers, 1)
        build(folder, words, integers, target)
        exact = integers.activations["fc"].real(reference.run(integers, image))[0]
    else:
        model = make_random_model(network, seed=1)
        image = images_of(model, 1)
        build(folder, words, model, target, precision)
        exact = float64_logits(model, image)[0]
    assert relative_rms(run(folder, image, *before), exact) <= BOUNDS[precision]


SANITIZERS = [name for name in COMMANDS if name != "gcc" and "thread" not in name]
FEW = ("33x65", "alpha .1, grey", "odd")  # for what is not fp32
CASES = [
    (network, kind)
    for network in NETWORKS
    for kind in KINDS
    if kind in FLOATS or network in FEW or (network == "residual" and "int8" not in kind)
]


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize(("network", "kind"), CASES)
def test_the_sanitizers_find_nothing(network: str, kind: str, sanitizer: str, tmp_path: Path) -> None:
    check(tmp_path, NETWORKS[network], kind, sanitizer)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "plain" not in kind])
@pytest.mark.parametrize("network", ["33x65", "head"])
def test_threads_do_not_race(network: str, kind: str, tmp_path: Path) -> None:
    # the sanitizer's own memory does not fit every layout that the kernel draws
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    check(tmp_path, NETWORKS[network], kind, "gcc thread", *fixed)


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
@pytest.mark.parametrize("kind", ["fp32 plain", "bf16 plain", "bf16x3 tiles", "int8 plain"])  # it knows no AVX-512
@pytest.mark.parametrize("network", NETWORKS)
def test_valgrind_finds_nothing(network: str, kind: str, tmp_path: Path) -> None:
    flags = ["--quiet", "--error-exitcode=9", "--leak-check=full", "--track-origins=no"]
    check(tmp_path, NETWORKS[network], kind, "gcc", "valgrind", *flags)


@pytest.mark.parametrize(
    ("sanitizer", "broken", "found"),
    [
        ("gcc address, undefined", ("for (; x < out_width; x++)", "for (; x <= out_width; x++)"), "AddressSanitizer"),
        ("clang memory", ("border(out", "if (0) border(out"), "MemorySanitizer"),
    ],
)
def test_they_would_find_something(sanitizer: str, broken: tuple[str, str], found: str, tmp_path: Path) -> None:
    """A kernel that writes one pixel too many into the buffer beside its own, and a border that is left out."""
    model = make_random_model(NETWORKS["33x65"])
    build(tmp_path, command(sanitizer), model, PLAIN)
    images_of(model, 1).tofile(tmp_path / "pixels")
    text = (tmp_path / "net.c").read_text("utf-8")
    assert broken[0] in text
    (tmp_path / "net.c").write_text(text.replace(*broken), "utf-8")
    words = [*command(sanitizer), *PLAIN.flags, "-o", "driver", "main.c", "net.c", "pool.c", "-lpthread"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(["./driver"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and found in done.stderr
