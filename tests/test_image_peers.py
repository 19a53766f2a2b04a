"""image.py against Pillow, torchvision and numpy, which do the same in their own ways."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.functional import normalize

from mobilenets.image import Preprocess, decode, normalise, upright_size


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
