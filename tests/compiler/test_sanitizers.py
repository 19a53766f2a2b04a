"""Emitted networks under the sanitizers of the compilers and under valgrind: no finding.

A program of its own calls each network as a device would, every array exactly as long as the header says. While a step
runs, all of the arena but its input, its output and its scratch is poisoned, so that a step that reads or writes
beside its buffers is found, though all buffers lie in one array.
"""

import shutil
import subprocess
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model
from int8_networks import random_integers
from running import float64_logits, images_of, relative_rms
from test_plan import spans

from mobilenets.arch.network import Block, Network
from mobilenets.compiler.compile import sources_of
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
    "one pixel": Network(0.25, 32, 32, blocks=(Block(2, 16),) * 5, classes=1),
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
COMMANDS = {  # name -> compiler and flags
    "gcc address, undefined": (
        "gcc -O1 -fsanitize=address,undefined,float-cast-overflow,float-divide-by-zero -fno-sanitize-recover=all"
    ),
    # sizes are unsigned on purpose, and the exponential puts the bits of a float together
    "clang undefined": (
        "clang -O0 -fsanitize=undefined,integer -fno-sanitize-recover=all "
        "-fno-sanitize=unsigned-integer-overflow,unsigned-shift-base,implicit-conversion"
    ),
    "clang memory": "clang -O0 -fsanitize=memory -fno-sanitize-recover=all",
    "gcc thread": "gcc -O1 -fsanitize=thread -DPOOL",
    "gcc": "gcc -O2",
}

DRIVER = """
#include "mobilenets_net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (void)(address)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (void)(address)
#endif

#define PARTS 3
typedef void step_function(int, int, int, const void *, const uint8_t *, float *, void *);
struct pool *mobilenets_pool_begin(step_function *run, int steps, int threads);
void mobilenets_pool_run(struct pool *, const void *weights, const uint8_t *pixels, float *output, void *arena);
void mobilenets_pool_end(struct pool *);

static void *room(size_t size) {
    void *memory = NULL;
    if (posix_memalign(&memory, MOBILENETS_NET_ALIGNMENT, size)) exit(3);
#ifdef TILES /* of 16 pixels, read whole whatever lies behind the last one: no numbers, so that none of it may count */
    memset(memory, 0xff, size);
#endif
    return memory;
}

static void *content(const char *path, size_t size) {
    char *memory = room(size);
    FILE *file = fopen(path, "rb");
    if (!file || fread(memory, 1, size, file) != size) exit(4);
    fclose(file);
    return memory;
}

static void only(unsigned char *arena, int step) {
    static const int spans[][2] = {SPANS};
    static const int ends[] = {ENDS};
    ASAN_POISON_MEMORY_REGION(arena, MOBILENETS_NET_PARTS_ARENA_BYTES(PARTS));
    for (int i = step ? ends[step - 1] : 0; i < ends[step]; i++)
        ASAN_UNPOISON_MEMORY_REGION(arena + spans[i][0], (size_t)spans[i][1]);
}

int main(void) {
    const size_t bytes = MOBILENETS_NET_HEIGHT * MOBILENETS_NET_WIDTH * MOBILENETS_NET_CHANNELS;
    const size_t answer = 2 * MOBILENETS_NET_CLASSES * sizeof(float);
    void *weights = content("weights", MOBILENETS_NET_WEIGHTS_BYTES);
    uint8_t *pixels = content("pixels", bytes);
    float *output = room(answer), *again = room(answer);
    void *arena = room(MOBILENETS_NET_ARENA_BYTES);
    void *shared = room(MOBILENETS_NET_PARTS_ARENA_BYTES(PARTS));
    mobilenets_net_run(weights, pixels, output, arena);
#ifdef POOL
    struct pool *pool = mobilenets_pool_begin(mobilenets_net_step, MOBILENETS_NET_STEPS, PARTS);
    for (int i = 0; i < 20; i++) mobilenets_pool_run(pool, weights, pixels, again, shared);
    mobilenets_pool_end(pool);
#else
    for (int step = 0; step < MOBILENETS_NET_STEPS; step++) {
        only(shared, step);
        for (int part = PARTS - 1; part >= 0; part--)
            mobilenets_net_step(step, part, PARTS, weights, pixels, again, shared);
    }
    ASAN_UNPOISON_MEMORY_REGION(shared, MOBILENETS_NET_PARTS_ARENA_BYTES(PARTS));
#endif
    if (memcmp(output, again, answer)) return 5;
    FILE *file = fopen("output", "wb");
    if (!file || fwrite(output, 1, answer, file) != answer || fclose(file)) return 6;
    free(weights), free(pixels), free(output), free(again), free(arena), free(shared);
    return 0;
}
"""


def command(name: str) -> list[str]:
    """Its words; skips where the compiler, or its sanitizer, is not installed."""
    compiler, *flags = COMMANDS[name].split()
    found = next((f for f in (compiler, *(f"{compiler}-{n}" for n in range(11, 24))) if shutil.which(f)), None)
    if found is None:
        pytest.skip(f"no {compiler}")
    return [found, *flags, "-g", "-std=gnu11"]


def build(folder: Path, name: str, network: Network, kind: str) -> None:
    """`driver` in `folder`, with the weights and the image that it reads."""
    precision, target = KINDS[kind]
    model = random_integers(network) if precision == "int8" else make_random_model(network, seed=1)
    made, lowered = sources_of(model, target, "net", precision="fp32" if precision == "int8" else precision)
    steps = lowered.program.steps
    used = [spans(steps, made.arena, number, 3) for number in range(len(steps))]
    ends = np.cumsum([len(step) for step in used])
    text = DRIVER.replace("SPANS", ", ".join(f"{{{a}, {b - a}}}" for step in used for a, b in step))
    pool = files("mobilenets.compiler").joinpath("pool.c").read_text("utf-8")
    for file, content in {
        "net.c": made.c,
        "mobilenets_net.h": made.h,
        "pool.c": pool,
        "main.c": text.replace("ENDS", ", ".join(map(str, ends))),
    }.items():
        (folder / file).write_text(content, "utf-8")
    (folder / "weights").write_bytes(lowered.weights.tobytes())
    images_of(model, 1).tofile(folder / "pixels")
    defined = ["-DTILES"] if "tiles" in kind else []
    words = [*command(name), *target.flags, *defined, "-o", "driver", "main.c", "net.c", "pool.c", "-lpthread"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if "cannot find" in done.stderr and "san" in done.stderr:
        pytest.skip(f"{name}: not installed")
    assert done.returncode == 0, done.stderr


def run(folder: Path, network: Network, kind: str, *before: str) -> None:
    """No finding, and the right answer."""
    done = subprocess.run([*before, "./driver"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.returncode}\n{done.stderr[-4000:]}"
    precision, _ = KINDS[kind]
    found = np.fromfile(folder / "output", np.float32).reshape(2, -1)[0]
    assert relative_rms(found, expected_logits(network, precision)) <= BOUNDS[precision]


def expected_logits(network: Network, precision: str) -> np.ndarray:
    if precision == "int8":
        integers = random_integers(network)
        return integers.activations["fc"].real(reference.run(integers, images_of(integers, 1)))[0]
    model = make_random_model(network, seed=1)
    return float64_logits(model, images_of(model, 1))[0]


SANITIZERS = [name for name in COMMANDS if name != "gcc" and "thread" not in name]
FEW = ("33x65", "alpha .1, grey", "odd")  # for what is not fp32


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize(("network", "kind"), [(n, k) for n in NETWORKS for k in KINDS if n in FEW or k in FLOATS])
def test_the_sanitizers_find_nothing(network: str, kind: str, sanitizer: str, tmp_path: Path) -> None:
    build(tmp_path, sanitizer, NETWORKS[network], kind)
    run(tmp_path, NETWORKS[network], kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "plain" not in kind])
@pytest.mark.parametrize("network", ["33x65", "head"])
def test_threads_do_not_race(network: str, kind: str, tmp_path: Path) -> None:
    build(tmp_path, "gcc thread", NETWORKS[network], kind)
    # the sanitizer's own memory does not fit every layout that the kernel draws
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    run(tmp_path, NETWORKS[network], kind, *fixed)


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
@pytest.mark.parametrize("kind", ["fp32 plain", "bf16 plain", "bf16x3 tiles", "int8 plain"])  # it knows no AVX-512
@pytest.mark.parametrize("network", NETWORKS)
def test_valgrind_finds_nothing(network: str, kind: str, tmp_path: Path) -> None:
    build(tmp_path, "gcc", NETWORKS[network], kind)
    flags = ["--quiet", "--error-exitcode=9", "--leak-check=full", "--track-origins=no"]
    run(tmp_path, NETWORKS[network], kind, "valgrind", *flags)


@pytest.mark.parametrize(
    ("sanitizer", "broken", "found"),
    [
        ("gcc address, undefined", ("for (; x < out_width; x++)", "for (; x <= out_width; x++)"), "AddressSanitizer"),
        ("clang memory", ("border(out", "if (0) border(out"), "MemorySanitizer"),
    ],
)
def test_they_would_find_something(sanitizer: str, broken: tuple[str, str], found: str, tmp_path: Path) -> None:
    """A kernel that writes one pixel too many into the buffer beside its own, and a border that is left out."""
    build(tmp_path, sanitizer, NETWORKS["33x65"], "fp32 plain")
    text = (tmp_path / "net.c").read_text("utf-8")
    assert broken[0] in text
    (tmp_path / "net.c").write_text(text.replace(*broken), "utf-8")
    words = [*command(sanitizer), *PLAIN.flags, "-o", "driver", "main.c", "net.c", "pool.c", "-lpthread"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(["./driver"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and found in done.stderr
