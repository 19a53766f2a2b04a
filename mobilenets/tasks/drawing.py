"""Answers drawn on images, by Pillow."""

from PIL import Image, ImageDraw, ImageFont

__all__ = ["captioned", "stacked"]


def captioned(image: Image.Image, text: str) -> Image.Image:
    """The image with `text` below it, wrapped to its width; two spaces part what stands in a row."""
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


def stacked(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """One above the other, both as wide as `lower`."""
    height = round(upper.height * lower.width / upper.width)
    page = Image.new("RGB", (lower.width, height + lower.height), "white")
    page.paste(upper.convert("RGB").resize((lower.width, height)))
    page.paste(lower, (0, height))
    return page
