"""What `predict` may be given: files, folders, patterns, contents, images and arrays."""

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeModel
from PIL import Image

from mobilenets import predict
from mobilenets.arch import Network
from mobilenets.cli import main
from mobilenets.errors import DataError, UsageError

pytestmark = pytest.mark.any_processor

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)


@pytest.fixture(scope="module")
def model(random_model: MakeModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = Network(alpha=0.25, height=32, width=32, classes=3)
    return random_model(network).save(tmp_path_factory.mktemp("model") / "model.safetensors")


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_one_image_in_every_form(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    image = Image.fromarray(PIXELS)
    path.write_bytes(encoded(image))
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # it lies: to be turned back by 90 degrees clockwise
    with Image.open(path) as opened:
        forms = [path, str(path), path.read_bytes(), image, opened, PIXELS, PIXELS[:, ::-1][:, ::-1], turned]
        found = list(predict(model, forms, runtime="onnx"))
    assert [p.name for p in found] == [str(path), str(path), *(f"image {at}" for at in range(2, 8))]
    assert len({p.prediction for p in found}) == 1 and {p.size for p in found} == {(70, 50)}
    (one,) = predict(model, PIXELS, runtime="onnx")
    assert one.prediction == found[0].prediction and one.name == "image 0"


def test_arrays_of_other_channels(model: Path) -> None:
    grey, opaque = PIXELS[:, :, 0], np.dstack([PIXELS, np.full((50, 70), 255, np.uint8)])
    forms = [grey, grey[:, :, None], np.dstack([grey] * 3), PIXELS, opaque]
    answers = [p.prediction for p in predict(model, forms, runtime="onnx")]
    assert answers[0] == answers[1] == answers[2] != answers[3] == answers[4]


@pytest.mark.parametrize(
    "wrong", [PIXELS[None], PIXELS.astype(np.float32), PIXELS[0, 0], PIXELS.transpose(2, 0, 1), PIXELS[:0]]
)
def test_arrays_that_are_no_image(wrong: np.ndarray, model: Path) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError, match=r"must be \(H, W\), .* is \(") as error:
        predict(model, [PIXELS, wrong])
    assert str(wrong.shape) in str(error.value)


def test_an_image_that_pillow_cannot_load_is_one_prediction_s_error(model: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(encoded(Image.fromarray(PIXELS))[:3000])
    with Image.open(tmp_path / "cut.png") as cut:
        (one, other) = predict(model, [cut, PIXELS], runtime="onnx")
    assert one.error and other.error is None


def test_patterns(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png", "deep/c.png", "[x].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(Image.fromarray(PIXELS)))
    (tmp_path / "a.txt").write_text("")

    def names(pattern: str) -> list[str]:
        found = predict(model, str(tmp_path / pattern), runtime="onnx")
        return [str(Path(p.name).relative_to(tmp_path)) for p in found]

    assert names("?.png") == ["a.png", "b.png"]
    assert names("**/c.*") == ["deep/c.png"]
    assert names("[x].png") == ["[x].png"]  # a file's own name is no pattern
    with pytest.raises(DataError, match="no file matches this pattern"):
        names("*.jpg")
    assert main(["predict", str(model), str(tmp_path / "?.png"), "--csv", "--top", "1", "--runtime", "onnx"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("url", ["https://example.com/cat.jpg", "http://a/b.jpg", "s3://bucket/cat.jpg"])
def test_a_url_is_answered_as_it_was_typed(url: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(model), url]) == 1
    said = f"{url}: is a URL, and images are read from files: download it first"
    assert capsys.readouterr().err == f"mobilenets: {said}\n"
