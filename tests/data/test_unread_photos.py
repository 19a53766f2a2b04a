"""Photos that are not read are named with their ending, and HEIC is read where pillow-heif is installed."""

import io
from pathlib import Path

import numpy as np
import pytest
from layouts import write
from PIL import Image

import mobilenets.image
from mobilenets import folders
from mobilenets.data import folder
from mobilenets.errors import ImageError
from mobilenets.image import EXTENSIONS, UNREAD, decode, upright_size

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mobilenets.image, "_knows_heif", lambda: False)
    monkeypatch.setattr(folders, "EXTENSIONS", EXTENSIONS - mobilenets.image.HEIF)
    monkeypatch.setattr(folder, "UNREAD", UNREAD | mobilenets.image.HEIF)


def heic(exif: bytes = b"") -> bytes:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    pixels = (np.mgrid[0:40, 0:64][1][..., None] * [3, 2, 1]).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "HEIF", **({"exif": exif} if exif else {}))
    return buffer.getvalue()


def test_find_photos(tmp_path: Path) -> None:
    files = {"b/2.JPG": 1, "b/c/1.png": 2, "b/z.jpeg": 3, "a.jpg": 4, ".a/h.jpg": 5, "notes.txt": "x", "b/._1.jpg": "x"}
    images, notes = folder.find_photos(write(tmp_path, files))
    assert [path.relative_to(tmp_path).as_posix() for path in images] == ["a.jpg", "b/2.JPG", "b/c/1.png", "b/z.jpeg"]
    assert notes == []


@pytest.mark.usefixtures("without_heif")
def test_unread_photos_are_named(tmp_path: Path) -> None:
    files = {"a.jpg": 1, "b/1.HEIC": "x", "b/2.heic": "y", "b/3.CR2": "z"}
    images, notes = folder.find_photos(write(tmp_path, files))
    assert images == [tmp_path / "a.jpg"]
    assert notes == [
        "3 photos in unsupported formats: 2 .heic, 1 .cr2 (first: b/1.HEIC): "
        "convert them to JPEG or PNG, or pip install pillow-heif to read HEIC"
    ]


def test_what_cannot_be_installed_is_not_advised() -> None:
    (note,) = folder.unread(["1.dng", "2.jpg"])
    assert note.endswith("1 .dng (first: 1.dng): convert them to JPEG or PNG")


def test_no_ending_is_read_and_unread() -> None:
    assert not EXTENSIONS & UNREAD
    assert all(ending == ending.lower() and ending[0] == "." for ending in EXTENSIONS | UNREAD)


@pytest.mark.usefixtures("without_heif")
def test_heic_without_its_package() -> None:
    with pytest.raises(ImageError, match="reading HEIC needs pillow-heif: pip install pillow-heif"):
        decode(HEIC)


def test_heic_is_read() -> None:
    image = decode(heic())
    assert (image.mode, image.size) == ("RGB", (64, 40))
    wanted = np.mgrid[0:40, 0:64][1][..., None] * [3, 2, 1]
    assert np.abs(np.asarray(image).astype(int) - wanted).mean() < 4
    assert {".heic", ".heif", ".hif"} <= EXTENSIONS


def test_heic_is_turned_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right, which the encoder writes as HEIF's own rotation
    data = heic(exif.tobytes())
    assert decode(data).size == upright_size(data) == (40, 64)
    rows = np.asarray(decode(data, 1)).astype(int).mean(1)
    assert rows[0] < 10 < 100 < rows[-1]


def test_damaged_heic_is_an_image_error() -> None:
    for data in (heic()[:200], HEIC, heic()[:-40]):
        with pytest.raises(ImageError):
            decode(data)


def test_avif_is_read_by_pillow() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (200, 10, 10)).save(buffer, "AVIF")
    assert decode(buffer.getvalue()).size == (32, 24)
