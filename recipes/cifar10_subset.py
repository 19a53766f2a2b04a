"""The first images of CIFAR-10 as a data set of its own: python recipes/cifar10_subset.py CIFAR10 OUT [TRAIN] [TEST]

CIFAR10 holds train.parquet, test.parquet and labels.txt, in the Hugging Face layout, whose rows are shuffled.
"""

import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq


def main(source: Path, out: Path, train: int = 10_000, test: int = 2_000) -> None:
    """Write the first `train` and `test` rows of both splits."""
    out.mkdir(parents=True)
    for split, count in (("train", train), ("test", test)):
        pq.write_table(pq.read_table(source / f"{split}.parquet").slice(0, count), out / f"{split}.parquet")
    if (source / "labels.txt").is_file():
        shutil.copyfile(source / "labels.txt", out / "labels.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
