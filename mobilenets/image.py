"""Pixels: the only decoder, resize and normalisation, used by train, evaluate, calibrate, predict and serve.

What becomes of an image that is not plain RGB (docs/data.md says it for users):
EXIF orientation is applied; grey is repeated three times; CMYK, YCbCr and LAB are converted; a palette is looked up;
transparency is laid over white; of 16 bits, or as many as a TIFF declares, the upper 8 are kept; of an animation the
first frame is taken; floating-point pixels are refused, because nothing states their range.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from .errors import ImageError, NetworkError, UsageError

__all__ = [
    "EXTENSIONS",
    "HEIF",
    "UNREAD",
    "Fit",
    "Pixels",
    "Preprocess",
    "Resize",
    "Source",
    "as_image",
    "centre_box",
    "crop_resize",
    "decode",
    "in_memory",
    "normalise",
    "opened",
    "prepare",
    "read",
    "shrink_short_side",
    "upright_size",
]

# corrupt EXIF and the like: what matters of it becomes an ImageError, the rest is noise on a user's terminal
warnings.filterwarnings("ignore", module=r"PIL\.")

Resize = Literal["bilinear", "bicubic", "lanczos", "box", "nearest"]
Fit = Literal["crop", "stretch", "letterbox"]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Source = bytes | Path | Image.Image  # a file's content, a file, or an image that Pillow has opened or made

HEIF = frozenset((".heic", ".heif", ".hif"))  # read where pillow-heif is installed
_READ = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .ppm .pgm .pbm .pnm .jp2 .avif .mpo .ico".split()
)
EXTENSIONS = _READ | HEIF if find_spec("pillow_heif") else _READ
# of photos as cameras, scanners and editors write them, which are named where they are left out
UNREAD = frozenset(
    ".heic .heif .hif .jxl .jxr .hdp .wdp .j2k .jpx .jpf .raw .dng .cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .orf .rw2 "
    ".raf .pef .srw .3fr .iiq .erf .mrw .x3f .psd .xcf .svg .eps .tga .exr .hdr .dcm .fits .dds .qoi".split()
).difference(EXTENSIONS)
# none runs code; those that Pillow loads at once stand first; MPO is opened as JPEG and has no entry of its own
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000", "ICO", "AVIF")
_MAX_PIXELS = 178_956_970  # Pillow's own bound for a decompression bomb
_MAX_FILE = 1 << 30
_LYING = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_KERNELS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True, slots=True)
class Preprocess:
    """From any image to the network's input; stored in every model file and exported graph.

    The centred box of the network's aspect ratio that covers `crop` of the image is resized to height x width
    by Pillow's `resize` kernel (with antialiasing, but for "nearest"); then (pixel - mean) / std. `fit` "stretch": the
    whole image is, whatever its aspect ratio; "letterbox": the whole image in its aspect ratio, centred on black.
    """

    height: int
    width: int
    channels: int = 3
    crop: float = 0.875  # what ImageNet networks are measured with; trained-on borders carry less
    resize: Resize = "bilinear"
    mean: float | tuple[float, ...] = 127.5  # Keras, TF-slim and timm give MobileNet v1 the range [-1, 1]
    std: float | tuple[float, ...] = 127.5  # one number, or one a channel
    fit: Fit = "crop"  # "stretch" and "letterbox" show all of the image

    def __post_init__(self) -> None:
        if self.resize not in get_args(Resize):
            raise NetworkError(f"resize (={self.resize!r}) must be one of {', '.join(get_args(Resize))}")
        if self.fit not in get_args(Fit):
            raise NetworkError(f"fit (={self.fit!r}) must be one of {', '.join(get_args(Fit))}")
        if not (isinstance(self.crop, int | float) and 0 < self.crop <= 1):
            raise NetworkError(f"crop (={self.crop!r}) must be above 0 and at most 1")
        for name in ("mean", "std"):
            object.__setattr__(self, name, _per_channel(name, getattr(self, name), self.channels))
        if min(np.atleast_1d(self.std)) <= 0:
            raise NetworkError(f"std (={self.std!r}) must be above 0")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _per_channel(name: str, value: object, channels: int) -> float | tuple[float, ...]:
    """One finite number, or one for each of `channels` (JSON has them as a list)."""
    numbers = value if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and np.isfinite(n) for n in numbers):
        raise NetworkError(f"{name} (={value!r}) must be one number, or one a channel")
    if not isinstance(value, list | tuple):
        return float(numbers[0])
    if len(numbers) != channels:
        raise NetworkError(f"{name} (={value!r}) must be one number, or one for each of {channels} channels")
    return tuple(map(float, numbers)) if len(set(numbers)) > 1 else float(numbers[0])


def decode(source: Source, channels: int = 3, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The image in mode RGB (`channels` 3) or L (1), upright; `ImageError` with a one-line reason if that cannot be.

    `at_least` (height, width): a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as both sides stay at or above twice
    this size, which is several times faster and leaves the resize to a small target its antialiasing.
    """
    with opened(source) as image:
        if at_least is not None:
            _draft(image, at_least)
        bits = _bits(image)
        image.load()
        return _plain(_upright(image), channels, bits)


def in_memory(source: Image.Image | np.ndarray[Any, Any]) -> Image.Image:
    """Return a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, as an image to prepare.

    Colours are RGB or RGBA, in this order. Raises `UsageError` for an array of another shape or dtype.
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
    """(width, height) in pixels of the image as `decode` gives it, from its header; `ImageError`."""
    with opened(source) as image:
        turned = image.format != "TIFF" and _lies(image)  # Pillow states a TIFF's size upright at once
        return (image.height, image.width) if turned else image.size


@contextmanager
def opened(source: Source) -> Iterator[Image.Image]:
    """The image, its header read; whatever is raised while it is open becomes an `ImageError`."""
    data = b""
    try:
        if isinstance(source, Image.Image):
            yield source
            return
        data = source if isinstance(source, bytes) else read(source)
        if not data:
            raise ImageError("the file is empty")
        with Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise ImageError(f"{image.width}x{image.height} pixels: more than {_MAX_PIXELS} are refused")
            yield image
    except ImageError:
        raise
    except UnidentifiedImageError as exc:
        raise ImageError(_unknown(data)) from exc
    except Image.DecompressionBombError as exc:
        raise ImageError(f"more than {_MAX_PIXELS} pixels are refused") from exc
    except MemoryError as exc:
        raise ImageError("too large for this machine's memory") from exc
    except Exception as exc:  # Pillow's plugins raise nearly anything on damaged input
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise ImageError(f"cannot be decoded: {reason[:200]}") from exc


def _formats(data: bytes) -> tuple[str, ...]:
    """What `data` may be; pillow-heif takes a moment to load and is asked only where it may be needed."""
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
    return "not an image of a known format"


def read(path: Path) -> bytes:
    """The bytes of a regular file; `ImageError` for anything else (a pipe would block, a device never ends)."""
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
    side = 2 * max(at_least)  # both ways round: EXIF may turn the image yet
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        image.draft(image.mode, (side, side))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # an unreadable EXIF block says nothing about orientation
        return image


def _lies(image: Image.Image) -> bool:
    """Tell whether `_upright` exchanges width and height."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation) in _LYING
    except Exception:  # as there
        return False


def _bits(image: Image.Image) -> int:
    """Of a pixel of mode I or I;16: as many as a TIFF declares, else 16. Nothing is guessed from the values."""
    declared: tuple[int, ...] = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, ())
    return min(16, *declared) if declared else 16


def _plain(image: Image.Image, channels: int, bits: int) -> Image.Image:
    """To RGB or L by the rules at the top of this file."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode == "F":
        raise ImageError("floating-point pixels have no stated range")
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
    """Mode I or I;16 to L, or to LA where one value is declared transparent."""
    values = np.asarray(image).astype(np.int64)
    grey = Image.fromarray((np.clip(values, 0, (1 << bits) - 1) >> max(0, bits - 8)).astype(np.uint8))
    if isinstance(key := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def centre_box(width: int, height: int, preprocess: Preprocess) -> tuple[float, float, float, float]:
    """(left, top, right, bottom): the largest centred box of the network's aspect ratio, times `crop`;
    all of an image that is stretched or letterboxed."""
    if preprocess.fit != "crop":
        return 0.0, 0.0, float(width), float(height)
    scale = min(width / preprocess.width, height / preprocess.height) * preprocess.crop
    w, h = preprocess.width * scale, preprocess.height * scale
    left, top = max(0.0, (width - w) / 2), max(0.0, (height - h) / 2)
    return left, top, min(width, left + w), min(height, top + h)  # rounding must not lead outside the image


def crop_resize(
    image: Image.Image, preprocess: Preprocess, box: tuple[float, float, float, float] | None = None
) -> Pixels:
    """`box` (default: the centred one) of `image`, resized to (height, width, channels) uint8."""
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
    """(width, height) of the largest picture of the box's aspect ratio within `whole`."""
    width, height = box[2] - box[0], box[3] - box[1]
    if width / height > whole[0] / whole[1]:
        return whole[0], max(1, round(height / width * whole[0]))
    return max(1, round(width / height * whole[1])), whole[1]


def shrink_short_side(image: Image.Image, side: int, kernel: Resize) -> Image.Image:
    """The whole image, its short side brought down to `side`; unchanged where it is no longer than that."""
    short = min(image.size)
    if short <= side:
        return image
    width, height = (-(-length * side // short) for length in image.size)  # upwards, in whole numbers
    return image.resize((width, height), _KERNELS[kernel])


def prepare(source: "Source | str | np.ndarray[Any, Any]", preprocess: Preprocess) -> Pixels:
    """Decode, crop and resize: (height, width, channels) uint8, what every exported network takes.

    `source`: a path, a file's content, a Pillow image or an array as `in_memory` takes it.
    """
    if isinstance(source, np.ndarray):
        source = in_memory(source)
    source = Path(source) if isinstance(source, str) else source
    exact = preprocess.resize == "nearest"  # of an image that was decoded smaller it would take other pixels
    image = decode(source, preprocess.channels, None if exact else (preprocess.height, preprocess.width))
    return crop_resize(image, preprocess)


def as_image(pixels: Pixels) -> Image.Image:
    """(H, W, 3) or (H, W, 1) uint8 as an image of mode RGB or L."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def normalise(pixels: Pixels, preprocess: Preprocess) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(..., H, W, C) uint8 -> float32 of the same shape."""
    mean, std = (np.asarray(value, np.float32) for value in (preprocess.mean, preprocess.std))
    return (pixels.astype(np.float32) - mean) / std
