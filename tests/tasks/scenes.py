"""Made data for detectors: coloured squares and wide bars on noise, as Pascal VOC or COCO has it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LABELS = ("bar", "square")
SIZE = 96, 72  # width, height
COLOURS = {"bar": (220, 60, 40), "square": (40, 80, 220)}

Scene = list[tuple[str, tuple[int, int, int, int]]]


def scene(rng: np.random.Generator) -> tuple[np.ndarray[Any, Any], Scene]:
    """A picture (H, W, 3) and what is on it: (label, edges)."""
    width, height = SIZE
    pixels = rng.integers(90, 170, (height, width, 3), np.uint8)
    things: Scene = []
    for half in (0, width // 2):  # one in each half: none hides another
        label = LABELS[int(rng.integers(2))]
        h = int(rng.integers(16, 22))
        w = h if label == "square" else 2 * h
        left, top = half + int(rng.integers(0, width // 2 - w + 1)), int(rng.integers(0, height - h + 1))
        pixels[top : top + h, left : left + w] = COLOURS[label]
        things.append((label, (left, top, left + w, top + h)))
    return pixels, things


def make_voc(root: Path, train: int = 48, val: int = 16, edit: Callable[[str], str] = str, seed: int = 0) -> Path:
    """`edit`: what becomes of each annotation's text."""
    rng = np.random.default_rng(seed)
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    names: dict[str, list[str]] = {"train": [], "val": []}
    for i in range(train + val):
        pixels, things = scene(rng)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{i:03}.png")
        (root / "Annotations" / f"{i:03}.xml").write_text(edit(_xml(f"{i:03}.png", things)))
        names["train" if i < train else "val"].append(f"{i:03}")
    for split, stems in names.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems) + "\n")
    return root


def _xml(name: str, things: Scene) -> str:
    objects = "\n".join(
        f"<object>\n<name>{label}</name>\n<difficult>0</difficult>\n<bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>\n</object>"
        for label, (left, top, right, bottom) in things
    )
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    return f"<annotation>\n<filename>{name}</filename>\n{size}\n{objects}\n</annotation>\n"


def make_coco(root: Path, count: int = 4, **changes: Any) -> Path:
    """train and val; `changes` of the first annotation of train."""
    rng = np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        images, annotations = [], []
        (root / split).mkdir()
        for i in range(1, count + 1):
            pixels, things = scene(rng)
            Image.fromarray(pixels).save(root / split / f"{i}.png")
            images.append({"id": i, "file_name": f"{i}.png", "width": SIZE[0], "height": SIZE[1]})
            for label, (left, top, right, bottom) in things:
                box = {"bbox": [left, top, right - left, bottom - top], "iscrowd": 0, "image_id": i}
                annotations.append({"id": len(annotations), "category_id": 10 + LABELS.index(label), **box})
        if split == "train":
            annotations[0] |= changes
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 11, "name": "square"}, {"id": 10, "name": "bar"}],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def make_yolo(root: Path, train: int = 4, val: int = 2) -> Path:
    """images/{train,val}/*.png and labels/{train,val}/*.txt, of the scenes of `make_voc`; names are not there yet."""
    rng = np.random.default_rng(0)
    for i in range(train + val):
        pixels, things = scene(rng)
        split = "train" if i < train else "val"
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "images" / split / f"{i:03}.png")
        (root / "labels" / split / f"{i:03}.txt").write_text("".join(map(yolo_line, things)))
    return root


def yolo_line(thing: tuple[str, tuple[int, int, int, int]]) -> str:
    label, (left, top, right, bottom) = thing
    x, y = (left + right) / 2 / SIZE[0], (top + bottom) / 2 / SIZE[1]
    return f"{LABELS.index(label)} {x} {y} {(right - left) / SIZE[0]} {(bottom - top) / SIZE[1]}\n"
