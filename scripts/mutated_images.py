"""Decode thousands of damaged images: no crash, no hang, no error but ImageError.

    python scripts/mutated_images.py --count 10000 --seed 1

Images of every format that is read are damaged at random (bytes and bits changed, ranges cut, repeated, zeroed or taken
from another image, numbers in the header set to extremes), then decoded in a process of its own, which may die or take
too long without ending this one. Prints a line for each failure, whose image is written to --keep.
"""

import argparse
import io
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from mobilenets.errors import ImageError
from mobilenets.image import decode, upright_size

LIMIT = 10.0  # seconds an image
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\1\0\0", b"\0\0\1\0")
Random = np.random.Generator


def whole_images() -> list[tuple[str, bytes]]:
    """A small image in each format and coding, by name."""
    y, x = np.mgrid[0:48, 0:64]
    noise = np.random.default_rng(0).integers(0, 40, (48, 64, 3))
    rgb = Image.fromarray((np.stack([x * 3, y * 4, x + y], 2) + noise).clip(0, 255).astype(np.uint8))
    deep = Image.fromarray((x * 900 + y).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("JPEG", rgb, {}),
        ("JPEG", rgb, {"progressive": True, "exif": exif}),
        ("JPEG", rgb.convert("CMYK"), {}),
        ("PNG", rgb, {}),
        ("PNG", rgb.quantize(16), {"transparency": bytes(range(16))}),
        ("PNG", deep, {}),
        ("TIFF", rgb, {}),
        ("TIFF", rgb, {"compression": "tiff_lzw"}),
        ("TIFF", rgb, {"compression": "jpeg"}),
        ("TIFF", rgb.convert("1"), {"compression": "group4"}),
        ("TIFF", deep, {"compression": "tiff_adobe_deflate"}),
        ("WEBP", rgb, {}),
        ("WEBP", rgb.convert("RGBA"), {"lossless": True}),
        ("WEBP", rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
        ("GIF", rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
        ("BMP", rgb, {}),
        ("BMP", rgb.quantize(16), {}),
        ("PPM", rgb, {}),
        ("ICO", rgb, {"sizes": [(32, 32)]}),
        ("JPEG2000", rgb, {}),
        ("AVIF", rgb, {}),
    ]
    if with_heif():
        kinds += [("HEIF", rgb, {}), ("HEIF", rgb.convert("RGBA"), {"quality": -1})]
    return [(kind, _encoded(image, kind, options)) for kind, image, options in kinds]


def with_heif() -> bool:
    """Register pillow-heif, where it is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _encoded(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def mutated(data: bytes, other: bytes, random: Random) -> bytes:
    """`data` damaged in one to four places; half of the time near its beginning, where the sizes stand."""
    result = bytearray(data)
    for _ in range(random.integers(1, 5)):
        reach = len(result) if random.random() < 0.5 else min(len(result), 300)
        if reach > 1:
            damage = (_bytes_changed, _range_changed)[random.integers(2)]
            damage(result, int(random.integers(reach)), other, random)
    return bytes(result)


def _bytes_changed(result: bytearray, at: int, other: bytes, random: Random) -> None:
    match random.integers(4):
        case 0:
            result[at] = random.integers(256)
        case 1:
            result[at] ^= 1 << int(random.integers(8))
        case 2:
            result[at : at + 4] = EXTREMES[random.integers(len(EXTREMES))]
        case 3:
            result[at] = other[at % len(other)]


def _range_changed(result: bytearray, at: int, other: bytes, random: Random) -> None:
    length = int(random.integers(1, 40))
    match random.integers(5):
        case 0:
            del result[at : at + length]
        case 1:
            result[at:at] = result[at : at + length]
        case 2:
            result[at : at + length] = bytes(length)
        case 3:
            result[at : at + length] = other[at : at + length]
        case 4:
            del result[int(random.integers(len(result))) :]


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of `count` damaged images, the formats in turn; the same for the same seed."""
    random = np.random.default_rng(seed)
    whole = whole_images()
    for number in range(count):
        kind, data = whole[number % len(whole)]
        yield f"{number}-{kind}", mutated(data, whole[random.integers(len(whole))][1], random)


def outcome(data: bytes) -> str:
    """What decoding it comes to: 'image', 'refused', or the name of an error that is none of ours."""
    try:
        upright_size(data)
        decode(data)
        decode(data, 1, at_least=(8, 8))
    except ImageError as exc:
        return "refused" if len(str(exc)) < 400 and "\n" not in str(exc) else f"message {str(exc)!r}"
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return "image"


class Decoder:
    """A process that decodes, started anew where it has died or was too slow."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def outcome(self, data: bytes) -> str:
        self._pipe.send_bytes(data or b"\0")
        try:
            if self._pipe.poll(LIMIT):
                return str(self._pipe.recv())
            found = f"hang of more than {LIMIT:g} s"
        except EOFError:
            self._process.join()
            found = f"signal {-(self._process.exitcode or 0)}"
        self.stop()
        self._start()
        return found

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes a line there for each thing that is wrong
    with_heif()
    while True:
        try:
            data = pipe.recv_bytes()
        except EOFError:
            return
        pipe.send(outcome(data))


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each outcome came, and the slowest image in seconds."""

    counts: Counter[str]
    failures: list[tuple[str, str, bytes]]
    slowest: float


def run(count: int, seed: int) -> Tally:
    """Decode `count` damaged images."""
    decoder, counts, failures, slowest = Decoder(), Counter[str](), [], 0.0
    for name, data in mutants(count, seed):
        start = time.monotonic()
        found = decoder.outcome(data)
        slowest = max(slowest, time.monotonic() - start)
        counts[found if found in ("image", "refused") else "failed"] += 1
        if found not in ("image", "refused"):
            failures.append((name, found, data))
    decoder.stop()
    return Tally(counts, failures, slowest)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for images that failed")
    flags = parser.parse_args()
    tally = run(flags.count, flags.seed)
    for name, found, data in tally.failures:
        print(f"{name}: {found}")
        if flags.keep:
            flags.keep.mkdir(parents=True, exist_ok=True)
            (flags.keep / name).write_bytes(data)
    counts = tally.counts
    print(f"{flags.count} images: {counts['image']} decoded, {counts['refused']} refused, {counts['failed']} failed")
    print(f"slowest: {tally.slowest:.2f} s")
    return int(counts["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
