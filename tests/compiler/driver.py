"""A program that calls an emitted network as a device would, and its runs under sanitizers, valgrind and emulators.

Every array is exactly as long as the header says. While a step runs, all of the arena but its input, its output and its
scratch is poisoned for the address sanitizer, so that a step that reads or writes beside its buffers is found, though
all buffers lie in one array.
"""

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from native import foreign_instructions
from test_plan import spans

from mobilenets.compiler.compile import sources_of
from mobilenets.compiler.program import Target
from mobilenets.image import Pixels
from mobilenets.model import Model
from mobilenets.quant.scheme import QuantModel

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


def build(
    folder: Path, words: list[str], model: Model | QuantModel, target: Target, precision: str | None = None
) -> None:
    """Compile `driver` in `folder` with the compiler and flags `words`, and write the weights that it reads."""
    made, lowered = sources_of(model, target, "net", precision=precision)
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
    done = subprocess.run(
        [*words, *target.flags, "-o", "driver", "main.c", "net.c", "pool.c", "-lpthread"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if "cannot find" in done.stderr and "san" in done.stderr:
        pytest.skip(f"{words[0]}: its sanitizer is not installed")
    assert done.returncode == 0, done.stderr
    if target.machine in ("", "x86_64"):
        assert not foreign_instructions(folder / "driver", target.features)


def run(folder: Path, image: Pixels, *before: str) -> np.ndarray:
    """Run `driver` on one image, behind the command `before`, without a finding; return its logits."""
    image.tofile(folder / "pixels")
    done = subprocess.run([*before, "./driver"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.returncode}\n{done.stderr[-4000:]}"
    return np.fromfile(folder / "output", np.float32).reshape(2, -1)[0]
