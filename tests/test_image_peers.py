"""image.py against Pillow, torchvision and numpy, which do the same in their own ways."""

import io

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional
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


# Pillow's numbers, as its manual has them
KERNELS = {"bilinear": 2, "bicubic": 3, "lanczos": 1, "box": 4, "nearest": 0}


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


@pytest.mark.parametrize("size", [(90, 50), (50, 90), (72, 64), (64, 64), (500, 20), (1000, 1)])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_letterbox_is_pillows_pad(size: tuple[int, int], kernel: Resize) -> None:
    """The whole image in its own aspect ratio, centred on black."""
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8))
    seen = prepare(encode(image, "PNG"), Preprocess(48, 64, resize=kernel, fit="letterbox"))
    if size[0] / size[1] > 64:  # Pillow would leave no row of it
        assert seen[24].any() and not np.delete(seen, 24, 0).any()
    else:
        assert np.array_equal(seen, np.asarray(ImageOps.pad(image, (64, 48), KERNELS[kernel])))


def test_a_letterboxed_grey_image_has_one_channel() -> None:
    image = Image.new("L", (80, 40), 200)
    seen = prepare(encode(image, "PNG"), Preprocess(32, 32, channels=1, fit="letterbox"))
    assert seen.shape == (32, 32, 1) and (seen[8:24] == 200).all() and not seen[:8].any() and not seen[24:].any()


def test_nearest_is_torchvisions() -> None:
    """Exactly: also of a large JPEG, which is not decoded at a part of its size."""
    pixels = np.random.default_rng(2).integers(0, 256, (400, 600, 3), np.uint8)
    data = encode(Image.fromarray(pixels), "JPEG", quality=95)
    seen = prepare(data, Preprocess(32, 48, resize="nearest", fit="stretch"))
    transforms = torchvision.transforms.v2.functional
    exact = transforms.InterpolationMode.NEAREST_EXACT
    theirs = transforms.resize(transforms.pil_to_tensor(decode(data)), [32, 48], exact).permute(1, 2, 0).numpy()
    assert np.array_equal(seen, theirs)
