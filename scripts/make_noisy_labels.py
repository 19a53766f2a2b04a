"""A large set with wrong labels and a small right one, from a folder of classes with train/ and val/.

    python scripts/make_noisy_labels.py DATA FOLDER [--wrong 0.2] [--clean 0.25]

FOLDER/noisy.csv: all training photos, a share of them (drawn by seed 0) under another class's name; FOLDER/clean.csv: a
share of the same photos under their own. Both hold out the same val, with right labels.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from mobilenets.data.sources import Dataset, Sample, open_dataset


def write(path: Path, data: Dataset, train: list[tuple[Sample, int]]) -> None:
    rows = [(sample, label, "train") for sample, label in train]
    rows += [(sample, sample.target, "val") for sample in data.splits["val"]]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for sample, label, split in rows:
            writer.writerow([(data.root / sample.name).resolve(), data.labels[label], split])
    print(f"{path}: {len(train)} train")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wrong", type=float, default=0.2)
    parser.add_argument("--clean", type=float, default=0.25)
    given = parser.parse_args()
    data = open_dataset(given.data)
    train, classes = data.splits["train"], len(data.labels)
    rng = np.random.default_rng(0)
    wrong, clean = rng.random(len(train)) < given.wrong, rng.random(len(train)) < given.clean
    moved = rng.integers(1, classes, len(train))
    noisy = [
        (sample, int((sample.target + moved[i]) % classes) if wrong[i] else sample.target)
        for i, sample in enumerate(train)
    ]
    given.folder.mkdir(parents=True, exist_ok=True)
    write(given.folder / "noisy.csv", data, noisy)
    write(given.folder / "clean.csv", data, [(s, s.target) for i, s in enumerate(train) if clean[i]])


if __name__ == "__main__":
    main()
