"""image.py against Pillow, torchvision and numpy, which do the same in their own ways."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.functional import normalize

from mobilenets.image import Preprocess, Resize, decode, normalise, prepare, shrink_short_side, upright_size


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", [None, *range(1, 10)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_upright_size_is_that_of_the_upright_image(orientation: int | None, kind: str) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    data = encode(Image.new("RGB", (40, 24)), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).size
    assert upright_size(data) == decode(data).size == expected
    assert (expected == (24, 40)) == (orientation in range(5, 9))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_pixel_lies_where_pillow_turns_it(orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(pixels), "PNG", exif=exif)
    turned = {5: pixels.swapaxes(0, 1), 6: np.rot90(pixels, -1), 7: np.rot90(pixels, 2).swapaxes(0, 1)}
    turned |= {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 8: np.rot90(pixels)}
    assert np.array_equal(np.asarray(decode(data)), turned[orientation])


@pytest.mark.parametrize(("mean", "std"), [((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)), (0.0, 255.0)])
def test_normalise_as_torchvision_does(mean: float | tuple[float, ...], std: float | tuple[float, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    expected = normalize(image, np.broadcast_to(mean, 3).tolist(), np.broadcast_to(std, 3).tolist())
    found = normalise(pixels, Preprocess(32, 32, mean=mean, std=std))
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1).numpy(), rtol=1e-6, atol=1e-6)


KERNELS = {"bilinear": 2, "bicubic": 3, "lanczos": 1, "box": 4}  # Pillow's numbers, as its manual has them


@pytest.mark.parametrize("kernel", [None, *KERNELS])
def test_images_are_cropped_and_resized_as_pillow_does(kernel: Resize | None) -> None:
    """By default the middle seven eighths, bilinear: what published ImageNet figures are measured with."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8))
    how = Preprocess(32, 32) if kernel is None else Preprocess(32, 32, resize=kernel)
    expected = image.resize((32, 32), KERNELS[kernel or "bilinear"], box=(12, 4, 68, 60))
    assert np.array_equal(prepare(encode(image, "PNG"), how), np.asarray(expected))


@pytest.mark.parametrize("kernel", KERNELS)
def test_whole_images_are_shrunk_as_pillow_does(kernel: Resize) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8))
    expected = image.resize((50, 40), KERNELS[kernel])
    assert np.array_equal(np.asarray(shrink_short_side(image, 40, kernel)), np.asarray(expected))


def test_a_large_jpeg_is_seen_as_the_whole_of_it_is() -> None:
    """Decoded at a half it is nearly the same: a detail of each fourth pixel is not lost."""
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, np.arange(512) % 16 < 8] = 200
    data = encode(Image.fromarray(stripes), "JPEG", quality=95)
    seen = prepare(data, Preprocess(64, 64, crop=1.0)).astype(int)
    whole = np.asarray(decode(data).resize((64, 64), KERNELS["bilinear"])).astype(int)
    assert np.abs(seen - whole).max() < 12 and np.ptp(whole) > 30
