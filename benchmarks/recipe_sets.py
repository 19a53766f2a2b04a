"""Data sets for `recipes.py`: folders with `train/CLASS/` and `val/CLASS/`.

All of flowers, of the others at most 1,000 images to train on, but for `cifar10-10000` and `cifar10-all`, which has the
50,000 training images of CIFAR-10 and its 10,000 test images as val.

The sources are public (the folder of test data has them under these names): flowers, hymenoptera, cifar10,
orl-faces and clothing-attributes; Fashion-MNIST is Debian's package `dataset-fashion-mnist`. What is drawn does not
depend on the seed of a run: all systems and all seeds see the same images.
"""

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

__all__ = ["LARGE", "SETS", "build"]

MOST = (1000, 1500)  # images at most, to train on and to validate
LIMITS = {"flowers": (3000, 1500), "cifar10-10000": (10_000, 1500), "cifar10-all": (50_000, 10_000)}
FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_NAMES = "t-shirt trouser pullover dress coat sandal shirt sneaker bag boot".split()
Item = tuple[str, str, bytes, str]  # split, class, content, ending


def build(name: str, source: Path, out: Path) -> Path:
    """Write the set `name` below `out`, unless it is there; return its folder."""
    folder = out / name
    done = folder / "done"
    if not done.is_file():
        items = _limited({**SETS, **LARGE}[name](source), *LIMITS.get(name, MOST))
        for number, (split, label, content, ending) in enumerate(items):
            path = folder / split / label / f"{number:05}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        done.touch()
    return folder


def _limited(items: Iterable[Item], train: int, val: int) -> Iterator[Item]:
    """Draw at most `train` and `val` images, each as likely as any other; of equal files only the first."""
    chosen = list({item[2]: item for item in reversed(list(items))}.values())[::-1]
    for split, limit in (("train", train), ("val", val)):
        of_split = [item for item in chosen if item[0] == split]
        for i in np.sort(np.random.default_rng(0).permutation(len(of_split))[:limit]):
            yield of_split[i]


def _folders(name: str) -> Callable[[Path], Iterator[Item]]:
    """Return a reader of `name/{train,val}/CLASS/`."""

    def read(source: Path) -> Iterator[Item]:
        for path in sorted((source / name).glob("*/*/*.*")):
            yield path.parts[-3], path.parts[-2], path.read_bytes(), path.suffix

    return read


def _cifar(source: Path) -> Iterator[Item]:
    labels = (source / "cifar10/labels.txt").read_text().split()
    for split, file in (("train", "train"), ("val", "test")):
        table = pq.read_table(source / f"cifar10/{file}.parquet")
        for image, label in zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True):
            yield split, labels[label], image["bytes"], ".jpg"


def _faces(source: Path) -> Iterator[Item]:
    """Seven photos of each person to train on, three to validate."""
    for person in sorted((source / "orl-faces").glob("s*")):
        for number, path in enumerate(sorted(person.glob("*.png"))):
            yield "train" if number < 7 else "val", person.name, path.read_bytes(), ".png"


def _clothing(source: Path) -> Iterator[Item]:
    """Three classes: those who wear a dress, else a skirt, else trousers or jeans."""
    folder = source / "clothing-attributes"
    with open(folder / "attributes.csv", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            worn = [name for name in ("dress", "skirt", "pants", "jeans") if row[name] == "1"]
            if worn:
                label = "trousers" if worn[0] in ("pants", "jeans") else worn[0]
                split = "val" if number % 3 == 0 else "train"
                yield split, label, (folder / "images" / row["image"]).read_bytes(), ".jpg"


def _fashion(_: Path) -> Iterator[Item]:
    for split, file in (("train", "train"), ("val", "t10k")):
        with gzip.open(FASHION / f"{file}-images-idx3-ubyte.gz") as stream:
            images = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 28, 28)
        with gzip.open(FASHION / f"{file}-labels-idx1-ubyte.gz") as stream:
            labels = np.frombuffer(stream.read(), np.uint8, offset=8)
        for image, label in zip(images[:5000], labels, strict=False):
            content = io.BytesIO()
            Image.fromarray(image).save(content, "png")
            yield split, FASHION_NAMES[label], content.getvalue(), ".png"


SETS: dict[str, Callable[[Path], Iterator[Item]]] = {
    "flowers": _folders("flowers"),
    "hymenoptera": _folders("hymenoptera"),
    "cifar10": _cifar,
    "faces": _faces,
    "clothing": _clothing,
    "fashion": _fashion,
}
LARGE = {"cifar10-10000": _cifar, "cifar10-all": _cifar}
