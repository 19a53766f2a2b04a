"""Decoding a split: what is kept, what is left out, how it ends."""

import _thread
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import write
from PIL import Image

from mobilenets.data import cache
from mobilenets.data.cache import decode_split, free_memory
from mobilenets.data.parallel import ordered
from mobilenets.data.sources import Sample, open_dataset
from mobilenets.errors import DataError, ImageError, UsageError
from mobilenets.image import Preprocess, prepare

SMALL = Preprocess(32, 48)


def png(width: int, height: int, seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def sample(number: int, data: bytes) -> Sample:
    return Sample(f"{number}.png", number % 3, lambda: data)


def missing() -> bytes:
    raise ImageError("no such file")


SAMPLES = [sample(i, png(40 + 7 * i % 31, 36 + 5 * i % 17, i)) for i in range(40)]


@pytest.mark.parametrize("channels", [1, 3])
def test_evaluation_view(channels: int) -> None:
    preprocess = Preprocess(32, 48, channels)
    images = decode_split(SAMPLES, preprocess, short_side=None)
    assert len(images) == 40
    assert images.in_memory
    assert images.targets.dtype == np.int64
    assert images.targets.tolist() == [s.target for s in SAMPLES]
    assert images.names == tuple(s.name for s in SAMPLES)
    assert images.bad == ()
    for i, one in enumerate(SAMPLES):
        assert images.pixels(i).shape == (32, 48, channels)
        assert np.array_equal(images.pixels(i), prepare(one.read(), preprocess))
        assert images.pixels(i).flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            images.pixels(i)[0] = 0


@pytest.mark.parametrize("channels", [1, 3])
def test_training_view_is_whole_images_of_any_aspect(channels: int) -> None:
    shapes = [(100, 300), (300, 100), (20, 30), (1, 500), (64, 64)]
    samples = [sample(i, png(w, h, i)) for i, (w, h) in enumerate(shapes)]
    images = decode_split(samples, Preprocess(32, 32, channels), short_side=36)
    found = [images.pixels(i).shape for i in range(5)]
    assert found == [
        (108, 36, channels),
        (36, 108, channels),
        (30, 20, channels),
        (500, 1, channels),
        (36, 36, channels),
    ]


@pytest.mark.parametrize("short_side", [None, 33])
@pytest.mark.parametrize("memory", [0, 20_000, 60_000])
def test_without_memory_the_same_pixels_are_decoded_anew(short_side: int | None, memory: int) -> None:
    samples = [*SAMPLES[:9], sample(9, b"no image"), *SAMPLES[10:]]
    kept = decode_split(samples, SMALL, short_side=short_side, max_bad=0.1)
    dropped = decode_split(samples, SMALL, short_side=short_side, max_bad=0.1, memory=memory)
    assert (kept.in_memory, dropped.in_memory) == (True, False)
    assert kept.names == dropped.names
    assert kept.bad == dropped.bad
    for i in range(len(kept)):
        assert np.array_equal(kept.pixels(i), dropped.pixels(i))
        assert not dropped.pixels(i).flags.writeable


def test_memory_that_just_suffices_is_used() -> None:
    needed = 40 * SMALL.height * SMALL.width * 3
    for memory, fits in ((needed, True), (needed - 1, False)):
        assert decode_split(SAMPLES, SMALL, short_side=None, memory=memory).in_memory == fits


def test_a_quarter_of_the_free_memory_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 40 * SMALL.height * SMALL.width * 3
    for free, fits in ((4 * needed, True), (4 * needed - 4, False)):
        monkeypatch.setattr(cache, "free_memory", lambda free=free: free)
        assert decode_split(SAMPLES, SMALL, short_side=None).in_memory == fits


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30), st.integers(1, 200))
def test_store_is_a_list_of_arrays(shapes: list[tuple[int, int]], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_BLOCK", block)
        store = cache._Store(10**9)
        images = [np.full((*shape, 3), i, np.uint8) for i, shape in enumerate(shapes)]
        for image in images:
            store.add(image)
        assert store.held == sum(image.size for image in images)
        for i, image in enumerate(images):
            assert np.array_equal(store.pixels(i), image)


def test_bad_images_are_named_and_left_out() -> None:
    samples = [*SAMPLES, sample(40, b""), Sample("41.png", 2, missing), sample(42, SAMPLES[0].read()[:60])]
    images = decode_split(samples, SMALL, short_side=None, max_bad=0.1)
    assert len(images) == 40
    assert [(bad.name, bad.reason) for bad in images.bad] == [
        ("40.png", "the file is empty"),
        ("41.png", "no such file"),
        ("42.png", "cannot be decoded: image file is truncated"),
    ]


def test_too_many_bad_images() -> None:
    samples = [*SAMPLES, *(Sample(f"bad {i}.png", 0, missing) for i in range(7))]
    with pytest.raises(DataError) as caught:
        decode_split(samples, SMALL, short_side=None)
    named = ", ".join(f"bad {i}.png (no such file)" for i in range(5))
    assert str(caught.value) == (
        f"7 of 47 images (14.9%) cannot be decoded, more than --max-bad 1%: {named} and 2 more; "
        "repair or remove them, or allow them with --max-bad 0.149"
    )
    assert len(decode_split(samples, SMALL, short_side=None, max_bad=0.149)) == 40
    assert len(decode_split(samples, SMALL, short_side=None, max_bad=7 / 47)) == 40


def test_nothing_to_decode() -> None:
    with pytest.raises(DataError, match="the split has no image"):
        decode_split([], SMALL, short_side=None)
    with pytest.raises(DataError, match=r"1 of 1 images \(100%\) cannot be decoded: a \(no such file\)"):
        decode_split([Sample("a", 0, missing)], SMALL, short_side=None, max_bad=1)


@pytest.mark.parametrize("max_bad", [-0.1, 1.1, float("nan")])
def test_max_bad_is_checked(max_bad: float) -> None:
    with pytest.raises(UsageError, match="must be a fraction from 0 to 1"):
        decode_split(SAMPLES, SMALL, short_side=None, max_bad=max_bad)


def test_progress_counts_every_image() -> None:
    seen: list[tuple[int, int]] = []
    decode_split(SAMPLES, SMALL, short_side=None, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 40) for i in range(1, 41)]


def test_order_and_bounded_waiting() -> None:
    begun = 0
    lock = threading.Lock()

    def job(i: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        time.sleep(0.001 * (i % 3))
        return i

    for taken, result in enumerate(ordered(job, range(200), workers=4)):
        assert result == taken
        assert begun <= taken + 4 * 4 + 1


@pytest.mark.parametrize("leave", [lambda: _thread.interrupt_main(), None])
def test_leaving_early_ends_promptly(leave: Callable[[], None] | None) -> None:
    """Ctrl-C, or an error in `progress`, when thousands of images are still to come."""
    read: list[None] = []
    samples = [
        Sample(str(i), 0, lambda: (time.sleep(0.02), read.append(None), SAMPLES[0].read())[2]) for i in range(5_000)
    ]

    def progress(done: int, total: int) -> None:
        if done == 5 and leave is None:
            raise RuntimeError("stop")

    if leave:
        threading.Timer(0.3, leave).start()
    with pytest.raises(KeyboardInterrupt if leave else RuntimeError):
        decode_split(samples, SMALL, short_side=None, workers=2, progress=progress)
    assert len(read) < 2_500
    assert threading.active_count() < 20


def test_free_memory(tmp_path: Path) -> None:
    assert 1 << 20 < free_memory() < 1 << 50
    write(tmp_path, {"proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:  5000 kB\n"})
    assert free_memory(tmp_path) == 5000 * 1024
    group = {"memory.max": "max\n", "memory.current": "900000\n", "memory.stat": "anon 1\nfile 500000\n"}
    write(tmp_path / "sys/fs/cgroup", group)
    assert free_memory(tmp_path) == 5000 * 1024
    write(tmp_path / "sys/fs/cgroup", {"memory.max": "1000000"})
    assert free_memory(tmp_path) == 600_000
    old = {"memory.limit_in_bytes": "800000", "memory.usage_in_bytes": "700000", "memory.stat": "total_cache 1000\n"}
    write(tmp_path / "sys/fs/cgroup/memory", old)
    assert free_memory(tmp_path) == 101_000


def test_flowers(shared_data: Path) -> None:
    samples = open_dataset(shared_data / "flowers").splits["val"][::20]
    images = decode_split(samples, Preprocess(96, 96), short_side=112)
    assert {min(images.pixels(i).shape[:2]) for i in range(len(images))} == {112}


def test_small_images_lie_in_one_array_one_behind_the_other() -> None:
    images = decode_split(SAMPLES, SMALL, short_side=None)
    where = [images.pixels(i).ctypes.data for i in range(len(images))]
    assert where == [where[0] + i * 32 * 48 * 3 for i in range(len(images))]
