"""Draw predictions on images with Pillow."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

__all__ = ["captioned", "heated", "scaled", "stacked"]

Floats = np.ndarray[Any, np.dtype[np.float32]]


def captioned(image: Image.Image, text: str) -> Image.Image:
    """Return the image with `text` below it, wrapped to its width; double spaces become commas."""
    text = text.replace("  ", ", ")
    size = max(12, image.width // 28)
    font = ImageFont.load_default(size)
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= image.width - size or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    height = int(1.4 * size * len(lines)) + size // 2
    page = Image.new("RGB", (image.width, image.height + height), "white")
    page.paste(image.convert("RGB"))
    ImageDraw.Draw(page).multiline_text((size // 2, image.height + size // 4), "\n".join(lines), "black", font)
    return page


def scaled(image: Image.Image, label: str) -> Image.Image:
    """Return the image with the colour scale of `heated` below it and a caption for the class `label`."""
    height = max(12, image.width // 28)
    page = Image.new("RGB", (image.width, image.height + height))
    page.paste(image)
    page.paste(_coloured(Image.linear_gradient("L").rotate(90).resize((image.width, height))), (0, image.height))
    return captioned(page, f"left to right: least to most evidence for {label}; grey: not seen")


def _coloured(shades: Image.Image) -> Image.Image:
    return ImageOps.colorize(shades, black="navy", mid="gold", white="red")


def heated(image: Image.Image, heat: Floats, box: tuple[float, float, float, float]) -> Image.Image:
    """Return the image with the heat map `heat` (rows, columns) drawn over `box`, from blue (least) to red (most).

    Outside `box`, which may extend beyond the image, the image is grey.
    """
    left, top, right, bottom = (round(edge) for edge in box)
    low, high = float(heat.min()), float(heat.max())
    shades = Image.fromarray(np.uint8(255 * (heat - low) / (high - low or 1.0)))
    shades = shades.resize((max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC)
    colours = _coloured(shades)
    plain = image.convert("RGB")
    covered = plain.crop((left, top, right, bottom))
    page = ImageOps.grayscale(plain).convert("RGB")
    page.paste(Image.blend(covered, colours, 0.45), (left, top))
    return page


def stacked(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Return `upper` above `lower`, scaled to the width of `lower`."""
    height = round(upper.height * lower.width / upper.width)
    page = Image.new("RGB", (lower.width, height + lower.height), "white")
    page.paste(upper.convert("RGB").resize((lower.width, height)))
    page.paste(lower, (0, height))
    return page
