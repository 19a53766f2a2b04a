"""Every rule that image.py states at its top, on every format; damaged input; boxes and sizes."""

import importlib.util
import os
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from mobilenets.errors import ImageError, NetworkError
from mobilenets.image import (
    Preprocess,
    as_image,
    centre_box,
    crop_resize,
    decode,
    normalise,
    prepare,
    read,
    shrink_short_side,
    upright_size,
)


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "data" / f"{name}.py")
    assert spec and spec.loader
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


odd = _load("odd_images")
encode, png = odd.encode, odd.png

RED, BLUE = Image.new("RGB", (16, 12), "red"), Image.new("RGB", (16, 12), "blue")
TWO = {"save_all": True, "append_images": [BLUE]}
RGB = tuple[int, int, int]


def be16(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


# name: (bytes, first pixel, last pixel), within 3 of 255
RULES: dict[str, tuple[bytes, RGB, RGB]] = {
    "grey is repeated": (encode(Image.new("L", (4, 4), 77), "PNG"), (77, 77, 77), (77, 77, 77)),
    "grey jpeg": (encode(Image.new("L", (16, 16), 77), "JPEG"), (77, 77, 77), (77, 77, 77)),
    "1 bit": (png(2, 1, 1, 0, b"\0\x40"), (0, 0, 0), (255, 255, 255)),
    "2 bits": (png(4, 1, 2, 0, b"\0\x1b"), (0, 0, 0), (255, 255, 255)),
    "1 bit tiff": (encode(Image.new("1", (3, 3), 1), "TIFF"), (255, 255, 255), (255, 255, 255)),
    "cmyk jpeg": (encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), (254, 0, 0), (254, 0, 0)),
    "cmyk tiff": (encode(Image.new("CMYK", (4, 4), (255, 255, 0, 0)), "TIFF"), (0, 0, 255), (0, 0, 255)),
    "ycbcr tiff": (encode(Image.new("YCbCr", (4, 4), (76, 85, 255)), "TIFF"), (254, 0, 0), (254, 0, 0)),
    "lab white": (encode(Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF"), (255, 255, 255), (255, 255, 255)),
    "lab red": (encode(Image.new("LAB", (4, 4), (136, 208, 195)), "TIFF"), (251, 2, 10), (251, 2, 10)),
    "palette": (encode(RED.quantize(4), "PNG"), (255, 0, 0), (255, 0, 0)),
    "palette, transparent": (
        png(2, 1, 8, 3, b"\0\0\1", (b"PLTE", bytes([1, 2, 3, 200, 100, 50])), (b"tRNS", bytes([0, 255]))),
        (255, 255, 255),
        (200, 100, 50),
    ),
    "palette, half transparent": (
        png(2, 1, 8, 3, b"\0\0\1", (b"PLTE", bytes([0, 0, 0, 200, 100, 50])), (b"tRNS", bytes([128, 255]))),
        (127, 127, 127),
        (200, 100, 50),
    ),
    "rgba over white": (encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG"), (255, 255, 255), (255, 255, 255)),
    "rgba webp": (encode(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "WEBP", lossless=True), (255,) * 3, (255,) * 3),
    "grey and alpha": (encode(Image.new("LA", (4, 4), (0, 128)), "PNG"), (127, 127, 127), (127, 127, 127)),
    "16 bit grey and alpha": (png(1, 1, 16, 4, b"\0" + be16(0x1234, 0)), (255,) * 3, (255,) * 3),
    "rgb with a transparent colour": (
        png(2, 1, 8, 2, b"\0" + bytes([10, 0, 0, 255, 0, 0]), (b"tRNS", be16(10, 0, 0))),
        (255, 255, 255),
        (255, 0, 0),
    ),
    "grey with a transparent value": (
        png(2, 1, 8, 0, b"\0" + bytes([10, 200]), (b"tRNS", be16(10))),
        (255, 255, 255),
        (200, 200, 200),
    ),
    "16 bit grey with a transparent value": (
        png(2, 1, 16, 0, b"\0" + be16(0x1234, 0x1235), (b"tRNS", be16(0x1234))),
        (255, 255, 255),
        (0x12, 0x12, 0x12),
    ),
    "transparent gif": (encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "GIF"), (255,) * 3, (255,) * 3),
    "16 bit png": (png(2, 1, 16, 0, b"\0" + be16(0x12FF, 0xFE00)), (0x12,) * 3, (0xFE,) * 3),
    "16 bit rgb png": (png(1, 1, 16, 2, b"\0" + be16(0x12FF, 0x8000, 0xFFFF)), (0x12, 0x80, 0xFF), (0x12, 0x80, 0xFF)),
    "16 bit tiff": (encode(Image.fromarray(np.array([[0x12FF, 0xFE00]], np.uint16)), "TIFF"), (0x12,) * 3, (0xFE,) * 3),
    "16 bit tiff, big end first": (
        encode(Image.fromarray(np.array([[0x12FF, 0xFE00]], ">u2")), "TIFF"),
        (0x12,) * 3,
        (0xFE,) * 3,
    ),
    "16 bit pgm": (b"P5 2 1 65535\n" + be16(0x12FF, 0xFE00), (0x12,) * 3, (0xFE,) * 3),
    "32 bit integers": (encode(Image.fromarray(np.array([[-5, 70000]], np.int32)), "TIFF"), (0,) * 3, (255,) * 3),
    "first frame of gif": (encode(RED, "GIF", **TWO), (255, 0, 0), (255, 0, 0)),
    "first frame of webp": (encode(RED, "WEBP", lossless=True, **TWO), (255, 0, 0), (255, 0, 0)),
    "first frame of apng": (encode(RED, "PNG", **TWO), (255, 0, 0), (255, 0, 0)),
    "first page of tiff": (encode(RED, "TIFF", **TWO), (255, 0, 0), (255, 0, 0)),
    "first picture of mpo": (encode(RED, "MPO", **TWO), (254, 0, 0), (254, 0, 0)),
    "bmp": (encode(RED, "BMP"), (255, 0, 0), (255, 0, 0)),
    "ppm": (encode(RED, "PPM"), (255, 0, 0), (255, 0, 0)),
    "ico": (encode(RED.resize((16, 16)), "ICO"), (255, 0, 0), (255, 0, 0)),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    data, first, last = RULES[rule]
    image = decode(data)
    assert image.mode == "RGB"
    for corner, colour in (((0, 0), first), ((image.width - 1, image.height - 1), last)):
        assert np.abs(np.subtract(image.getpixel(corner), colour)).max() <= 3
    grey = decode(data, channels=1)
    assert (grey.mode, grey.size) == ("L", image.size)
    expected = Image.new("RGB", (1, 1), first).convert("L").getpixel((0, 0))
    assert abs(grey.getpixel((0, 0)) - expected) <= 3


@pytest.mark.parametrize("codec", [("JPEG2000", {}), ("AVIF", {"quality": 100})])
def test_codecs_that_a_build_of_pillow_may_lack(codec: tuple[str, dict[str, int]]) -> None:
    try:
        data = encode(RED.resize((32, 32)), codec[0], **codec[1])
    except (OSError, KeyError):
        pytest.skip(f"this Pillow has no {codec[0]}")
    assert np.abs(np.subtract(decode(data).getpixel((9, 9)), (255, 0, 0))).max() <= 3


@pytest.mark.parametrize("data", [
    encode(Image.new("F", (4, 4), 0.5), "TIFF"),
    b"Pf\n1 1\n-1.0\n" + struct.pack("<f", 1),
])  # fmt: skip
def test_floats_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="floating-point pixels are not supported"):
        decode(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("at_least", [None, (8, 8)])
def test_orientation(orientation: int, kind: str, at_least: tuple[int, int] | None) -> None:
    """The corner that is white as stored stands, upright, where EXIF says; also in a JPEG decoded at half its size."""
    stored = np.zeros((40, 64, 3), np.uint8)
    stored[:20, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"save_all": True, "append_images": [BLUE]} if kind == "MPO" else {}
    image = decode(encode(Image.fromarray(stored), kind, exif=exif, **options), 1, at_least)
    scale = 2 if at_least and kind in ("JPEG", "MPO") else 1
    upright = (64 // scale, 40 // scale)
    assert image.size == (upright if orientation <= 4 else upright[::-1])
    quarters = np.asarray(image.resize((2, 2), Image.Resampling.BOX)) > 127
    white = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 1, 7: 3, 8: 2}[orientation]
    assert quarters.flatten().tolist() == [i == white for i in range(4)]


@pytest.mark.parametrize("orientation", [None, 1, 3, 6])
def test_an_image_in_memory_is_not_changed(orientation: int | None) -> None:
    """What draws on the decoded image does not draw on the image in memory, also where that is upright."""
    image = Image.fromarray(np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3))
    if orientation is not None:
        image.getexif()[ExifTags.Base.Orientation] = orientation
    before = np.asarray(image).copy()
    decoded = decode(image)
    turned = {3: before[::-1, ::-1], 6: np.rot90(before, -1)}
    assert np.array_equal(np.asarray(decoded), turned.get(orientation or 1, before))
    decoded.paste((1, 2, 3), (0, 0, *decoded.size))
    assert np.array_equal(np.asarray(image), before)


@pytest.mark.parametrize(("size", "at_least", "expected"), [
    ((640, 480), None, (640, 480)),
    ((640, 480), (96, 96), (320, 240)),
    ((640, 480), (30, 30), (80, 60)),
    ((640, 480), (241, 10), (640, 480)),
    ((640, 100), (96, 96), (640, 100)),
    ((64, 64), (1, 1), (8, 8)),
])  # fmt: skip
def test_draft_leaves_twice_the_size(
    size: tuple[int, int], at_least: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    for mode in ("RGB", "L"):
        assert decode(encode(Image.new(mode, size), "JPEG"), 3, at_least).size == expected


@pytest.mark.parametrize("data", [
    encode(RED, "JPEG", exif=b"Exif\0\0" + bytes(range(40))),
    encode(RED, "PNG", exif=b"XX"),  # this one Pillow raises for
], ids=["JPEG", "PNG"])  # fmt: skip
def test_broken_exif_says_nothing(data: bytes) -> None:
    assert decode(data).size == upright_size(data) == (16, 12)


@pytest.mark.parametrize("name", sorted(set(odd.BAD) - {(kind, ".jpg") for kind in ("folder", "broken-link", "pipe")}))
def test_damaged(name: tuple[str, str]) -> None:
    with pytest.raises(ImageError) as caught:
        decode(odd.BAD[name](np.random.default_rng(0)))
    assert str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(odd.GOOD)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=8),
    st.floats(0.1, 1),
)
def test_any_damage_is_an_image_error(kind: tuple[str, str], flips: list[tuple[float, int]], kept: float) -> None:
    data = bytearray(odd.GOOD[kind](np.random.default_rng(0)))
    for place, bits in flips:
        data[int(place * len(data))] ^= bits
    try:
        pixels = prepare(bytes(data[: max(1, int(kept * len(data)))]), Preprocess(32, 40))
        assert pixels.shape == (32, 40, 3)
    except ImageError:
        pass


def test_decompression_bombs(tmp_path: Path) -> None:
    for width, height in ((20_000, 20_000), (15_000, 12_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(ImageError, match=r"must be at most|supported format"):
            decode(png(width, height, 1, 0, b"\0"))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_large_images_below_the_bound_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow warns above it, fails above twice it
    assert decode(encode(RED, "PNG")).size == (16, 12)


def test_read(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"data")
    (tmp_path / "link").symlink_to("good")
    assert read(tmp_path / "link") == b"data"
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    reasons = {
        tmp_path / "gone": "no such file",
        tmp_path / "good" / "below": "no such file",
        tmp_path / "broken": "no such file",
        tmp_path / "loop": "no such file",
        tmp_path / "nul\0": "no such file",
        tmp_path: "is a directory",
        tmp_path / "pipe": "not a file",
        Path("/dev/zero"): "not a file",
        tmp_path / ("x" * 300): "cannot be read: File name too long",
    }
    for path, reason in reasons.items():
        with pytest.raises(ImageError, match=f"^{reason}$"):
            read(path)


def test_read_refuses_what_is_huge(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(ImageError, match="larger than 1073741824 bytes"):
        read(tmp_path / "huge.jpg")


def test_read_without_permission(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "secret.jpg").chmod(0)
    if os.access(tmp_path / "secret.jpg", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ImageError, match="cannot be read: Permission denied"):
        read(tmp_path / "secret.jpg")


@given(
    st.integers(1, 6000),
    st.integers(1, 6000),
    st.integers(32, 300),
    st.integers(32, 300),
    st.one_of(st.just(1.0), st.floats(0.01, 1)),
)
def test_centre_box(width: int, height: int, net_height: int, net_width: int, crop: float) -> None:
    left, top, right, bottom = centre_box(width, height, Preprocess(net_height, net_width, crop=crop))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert left == pytest.approx(width - right, abs=1e-6)
    assert top == pytest.approx(height - bottom, abs=1e-6)
    assert (right - left) / (bottom - top) == pytest.approx(net_width / net_height, rel=1e-6)
    assert max((right - left) / width, (bottom - top) / height) == pytest.approx(crop, rel=1e-6)


@pytest.mark.parametrize("size", [(7, 777), (1, 5000), (5000, 1), (1, 1), (2, 70_000)])
@pytest.mark.parametrize("crop", [0.875, 1.0])
def test_thin_and_tiny_images(size: tuple[int, int], crop: float) -> None:
    """(7, 777) at 100 x 100 and crop 1 rounds to a box that begins at -4e-16."""
    pixels = prepare(encode(Image.new("RGB", size, (200, 100, 50)), "PNG"), Preprocess(100, 100, crop=crop))
    assert pixels.shape == (100, 100, 3)
    assert (pixels == (200, 100, 50)).all()


def test_crop_resize_takes_the_box() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[6:24, 26:54] = 255  # the kernels reach beyond the box
    for kernel in ("bilinear", "bicubic", "lanczos", "box"):
        found = crop_resize(as_image(pixels), Preprocess(32, 64, resize=kernel), (30, 10, 50, 20))
        assert found.shape == (32, 64, 3)
        assert (found == 255).all()
    assert crop_resize(as_image(pixels[:, :, :1]), Preprocess(32, 64, 1)).shape == (32, 64, 1)


@pytest.mark.parametrize(("size", "side", "expected"), [
    ((300, 100), 50, (150, 50)),
    ((100, 300), 50, (50, 150)),
    ((101, 67), 32, (49, 32)),
    ((40, 50), 40, (40, 50)),
    ((40, 50), 41, (40, 50)),
    ((1, 5000), 32, (1, 5000)),
])  # fmt: skip
def test_shrink_short_side(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    assert shrink_short_side(Image.new("RGB", size), side, "bilinear").size == expected


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 300))
def test_short_side_is_exact(width: int, height: int, side: int) -> None:
    found = shrink_short_side(Image.new("L", (width, height)), side, "box").size
    assert min(found) == min(side, width, height)


def test_normalise() -> None:
    pixels = np.array([[[0, 127, 255]]], np.uint8)
    found = normalise(pixels, Preprocess(32, 32))
    assert found.dtype == np.float32
    assert np.allclose(found, [[[-1, -0.5 / 127.5, 1]]])


def test_normalise_by_channel() -> None:
    preprocess = Preprocess(32, 32, mean=[1, 2, 3], std=(1, 2, 4))
    assert np.allclose(normalise(np.array([[[2, 4, 7]]], np.uint8), preprocess), [[[1, 1, 1]]])
    assert Preprocess(**preprocess.to_dict()) == preprocess == Preprocess(32, 32, mean=(1.0, 2.0, 3.0), std=[1, 2, 4])
    assert Preprocess(32, 32, mean=(5, 5, 5)).mean == 5.0


@pytest.mark.parametrize(("change", "rule"), [
    ({"mean": (1, 2)}, r"mean \(=\(1, 2\)\) must be one number, or one for each of 3 channels"),
    ({"mean": float("nan")}, r"mean \(=nan\) must be one number"),
    ({"std": (1, 2, 0)}, r"std \(=\(1.0, 2.0, 0.0\)\) must be above 0"),
    ({"crop": 0}, r"crop \(=0\) must be above 0 and at most 1"),
    ({"crop": 1.1}, "must be above 0 and at most 1"),
    ({"crop": float("nan")}, "must be above 0 and at most 1"),
    ({"std": 0}, r"std \(=0.0\) must be above 0"),
    ({"resize": "hamming"}, r"resize \(='hamming'\) must be one of bilinear, bicubic, lanczos, box, nearest"),
])  # fmt: skip
def test_preprocess_is_checked(change: dict[str, object], rule: str) -> None:
    with pytest.raises(NetworkError, match=rule):
        Preprocess(32, 32, **change)


def tiff(bits: int, width: int, row: bytes) -> bytes:
    """A grey TIFF of one row whose pixels have `bits` each."""
    tags = [
        (256, 3, width),
        (257, 3, 1),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 3, 1),
        (279, 4, len(row)),
    ]
    row += bytes(len(row) % 2)
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(row)) + row + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_a_tiff_of_12_bits_is_read_as_such() -> None:
    """The upper 8 of the bits that the file declares; nothing is guessed from the values of 16 bits."""
    assert np.asarray(decode(tiff(12, 2, bytes([0xAB, 0xC0, 0x10])), 1)).tolist() == [[0xAB, 0x01]]
    assert np.asarray(decode(tiff(16, 2, struct.pack("<HH", 0x0ABC, 0x0010)), 1)).tolist() == [[0x0A, 0x00]]
