"""Odd and damaged images, made from a seed: what users' folders really hold."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Draw = np.random.Generator


def make_odd_images(folder: Path, count: int = 500, seed: int = 0) -> dict[str, bool]:
    """Write `count` files, every kind in turn; returns for each name whether it can be decoded."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [(kind, suffix, make, True) for (kind, suffix), make in GOOD.items()]
    kinds += [(kind, suffix, make, False) for (kind, suffix), make in BAD.items()]
    made = {}
    for number in range(count):
        kind, suffix, make, decodable = kinds[number % len(kinds)]
        name = f"{number:03d}-{kind}{suffix}"
        made[name] = decodable
        if kind == "folder":
            (folder / name).mkdir()
        elif kind == "broken-link":
            (folder / name).symlink_to("nowhere.jpg")
        elif kind == "pipe":
            os.mkfifo(folder / name)
        else:
            (folder / name).write_bytes(make(rng))
    return made


def photo(rng: Draw, width: int = 0, height: int = 0, bands: int = 3) -> np.ndarray:
    """(height, width, bands) uint8: a random gradient with some noise, so that no two are equal."""
    width, height = width or int(rng.integers(24, 120)), height or int(rng.integers(24, 120))
    y, x = (
        np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j] if height > 1 and width > 1 else np.zeros((2, height, width))
    )
    slopes = rng.uniform(-120, 120, (2, 1, 1, bands))
    pixels = 128 + slopes[0] * (x[..., None] - 0.5) + slopes[1] * (y[..., None] - 0.5)
    return np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rgb(rng: Draw, width: int = 0, height: int = 0) -> Image.Image:
    return Image.fromarray(photo(rng, width, height))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG from its raw rows (each begins with its filter byte), with `chunks` before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


def turned(rng: Draw) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(2, 9))
    return encode(rgb(rng), "JPEG", exif=exif)


def palette_with_transparency(rng: Draw) -> bytes:
    image = rgb(rng).quantize(16)
    return encode(image, "PNG", transparency=bytes(rng.integers(0, 256, 16, np.uint8)))


def sixteen_bits(rng: Draw) -> Image.Image:
    return Image.fromarray(photo(rng, bands=1)[:, :, 0].astype(np.uint16) * 257)


def with_broken_exif(rng: Draw) -> bytes:
    return encode(rgb(rng), "JPEG", exif=b"Exif\x00\x00" + rng.bytes(40))


def animation(rng: Draw, kind: str) -> bytes:
    frames = [rgb(rng, 40, 30) for _ in range(3)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:])


def lab(rng: Draw) -> bytes:
    return encode(Image.frombytes("LAB", (20, 30), photo(rng, 20, 30).tobytes()), "TIFF")


def cut(data: bytes, rng: Draw) -> bytes:
    """The first 30 to 80 % of `data`."""
    return data[: int(len(data) * rng.uniform(0.3, 0.8))]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def text(rng: Draw, before: str = "", after: str = "") -> bytes:
    return f"{before}no image, but number {rng.integers(1 << 60)}{after}\n".encode()


GOOD: dict[tuple[str, str], Callable[[Draw], bytes]] = {
    ("plain", ".jpg"): lambda rng: encode(rgb(rng), "JPEG"),
    ("progressive", ".jpeg"): lambda rng: encode(rgb(rng), "JPEG", progressive=True),
    ("grey", ".jpg"): lambda rng: encode(rgb(rng).convert("L"), "JPEG"),
    ("cmyk", ".jpg"): lambda rng: encode(Image.fromarray(photo(rng, bands=4), "CMYK"), "JPEG"),
    ("turned", ".jpg"): turned,
    ("broken-exif", ".jpg"): with_broken_exif,
    ("two-pictures", ".jpg"): lambda rng: animation(rng, "MPO"),
    ("16-bit", ".png"): lambda rng: encode(sixteen_bits(rng), "PNG"),
    ("16-bit", ".tif"): lambda rng: encode(sixteen_bits(rng), "TIFF"),
    ("1-bit", ".png"): lambda rng: encode(rgb(rng).convert("1"), "PNG"),
    ("palette-alpha", ".png"): palette_with_transparency,
    ("grey-alpha", ".png"): lambda rng: encode(rgb(rng).convert("LA"), "PNG"),
    ("alpha", ".PNG"): lambda rng: encode(Image.fromarray(photo(rng, bands=4)), "PNG"),
    ("animated", ".gif"): lambda rng: animation(rng, "GIF"),
    ("animated", ".png"): lambda rng: animation(rng, "PNG"),
    ("animated", ".webp"): lambda rng: animation(rng, "WEBP"),
    ("webp", ".webp"): lambda rng: encode(rgb(rng), "WEBP"),
    ("lab", ".tiff"): lab,
    ("bitmap", ".bmp"): lambda rng: encode(rgb(rng), "BMP"),
    ("portable", ".ppm"): lambda rng: encode(rgb(rng), "PPM"),
    ("one-pixel", ".png"): lambda rng: encode(rgb(rng, 1, 1), "PNG"),
    ("thread", ".png"): lambda rng: encode(rgb(rng, 1, 3000), "PNG"),
    ("thread-lying", ".jpg"): lambda rng: encode(rgb(rng, 3000, 1), "JPEG"),
    ("png-called-jpg", ".jpg"): lambda rng: encode(rgb(rng), "PNG"),
    ("jpg-called-gif", ".gif"): lambda rng: encode(rgb(rng), "JPEG"),
}

BAD: dict[tuple[str, str], Callable[[Draw], bytes]] = {
    ("empty", ".jpg"): lambda rng: b"",
    ("zeros", ".jpg"): lambda rng: bytes(int(rng.integers(100, 9000))),
    ("cut", ".jpg"): lambda rng: cut(encode(rgb(rng), "JPEG"), rng),
    ("cut", ".png"): lambda rng: cut(encode(rgb(rng), "PNG"), rng),
    ("cut", ".webp"): lambda rng: cut(encode(rgb(rng), "WEBP"), rng),
    ("cut", ".gif"): lambda rng: cut(encode(rgb(rng), "GIF"), rng),
    ("head-only", ".jpg"): lambda rng: encode(rgb(rng), "JPEG")[:20],
    ("noise", ".jpg"): lambda rng: rng.bytes(int(rng.integers(1, 5000))),
    ("noise-after-head", ".png"): lambda rng: encode(rgb(rng), "PNG")[:33] + rng.bytes(500),
    ("text", ".jpg"): text,
    ("html", ".jpg"): lambda rng: text(rng, "<!doctype html><title>404</title>", "</html>"),
    ("flipped-start", ".jpg"): lambda rng: flipped(encode(rgb(rng), "JPEG"), int(rng.integers(0, 2))),
    ("flipped-header", ".png"): lambda rng: flipped(encode(rgb(rng), "PNG"), int(rng.integers(0, 30))),
    ("declares-too-much", ".png"): lambda rng: png(60_000, 60_000 + int(rng.integers(99)), 8, 2, b"\0" * 99),
    ("floats", ".tif"): lambda rng: encode(Image.fromarray(photo(rng)[:, :, 0].astype(np.float32)), "TIFF"),
    ("pdf", ".jpg"): lambda rng: b"%PDF-1.7\n" + text(rng),
    ("postscript", ".jpg"): lambda rng: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" + text(rng),
    ("folder", ".jpg"): text,
    ("broken-link", ".jpg"): text,
    ("pipe", ".jpg"): text,
}
