"""int8 networks on emulated Cortex-M boards: instructions, memory and differing bytes of the C that the engine writes.

python benchmarks/micro.py                                    0.25-96, 0.25-128, 0.5-96 and 0.35-160, random integers
python benchmarks/micro.py vww.tflite --images FOLDER         a network, and photos besides pixels of noise
python benchmarks/micro.py --random 10 --cores cortex-m4      ten random networks, every byte of every layer compared

It needs arm-none-eabi-gcc (with -O2) and qemu-system-arm, which counts instructions (`-icount shift=0`, read from
SysTick); these are no cycles. Flash is code and constants without the C library; the stack is found by painting it.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "compiler"), str(Path(__file__).parents[1] / "tests")]
from cortex import BOARDS, measure, random_network, steps_that_differ  # noqa: E402
from int8_networks import images_for, random_integers  # noqa: E402

from mobilenets.arch.network import Network  # noqa: E402
from mobilenets.costs import cost  # noqa: E402
from mobilenets.image import Pixels, prepare  # noqa: E402
from mobilenets.opening import open_model  # noqa: E402
from mobilenets.quant import reference  # noqa: E402
from mobilenets.quant.scheme import QuantModel  # noqa: E402

NETWORKS = {
    "0.25-96": Network(0.25, 96, 96, classes=2, padding="same", activation="relu6"),
    "0.25-128": Network(0.25, 128, 128),
    "0.5-96": Network(0.5, 96, 96, classes=2, padding="same", activation="relu6"),
    "0.35-160": Network(0.35, 160, 160, padding="same", activation="relu6"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="files of int8 networks")
    parser.add_argument("--cores", nargs="+", choices=BOARDS, default=["cortex-m4", "cortex-m55"])
    parser.add_argument("--images", type=Path, help="a folder of photos")
    parser.add_argument("--count", type=int, default=5, help="images for each network (default %(default)s)")
    parser.add_argument("--random", type=int, help="compare every layer of so many random networks instead")
    chosen = parser.parse_args()
    if chosen.random:
        sys.exit(compare_random(chosen.cores, chosen.random))
    print("| core | network | instructions | a mult-add | arena | stack | flash | logits | differ |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    total = 0
    for core in chosen.cores:
        for name, model in networks(chosen.models):
            total += row(core, name, model, images_of(model, chosen.images, chosen.count))
    sys.exit(total > 0)


def networks(files: list[str]) -> Iterator[tuple[str, QuantModel]]:
    """Yield the networks of `files`, or else those of random integers."""
    for file in files:
        model = open_model(file).model
        assert isinstance(model, QuantModel), f"{file} is no int8 network"
        yield Path(file).name, model
    if not files:
        for name, network in NETWORKS.items():
            yield name, random_integers(network, seed=1)


def images_of(model: QuantModel, folder: Path | None, count: int) -> Pixels:
    """Return photos of `folder`, if any, and noise."""
    files = (
        sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png")) if folder else []
    )
    photos = [prepare(file, model.preprocess) for file in files[:: max(1, len(files) // count)][:count]]
    noise = images_for(model, 2)
    return np.concatenate([np.stack(photos), noise]) if photos else noise


def row(core: str, name: str, model: QuantModel, images: Pixels) -> int:
    """Print the row of a network on a core, and return how many logits differ."""
    with TemporaryDirectory() as folder:
        found = measure(model, core, images, Path(folder))
    differing = int((found.logits != reference.run(model, images)).sum())
    each = found.instructions / cost(model.network).mult_adds
    sizes = f"{found.arena:,} B | {found.stack:,} B | {found.flash:,} B"
    print(f"| {core} | {name} | {found.instructions / 1e6:.2f} M | {each:.2f} | {sizes} ", end="")
    print(f"| {found.logits.size:,} | {differing} |", flush=True)
    return differing


def compare_random(cores: list[str], count: int) -> int:
    """Print how many layers of random networks differ from the oracle, and return it."""
    total = 0
    for core in cores:
        layers = wrong = 0
        for seed in range(count):
            model = random_integers(random_network(seed), seed)
            with TemporaryDirectory() as folder:
                wrong += len(steps_that_differ(model, core, images_for(model)[0], Path(folder)))
            layers += len(list(reference.steps(model, images_for(model)[:1])))
        print(f"{core}: {count} networks, {layers} layers, {wrong} steps with a byte that differs", flush=True)
        total += wrong
    return total


if __name__ == "__main__":
    main()
