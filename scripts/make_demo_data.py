"""Make mobilenets/demo/fashion_mnist.parquet from Debian's copy of Fashion-MNIST (MIT licence).

    sudo apt-get install dataset-fashion-mnist
    python scripts/make_demo_data.py

The first 600 train and 200 test images of each class, in their original order, as the smallest PNG that
Pillow writes, in the Hugging Face image layout with a `split` column. The same Pillow, zlib and pyarrow give
the same bytes again.
"""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mobilenets.demo import DATA

SOURCE = Path("/usr/share/datasets/fashion-mnist")
SPLITS = {"train": ("train", 600), "test": ("t10k", 200)}  # split -> (prefix of the files, images a class)
LABELS = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": LABELS, "_type": "ClassLabel"},
    "split": {"dtype": "string", "_type": "Value"},
}
SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.int64()),
        ("split", pa.string()),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": FEATURES, "license": "MIT"}})},
)


def read_idx(name: str) -> np.ndarray:
    """The uint8 array of an IDX file: 0, 0, type, number of dimensions, big-endian sizes, values."""
    content = gzip.decompress((SOURCE / name).read_bytes())
    dimensions = content[3]
    sizes = np.frombuffer(content, ">u4", dimensions, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes)


def png(pixels: np.ndarray) -> bytes:
    """The smallest of Pillow's encodings; zlib's strategies 0 to 3."""
    encoded = []
    for strategy in range(4):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", optimize=True, compress_level=9, compress_type=strategy)
        encoded.append(file.getvalue())
    return min(encoded, key=len)


def rows(split: str) -> Iterator[dict[str, object]]:
    prefix, per_class = SPLITS[split]
    images, labels = read_idx(f"{prefix}-images-idx3-ubyte.gz"), read_idx(f"{prefix}-labels-idx1-ubyte.gz")
    first = np.sort(np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in range(len(LABELS))]))
    for i in first:
        image = {"bytes": png(images[i]), "path": f"{split}/{i:05}.png"}
        yield {"image": image, "label": int(labels[i]), "split": split}


def main() -> None:
    table = pa.Table.from_pylist([row for split in SPLITS for row in rows(split)], SCHEMA)
    pq.write_table(
        table,
        DATA,
        compression="zstd",
        compression_level=19,
        use_dictionary=["split"],
        write_statistics=False,
    )
    print(f"{DATA.name}: {table.num_rows} images, {DATA.stat().st_size} bytes")


if __name__ == "__main__":
    main()
