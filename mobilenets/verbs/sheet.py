"""The picture of `search --sheet`: a row for each image that was looked up."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..errors import ImageError
from ..image import Preprocess, as_image, prepare
from ..tasks.verification.index import Found

__all__ = ["draw_sheet"]

SIDE = 128  # pixels of a picture's longer side
GAP = 8
TEXT = 11


def draw_sheet(found: Sequence[Found], preprocess: Preprocess) -> Image.Image:
    """Draw each image that was looked up, then those found with their cosines, as the network sees them."""
    scale = SIDE / max(preprocess.height, preprocess.width)
    width, height = round(preprocess.width * scale), round(preprocess.height * scale)
    columns = 1 + max((len(one.matches) for one in found), default=0)
    row = height + 2 * TEXT + GAP
    page = Image.new("RGB", (columns * (width + GAP) + 2 * GAP, len(found) * row + GAP), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(TEXT)
    for y, one in enumerate(found):
        cells = [(one.image, "looked up"), *((match.image, f"{match.cosine:.3f}") for match in one.matches)]
        for x, (image, text) in enumerate(cells):
            left, top = GAP + x * (width + GAP) + (GAP if x else 0), GAP + y * row
            try:
                page.paste(
                    as_image(prepare(Path(image), preprocess)).convert("RGB").resize((width, height)), (left, top)
                )
            except ImageError:
                text = "cannot be decoded"
            name = "/".join(Path(image).parts[-2:])
            name = name if font.getlength(name) <= width else f"…{name[-14:]}"
            pen.text((left, top + height), f"{text}\n{name}", "black", font, spacing=0)
    return page
