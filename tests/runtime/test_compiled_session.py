"""A compiled network from Python: what it takes, many callers at once, forks, memory, a lesser processor."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import mobilenets.machine
from mobilenets import CompiledSession
from mobilenets.arch import Block, Network, named
from mobilenets.compiler import compile_model, has_compiler, processor
from mobilenets.errors import CompileError, UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Pixels, Preprocess, normalise
from mobilenets.runtime import Session
from mobilenets.runtime.images import pixels_of
from mobilenets.runtime.library import OpenLibrary
from mobilenets.runtime.measure import untrained

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler")
MODEL = make_random_model(Network(0.25, 33, 40, classes=7))
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 33, 40, 3), np.uint8)


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mobilenets.machine, "cores", lambda: 8)


@needs_compiler
@pytest.mark.parametrize("runtime", ["compiled", "onnx"])
def test_layouts_and_types_are_one_image(runtime: str) -> None:
    session = CompiledSession(MODEL, 1) if runtime == "compiled" else Session.from_onnx(to_onnx(MODEL), 1)
    expected = Session.from_onnx(to_onnx(MODEL), 1).logits(IMAGES)
    floats = normalise(IMAGES, MODEL.preprocess)
    given = [
        IMAGES,
        IMAGES.transpose(0, 3, 1, 2),
        np.asfortranarray(IMAGES),
        floats,
        floats.transpose(0, 3, 1, 2).copy(),
    ]
    found = [session.logits(images) for images in given]
    assert np.abs(found[0] - expected).max() < 1e-4 * np.abs(expected).max()
    assert all((other == found[0]).all() for other in found)


@needs_compiler
def test_scratch_memory_begins_at_a_cache_line() -> None:
    session = CompiledSession(MODEL, 1)
    arenas = [session._open._arena() for _ in range(4)]
    for memory, address in arenas:
        assert address % 64 == 0
        assert memory.ctypes.data <= address and address + session.arena_bytes <= memory.ctypes.data + memory.nbytes


@given(
    st.integers(0, 3), st.sampled_from([1, 3]), st.integers(1, 255), st.lists(st.floats(0, 255), min_size=3, max_size=3)
)
def test_normalised_floats_are_the_bytes_that_they_were(count: int, channels: int, std: int, mean: list[float]) -> None:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 32, 34, channels), np.uint8)
    preprocess = Preprocess(32, 34, channels, mean=tuple(mean[:channels]), std=float(std))
    found = pixels_of(normalise(pixels, preprocess), preprocess)
    assert found.dtype == np.uint8 and found.flags.c_contiguous and (found == pixels).all()


def test_where_both_layouts_fit_channels_are_last() -> None:
    square = np.arange(27, dtype=np.uint8).reshape(1, 3, 3, 3)
    assert (pixels_of(square, Preprocess(3, 3, 3)) == square).all()


@pytest.mark.parametrize(
    "images, text",
    [
        (IMAGES[0], r"images are uint8 \(33, 40, 3\), must be uint8 or normalised float32, \(N, 33, 40, 3\) or"),
        (IMAGES[:, 1:], r"uint8 \(6, 32, 40, 3\).* or \(N, 3, 33, 40\)$"),
        (IMAGES.transpose(0, 2, 1, 3), r"\(6, 40, 33, 3\)"),
        (IMAGES.astype(np.float64), "float64"),
        (IMAGES.astype(np.int64), "int64"),
        (IMAGES.astype(np.float32), "float32 images hold .* must be bytes normalised with mean 127.5 and std 127.5"),
        (IMAGES.astype(np.float32) / np.float32(255), "give uint8 images where they are not"),
        (np.full((1, 33, 40, 3), np.nan, np.float32), "float32 images hold nan"),
        (np.full((1, 33, 40, 3), np.inf, np.float32), "float32 images hold inf"),
    ],
)
def test_what_is_no_image_for_it_is_refused(images: Pixels, text: str) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        pixels_of(images, MODEL.preprocess)
    assert "\n" not in str(caught.value)


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
def test_several_images_are_shared_among_the_threads(many_cores: None, threads: int) -> None:
    session, before = CompiledSession(MODEL, threads), set(threading.enumerate())
    session.logits(IMAGES)
    assert len(set(threading.enumerate()) - before) == threads - 1


@needs_compiler
def test_many_callers_with_batches_and_single_images(many_cores: None) -> None:
    session = CompiledSession(MODEL, 3)
    expected = session.logits(IMAGES)

    def call(number: int) -> bool:
        begin = number % 5
        end = begin + 1 + number % 2 * (len(IMAGES) - begin - 1)
        return bool((session.logits(IMAGES[begin:end]) == expected[begin:end]).all())

    with ThreadPoolExecutor(9) as callers:
        assert all(callers.map(call, range(400)))


@needs_compiler
def test_many_sessions_at_once(many_cores: None) -> None:
    sessions = [CompiledSession(MODEL, threads) for threads in (1, 2, 3, 8)]
    expected = sessions[0].logits(IMAGES)
    with ThreadPoolExecutor(4) as callers:
        for _ in range(20):
            for found in callers.map(lambda session: [session.logits(image[None])[0] for image in IMAGES], sessions):
                assert (np.stack(found) == expected).all()


@needs_compiler
def test_a_forked_process_answers_batches_and_images(many_cores: None) -> None:
    """While other threads of the parent are in the pool: what they hold, the child must not wait for."""
    session = CompiledSession(MODEL, 3)
    expected = session.logits(IMAGES)
    session.logits(IMAGES[:1])
    context = multiprocessing.get_context("fork")

    def child(send) -> None:
        send.send((session.logits(IMAGES), session.logits(IMAGES[:1])))

    with ThreadPoolExecutor(2) as callers:
        busy = [callers.submit(lambda: [session.logits(IMAGES[:1]) for _ in range(500)]) for _ in range(2)]
        for _ in range(5):
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=child, args=(send,), daemon=True)
            process.start()
            answered = receive.poll(20)
            found = receive.recv() if answered else ()
            process.kill()
            process.join()
            assert answered, "the child hangs"
            assert (found[0] == expected).all() and (found[1] == expected[:1]).all()
        assert all((answer == expected[:1]).all() for each in busy for answer in each.result())


@needs_compiler
def test_a_lesser_processor_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a library that was built for another: from another machine's cache, or a machine that was exchanged."""
    library = compile_model(MODEL)
    if not library.features:
        pytest.skip("this processor has nothing that another could lack")
    monkeypatch.setattr(processor, "features", lambda: frozenset(library.features[1:]))
    lacks = f"was built for {library.target}: this processor lacks {library.features[0]}$"
    with pytest.raises(CompileError, match=lacks):
        OpenLibrary(library, 1)


MEMORY = """
import re, sys
from pathlib import Path
import numpy as np
from mobilenets.runtime import open_session

def kilobytes():
    return int(re.search(r"Pss:\\s+(\\d+)", Path("/proc/self/smaps_rollup").read_text())[1])

warm, model = sys.argv[1:]
open_session(warm, 1, "compiled").run(np.zeros((1, 32, 32, 3), np.uint8))  # Python, and all that it imports
before = kilobytes()
session = open_session(model, 1, "compiled")
session.run(np.zeros((1, 128, 128, 3), np.uint8))
print([kilobytes() - before, *sorted({"torch", "onnxruntime.capi", "sklearn"} & set(sys.modules))])
"""


@pytest.mark.any_processor
@pytest.mark.any_processor
@needs_compiler
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells")
def test_a_loaded_network_takes_less_than_three_megabytes(tmp_path: Path) -> None:
    """0.25-128: 1.9 MB of weights, mapped, and an arena of 0.46 MB."""
    paths = [str(untrained(named(name)).save(tmp_path / f"{name}.safetensors")) for name in ("0.1-32", "0.25-128")]
    for path in paths:  # compile, which this is not about
        mobilenets.open_session(path, 1, "compiled")
    command = [sys.executable, "-c", MEMORY, *paths]
    for _ in range(3):  # pages that other processes share meanwhile count less: the least is this one's own
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
        kilobytes, *loaded = json.loads(done.stdout.replace("'", '"'))
        if kilobytes < 3000:
            break
    assert kilobytes < 3000
    assert "torch" not in loaded and "sklearn" not in loaded


@pytest.mark.any_processor
@needs_compiler
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """One line says so and names the variable; the answers are those of before."""
    (tmp_path / "file").write_text("no folder")
    small = make_random_model(Network(0.25, 33, 40, blocks=(Block(2, 64),), classes=7))
    model = small.save(tmp_path / "m.safetensors")
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "a.png")
    command = [sys.executable, "-m", "mobilenets", "predict", str(model), str(tmp_path / "a.png"), "--csv"]
    found = []
    for cache in ("file/cache", "cache"):
        environment = {**os.environ, "MOBILENETS_CACHE": str(tmp_path / cache), "TMPDIR": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        found.append(done)
    assert found[0].stdout == found[1].stdout
    (line,) = found[0].stderr.strip().splitlines()
    assert "set MOBILENETS_CACHE to a writable folder" in line and line.startswith("mobilenets: the cache ")
    assert found[1].stderr == "" and not list(tmp_path.glob("mobilenets-*"))
