"""Frames of videos are predicted as the same frames are as images; what cannot be read is one line."""

import builtins
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilenets import Network, predict
from mobilenets.cli import main
from mobilenets.cli.predictions import write
from mobilenets.errors import UsageError
from mobilenets.runtime import PredictedImage, camera_frames, with_frames

pytestmark = pytest.mark.any_processor

FRAMES = 7


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Seven frames of noise of seven colours, 60 x 44 pixels."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (60, 44))
    assert writer.isOpened()
    rng = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(np.clip(rng.normal(rng.uniform(0, 255, 3), 30, (44, 60, 3)), 0, 255).astype(np.uint8))
    writer.release()
    return path


@pytest.fixture
def model(tmp_path: Path, random_model: Any) -> Path:
    path: Path = random_model(Network(0.25, 32, 32, classes=3)).save(tmp_path / "m.safetensors")
    return path


def frames_of(clip: Path) -> Iterator[np.ndarray]:
    """As OpenCV reads them, from BGR to RGB."""
    import cv2

    capture = cv2.VideoCapture(str(clip))
    while (read := capture.read())[0]:
        yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
    capture.release()


def rows(text: str) -> dict[str, list[tuple[str, ...]]]:
    """The answer of each image of the CSV that `predict` prints."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for row in csv.DictReader(text.splitlines()):
        found.setdefault(row.pop("image"), []).append(tuple(row.values()))
    return found


@pytest.mark.parametrize("every", [1, 3])
def test_each_frame_is_answered_as_the_same_image_is(
    every: int, clip: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = []
    for at, frame in enumerate(frames_of(clip)):
        images.append(tmp_path / f"{at}.png")
        Image.fromarray(frame).save(images[-1])
    assert len(images) == FRAMES
    assert main(["predict", str(model), *map(str, images), "--csv"]) == 0
    expected = list(rows(capsys.readouterr().out).values())
    assert len({tuple(answer) for answer in expected}) > 1  # else order would not matter
    assert main(["predict", str(model), str(clip), "--csv", *(["--every", str(every)] if every > 1 else [])]) == 0
    said = rows(capsys.readouterr().out)
    assert list(said) == [f"{clip}#{at}" for at in range(0, FRAMES, every)]
    assert list(said.values()) == expected[::every]


def test_videos_and_images_in_one_command_and_from_python(clip: Path, model: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (50, 50), "red").save(photo)
    said = list(predict(model, [photo, clip]))
    assert [one.name for one in said] == [str(photo), *(f"{clip}#{at}" for at in range(FRAMES))]
    assert all(one.size == (60, 44) for one in said[1:])


def test_frames_are_drawn_on(clip: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(model), str(clip), "--every", "3", "--pictures", str(out), "--batch-size", "1"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["clip-0.jpg", "clip-3.jpg", "clip-6.jpg"]
    drawn, frame = np.asarray(Image.open(out / "clip-3.jpg")), list(frames_of(clip))[3]
    np.testing.assert_allclose(drawn[:44, :60].mean((0, 1)), frame.mean((0, 1)), atol=4)


def test_a_camera_is_read_frame_by_frame(
    clip: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A film stands for the camera."""
    cv2 = pytest.importorskip("cv2")
    opened, real = [], cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: opened.append(number) or real(str(clip)))
    assert main(["predict", str(model), "--camera", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["predictions"]
    assert [one["image"] for one in said] == [f"camera 1#{at}" for at in range(FRAMES)] and opened == [1]


def test_what_is_no_video_is_one_line(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(range(256)))
    for arguments, line in (
        ([str(broken)], f"{broken}: not a video, or damaged"),
        (["--camera", "97"], "camera 97: no such camera, or it gives no frame"),
    ):
        command = [sys.executable, "-m", "mobilenets", "predict", str(model), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0 and done.stdout == "" and done.stderr == f"mobilenets: {line}\n"


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["clip.mp4", "--every", "0"], "--every (=0) must be at least 1"),
        (["photo.png", "--every", "2"], "--every 2 is of videos and cameras: there is none"),
        (["--camera", "-1"], "--camera (=-1) must be at least 0"),
        ([], "predict needs an image, a folder, a video, --camera 0, or - for standard input"),
    ],
)
def test_nonsense_is_one_line(
    arguments: list[str],
    line: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (50, 50)).save("photo.png")
    Path("clip.mp4").touch()
    assert main(["predict", str(model), *arguments]) != 0
    assert capsys.readouterr().err == f"mobilenets: {line}\n"


def test_without_opencv_the_line_says_what_to_install(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "cv2":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "clip.MOV").touch()
    assert main(["predict", str(model), str(tmp_path / "clip.MOV")]) != 0
    line = f"mobilenets: {tmp_path / 'clip.MOV'}: reading videos needs OpenCV: pip install 'mobilenets[video]'"
    assert capsys.readouterr().err.startswith(line)


def test_errors_of_flags_come_at_once() -> None:
    with pytest.raises(UsageError, match="every"):
        with_frames([], 0)
    with pytest.raises(UsageError, match="camera"):
        camera_frames(-1)


def test_a_camera_that_is_stopped_leaves_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> Iterator[PredictedImage]:
        yield PredictedImage("camera 0#0", None, "dark")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(stopped(), "json", (), 1.0)
    assert [one["image"] for one in json.loads(capsys.readouterr().out)["predictions"]] == ["camera 0#0"]
