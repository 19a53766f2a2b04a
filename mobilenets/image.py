"""Decode, resize and normalise images, identically in training, evaluation, calibration, prediction and serving.

Images that are not plain RGB are handled as follows (see docs/data.md). EXIF orientation is applied. Greyscale is
repeated three times. CMYK, YCbCr and LAB are converted, and palettes resolved. Transparent pixels are composited on
white. Of 16-bit pixels, or of the bits that a TIFF declares, the upper 8 are kept. Of an animation, the first frame is
used. Floating-point pixels are rejected, because their range is not stated.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from .errors import ImageError, UsageError
from .preprocess import Fit, Preprocess, Resize

__all__ = [
    "EXTENSIONS",
    "HEIF",
    "UNREAD",
    "Fit",
    "Pixels",
    "Preprocess",
    "Resize",
    "Size",
    "Source",
    "as_image",
    "centre_box",
    "crop_resize",
    "decode",
    "in_memory",
    "normalise",
    "opened",
    "prepare",
    "prepared",
    "read",
    "shrink_short_side",
    "upright_size",
]

# warnings about corrupt EXIF and the like; relevant problems raise an ImageError
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Size = tuple[int, int]  # (width, height) of an upright image, in pixels
Source = bytes | Path | Image.Image  # the content of a file, a file, or a Pillow image

HEIF = frozenset((".heic", ".heif", ".hif"))  # supported if pillow-heif is installed
_READ = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .ppm .pgm .pbm .pnm .jp2 .avif .mpo .ico".split()
)
EXTENSIONS = _READ | HEIF if find_spec("pillow_heif") else _READ
# photo formats of cameras, scanners and editors that are not supported; such files are reported
UNREAD = frozenset(
    ".heic .heif .hif .jxl .jxr .hdp .wdp .j2k .jpx .jpf .raw .dng .cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .orf .rw2 "
    ".raf .pef .srw .3fr .iiq .erf .mrw .x3f .psd .xcf .svg .eps .tga .exr .hdr .dcm .fits .dds .qoi".split()
).difference(EXTENSIONS)
# formats whose decoders run no code; those that Pillow preloads come first; MPO is opened as JPEG
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000", "ICO", "AVIF")
_MAX_PIXELS = 178_956_970  # Pillow's limit for decompression bombs
_MAX_FILE = 1 << 30
_TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_KERNELS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


def decode(source: Source, channels: int = 3, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode an image in mode RGB (`channels` 3) or L (1), upright. Raises `ImageError` with the reason.

    With `at_least` (height, width), a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if both sides remain at least
    twice this size. This is several times faster, and the following resize still antialiases.
    """
    with opened(source) as image:
        decoded = _decoded(image, channels, at_least)
        return decoded.copy() if decoded is source else decoded


def _decoded(image: Image.Image, channels: int, at_least: tuple[int, int] | None) -> Image.Image:
    if at_least is not None:
        _draft(image, at_least)
    bits = _bits(image)
    image.load()
    return _plain(_upright(image), channels, bits)


def in_memory(source: Image.Image | np.ndarray[Any, Any]) -> Image.Image:
    """Return `source` as a Pillow image.

    It is a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8 in the order RGB or RGBA.
    Raises `UsageError` for an array of another shape or dtype.
    """
    if isinstance(source, Image.Image):
        return source
    if not isinstance(source, np.ndarray):
        raise UsageError(f"an image (={source!r:.60}) must be a path, bytes, a Pillow image or an array")
    shape = source.shape[:2] if source.ndim == 3 and source.shape[2] == 1 else source.shape
    if source.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) or 0 in shape:
        rule = "must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8"
        raise UsageError(f"an image as an array {rule}, is {source.shape} of {source.dtype}")
    return Image.fromarray(np.ascontiguousarray(source).reshape(shape))


def upright_size(source: Source) -> tuple[int, int]:
    """Return (width, height) in pixels of the upright image, from its header; raises `ImageError`."""
    with opened(source) as image:
        transposed = image.format != "TIFF" and _transposed(image)  # Pillow states the upright size of a TIFF
        return (image.height, image.width) if transposed else image.size


@contextmanager
def opened(source: Source, max_pixels: int = _MAX_PIXELS) -> Iterator[Image.Image]:
    """Open an image and read its header; convert exceptions raised while it is open to `ImageError`."""
    data = b""
    try:
        if isinstance(source, Image.Image):
            yield source
            return
        data = source if isinstance(source, bytes) else read(source)
        if not data:
            raise ImageError("the file is empty")
        with Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(f"{image.width}x{image.height} pixels, must be at most {max_pixels}")
            yield image
    except ImageError:
        raise
    except UnidentifiedImageError as exc:
        raise ImageError(_unknown(data)) from exc
    except Image.DecompressionBombError as exc:
        raise ImageError(f"must be at most {max_pixels} pixels") from exc
    except MemoryError as exc:
        raise ImageError("does not fit in memory") from exc
    except Exception as exc:  # Pillow's plugins raise many types of exceptions on damaged input
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise ImageError(f"cannot be decoded: {reason[:200]}") from exc


def _formats(data: bytes) -> tuple[str, ...]:
    """Return the candidate formats of `data`; pillow-heif is imported only for files that may need it."""
    return (*_FORMATS, "HEIF") if data[4:8] == b"ftyp" and _knows_heif() else _FORMATS


@cache
def _knows_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _unknown(data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:11] in (b"hei", b"hev", b"mif") and not _knows_heif():
        return "reading HEIC needs pillow-heif: pip install pillow-heif"
    return "not an image in a supported format"


def read(path: Path) -> bytes:
    """Return the content of a regular file of at most 1 GiB; raise `ImageError` for others, such as pipes."""
    try:
        if not path.is_file():
            reason = "is a directory" if path.is_dir() else "no such file" if not path.exists() else "not a file"
            raise ImageError(reason)
        if path.stat().st_size > _MAX_FILE:
            raise ImageError(f"larger than {_MAX_FILE} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as exc:
        raise ImageError(f"cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc


def _draft(image: Image.Image, at_least: tuple[int, int]) -> None:
    side = 2 * max(at_least)  # for both orientations, as EXIF rotation is applied later
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        image.draft(image.mode, (side, side))


def _upright(image: Image.Image) -> Image.Image:
    """Return the image as its EXIF orientation says; `image` itself where that is upright, as Pillow would copy it."""
    try:
        return ImageOps.exif_transpose(image) if image.getexif().get(ExifTags.Base.Orientation, 1) != 1 else image
    except Exception:  # an unreadable EXIF block is ignored
        return image


def _transposed(image: Image.Image) -> bool:
    """Return whether `_upright` exchanges width and height."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation) in _TRANSPOSED
    except Exception:  # as in `_upright`
        return False


def _bits(image: Image.Image) -> int:
    """Return the bits per pixel of mode I or I;16: those that a TIFF declares, else 16, never inferred from values."""
    declared: tuple[int, ...] = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, ())
    return min(16, *declared) if declared else 16


def _plain(image: Image.Image, channels: int, bits: int) -> Image.Image:
    """Convert to RGB or L by the rules in the docstring of this module."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode == "F":
        raise ImageError("floating-point pixels are not supported, their range is not stated")
    if image.mode.startswith("I"):
        image = _upper_eight_bits(image, bits)
    if image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB") or image
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


def _upper_eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """Convert mode I or I;16 to L, or to LA if one value is declared transparent."""
    values = np.asarray(image).astype(np.int64)
    grey = Image.fromarray((np.clip(values, 0, (1 << bits) - 1) >> max(0, bits - 8)).astype(np.uint8))
    if isinstance(key := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def centre_box(width: int, height: int, preprocess: Preprocess) -> tuple[float, float, float, float]:
    """Return the box (left, top, right, bottom) in pixels that is resized to the network's input.

    It is the largest centred box of the network's aspect ratio, reduced by the factor `crop`, or the whole image if it
    is stretched or letterboxed.
    """
    if preprocess.fit != "crop":
        return 0.0, 0.0, float(width), float(height)
    scale = min(width / preprocess.width, height / preprocess.height) * preprocess.crop
    w, h = preprocess.width * scale, preprocess.height * scale
    left, top = max(0.0, (width - w) / 2), max(0.0, (height - h) / 2)
    return left, top, min(width, left + w), min(height, top + h)  # rounding must not exceed the image


def crop_resize(
    image: Image.Image, preprocess: Preprocess, box: tuple[float, float, float, float] | None = None
) -> Pixels:
    """Return `box` (default: that of `centre_box`) of `image`, resized to (height, width, channels) uint8."""
    box = box or centre_box(image.width, image.height, preprocess)
    whole = (preprocess.width, preprocess.height)
    size = _within(box, whole) if preprocess.fit == "letterbox" else whole
    resized = image.resize(size, _KERNELS[preprocess.resize], box=box)
    if size != whole:
        canvas = Image.new(resized.mode, whole)
        canvas.paste(resized, (round((whole[0] - size[0]) / 2), round((whole[1] - size[1]) / 2)))
        resized = canvas
    pixels = np.asarray(resized)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _within(box: tuple[float, float, float, float], whole: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) of the largest rectangle with the box's aspect ratio within `whole`."""
    width, height = box[2] - box[0], box[3] - box[1]
    if width / height > whole[0] / whole[1]:
        return whole[0], max(1, round(height / width * whole[0]))
    return max(1, round(width / height * whole[1])), whole[1]


def shrink_short_side(image: Image.Image, side: int, kernel: Resize) -> Image.Image:
    """Return the image with its short side reduced to `side` pixels, or unchanged if it is not longer."""
    short = min(image.size)
    if short <= side:
        return image
    width, height = (-(-length * side // short) for length in image.size)  # rounded up
    return image.resize((width, height), _KERNELS[kernel])


def prepare(source: "Source | str | np.ndarray[Any, Any]", preprocess: Preprocess) -> Pixels:
    """Decode, crop and resize an image to (height, width, channels) uint8, the input of every exported network.

    `source` is a path, the content of a file (bytes), a Pillow image, or an array as for `in_memory`. Raises
    `ImageError` for an image that cannot be decoded.
    """
    if isinstance(source, np.ndarray):
        source = in_memory(source)
    return prepared(Path(source) if isinstance(source, str) else source, preprocess)[0]


def prepared(source: Source, preprocess: Preprocess, max_pixels: int = _MAX_PIXELS) -> tuple[Pixels, Size]:
    """Return `prepare` of an image and its `upright_size`, reading it once."""
    exact = preprocess.resize == "nearest"  # the reduced decoding would select other pixels
    with opened(source, max_pixels) as image:
        size, tiff = image.size, image.format == "TIFF"
        upright = _decoded(image, preprocess.channels, None if exact else (preprocess.height, preprocess.width))
        transposed = not tiff and _transposed(image)
    return crop_resize(upright, preprocess), size[::-1] if transposed else size


def as_image(pixels: Pixels) -> Image.Image:
    """Return (H, W, 3) or (H, W, 1) uint8 as an image of mode RGB or L."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def normalise(pixels: Pixels, preprocess: Preprocess) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return (pixels - mean) / std for (..., H, W, C) uint8, as float32 of the same shape."""
    mean, std = (np.asarray(value, np.float32) for value in (preprocess.mean, preprocess.std))
    return (pixels.astype(np.float32) - mean) / std
