"""Many images through a session: in order, in bounded memory, damaged ones named, Ctrl-C at once."""

import io
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mobilenets.arch import Network
from mobilenets.arch.network import Block
from mobilenets.errors import DataError, UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Pixels, Preprocess, Size, prepare, prepared
from mobilenets.runtime.predict import PredictedImage, find_images
from mobilenets.runtime.predict import predict as run
from mobilenets.runtime.session import Session
from mobilenets.tasks.classify import Classify, Top

pytestmark = pytest.mark.any_processor

NETWORK = Network(alpha=0.25, height=40, width=32, classes=7, blocks=(Block(2, 64), Block(1, 96)))


@pytest.fixture(scope="module")
def session(random_model) -> Session:
    return Session.from_onnx(to_onnx(random_model(NETWORK)))


def predict(session: Session, images: Iterable[Any], top: int = 5, *how: int, **named: int) -> Iterator[PredictedImage]:
    """A classifier's answers."""
    return run(session, images, lambda row: Classify().prediction(row, session.labels, {}, top), *how, **named)


def encoded(seed: int, size: tuple[int, int] = (48, 40), kind: str = "PNG") -> bytes:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (1 + seed % 5, 1 + seed % 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, kind)
    return file.getvalue()


IMAGES = [encoded(seed) for seed in range(40)]


def one_by_one(session: Session, images: list[bytes], top: int) -> list[PredictedImage]:
    """The oracle: no batch, no thread."""
    predictions = []
    for i, image in enumerate(images):
        p = session.run(prepare(image, session.preprocess)[None])[0]
        best = sorted(range(len(p)), key=lambda k: -p[k])[:top]
        predictions.append(PredictedImage(str(i), Top(tuple((session.labels[k], float(p[k])) for k in best))))
    return predictions


def near(a: Top, b: Top) -> bool:
    return [label for label, _ in a.top] == [label for label, _ in b.top] and np.allclose(
        [p for _, p in a.top], [p for _, p in b.top], rtol=1e-3, atol=1e-6
    )


def same(found: list[PredictedImage], expected: list[PredictedImage]) -> bool:
    return len(found) == len(expected) and all(
        a.name == b.name
        and (a.error is None) == (b.error is None)
        and (a.prediction is None or near(a.prediction, b.prediction))
        for a, b in zip(found, expected, strict=True)
    )


def named(images: list[bytes]) -> Iterator[tuple[str, bytes]]:
    return ((str(i), image) for i, image in enumerate(images))


@pytest.mark.parametrize("batch_size", [1, 2, 7, 32, 100])
@pytest.mark.parametrize("workers", [0, 1, 5])
def test_any_batch_size_gives_what_single_images_give(batch_size: int, workers: int, session: Session) -> None:
    found = list(predict(session, named(IMAGES), 3, batch_size, workers))
    assert same(found, one_by_one(session, IMAGES, 3))


def test_probabilities_are_best_first_and_sum_to_one(session: Session) -> None:
    for predicted in predict(session, named(IMAGES), top=99):
        values = [p for _, p in predicted.prediction.top]
        assert predicted.error is None
        assert sorted(label for label, _ in predicted.prediction.top) == sorted(session.labels)
        assert values == sorted(values, reverse=True) and sum(values) == pytest.approx(1, abs=1e-5)
        assert all(type(p) is float for p in values)


def test_files_and_their_content_give_the_same(session: Session, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(3, kind="JPEG"))
    images = [("path", tmp_path / "a.jpg"), ("bytes", encoded(3, kind="JPEG"))]
    by_path, by_bytes = predict(session, images)
    assert by_path.prediction == by_bytes.prediction


DAMAGED = [b"", b"\x00", b"hello", IMAGES[0][:60], encoded(1, kind="JPEG")[:200], b"\xff\xd8\xff\xe0", b"GIF89a"]


@settings(max_examples=25, deadline=None)
@given(order=st.lists(st.sampled_from([*range(len(DAMAGED)), *range(-8, 0)]), max_size=40))
def test_damaged_images_are_named_in_their_place(order: list[int], session: Session) -> None:
    images = [DAMAGED[k] if k >= 0 else IMAGES[-k] for k in order]
    found = list(predict(session, named(images), batch_size=4))
    assert [predicted.name for predicted in found] == [str(i) for i in range(len(order))]
    for predicted, k in zip(found, order, strict=True):
        if k >= 0:
            assert predicted.prediction is None
            assert predicted.error and "\n" not in predicted.error
        else:
            (alone,) = predict(session, [("x", IMAGES[-k])])
            assert same([predicted], [PredictedImage(predicted.name, alone.prediction)])


def test_missing_files_and_folders_are_named(session: Session, tmp_path: Path) -> None:
    missing, folder = predict(session, [("a", tmp_path / "none.png"), ("b", tmp_path)])
    assert missing.error == "no such file"
    assert folder.error == "is a directory"


def test_nothing_gives_nothing(session: Session) -> None:
    assert list(predict(session, [])) == []


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("workers", -1)])
def test_wrong_arguments_are_refused_at_once(name: str, value: int, session: Session) -> None:
    with pytest.raises(UsageError, match=rf"{name} \(={value}\)"):
        predict(session, [], **{name: value})


def test_images_are_read_as_they_are_needed(session: Session) -> None:
    taken = 0

    def endless() -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        while taken < 5000:
            taken += 1
            yield str(taken), IMAGES[0]

    stream = predict(session, endless(), batch_size=4, workers=2)
    assert taken == 0
    for i in range(100):
        assert next(stream).name == str(i + 1)
    assert taken <= 100 + 4 * 4 + 2


def test_stopping_early_decodes_no_more(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0

    def slow(source: bytes, preprocess: Preprocess) -> tuple[Pixels, Size]:
        nonlocal decoded
        time.sleep(0.01)
        decoded += 1
        return prepared(source, preprocess)

    monkeypatch.setattr(sys.modules["mobilenets.runtime.predict"], "prepared", slow)
    stream = predict(session, named(IMAGES), batch_size=10, workers=1)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert decoded <= 14  # the batch, and what was under way; the window had 31


def test_equal_probabilities_stand_in_the_order_of_the_labels(random_model) -> None:
    model = random_model(NETWORK.replace(classes=60))
    flat = {name: array * 0 if name.startswith("fc.") else array for name, array in model.weights.items()}
    session = Session.from_onnx(to_onnx(replace(model, weights=flat)))
    (predicted,) = predict(session, [("x", IMAGES[0])], top=5)
    assert [label for label, _ in predicted.prediction.top] == [f"class {i}" for i in range(5)]


def test_an_error_of_the_caller_s_iterable_comes_through(session: Session) -> None:
    def broken() -> Iterator[tuple[str, bytes]]:
        yield "a", IMAGES[0]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        list(predict(session, broken()))


def peak_of(session: Session, count: int) -> int:
    """Bytes of Python and numpy alive at most while `count` images of some 8 KB each stream through."""
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)

    def images() -> Iterator[tuple[str, bytes]]:
        for i in range(count):
            file = io.BytesIO()
            Image.fromarray(noise ^ np.uint8(i % 256)).save(file, "BMP")
            yield str(i), file.getvalue()

    tracemalloc.start()
    try:
        assert sum(1 for _ in predict(session, images())) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_images(session: Session) -> None:
    peak_of(session, 200)  # what is cached at first use
    small, large = peak_of(session, 300), peak_of(session, 1500)  # 1500 of them are 11 MB
    assert large < small + 500_000


@pytest.mark.slow
def test_ten_thousand_images_in_bounded_memory(session: Session) -> None:
    assert peak_of(session, 10_000) < peak_of(session, 500) + 500_000


INTERRUPTED = """
import sys, time
from mobilenets.runtime import open_session
from mobilenets.verbs.predict import predict_open
session = open_session(sys.argv[1])
image = open(sys.argv[2], "rb").read()
def endless():
    while True:
        yield "x", image
try:
    for i, prediction in enumerate(predict_open(session, endless())):
        if i == 20:
            print("running", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_promptly(random_model, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(to_onnx(random_model(NETWORK)))
    (tmp_path / "image.jpg").write_bytes(encoded(1, (1500, 1500), "JPEG"))
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "model.onnx"), str(tmp_path / "image.jpg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "running\n"
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert process.wait(20) == 0
        assert time.monotonic() - start < 10


def test_find_images(tmp_path: Path) -> None:
    for name in (
        "b.png", "a.JPG", "notes.txt", ".hidden.png", "c/z.webp", "c/a.jpeg", "c/d/e/f.bmp", ".git/x.png", "c.png",
        "empty/readme.md", "B/1.tif", "no_extension",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "link.png").symlink_to(tmp_path / "b.png")
    expected = ["B/1.tif", "a.JPG", "b.png", "c/a.jpeg", "c/d/e/f.bmp", "c/z.webp", "c.png", "link.png"]
    assert [str(path.relative_to(tmp_path)) for path in find_images([tmp_path])] == expected
    assert expected == [str(path) for path in sorted(map(Path, expected))]


def test_find_images_follows_links_as_training_does(tmp_path: Path) -> None:
    for name in ("photos/a.png", "elsewhere/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [path.name for path in find_images([tmp_path / "photos"])] == ["a.png", "b.png"]


def test_find_images_takes_files_as_they_are_given(tmp_path: Path) -> None:
    for name in (".hidden", "b.dat", "a.png"):
        (tmp_path / name).touch()
    given = [tmp_path / "b.dat", tmp_path / ".hidden", tmp_path, tmp_path / "b.dat"]
    found = [path.name for path in find_images(given)]
    assert found == ["b.dat", ".hidden", "a.png", "b.dat"]
    assert list(find_images([])) == []


def test_find_images_refuses_a_missing_path_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.png: no such file or folder"):
        find_images([tmp_path, tmp_path / "none.png"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_find_images_names_a_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(DataError, match="closed: cannot be listed"):
        list(find_images([tmp_path]))
