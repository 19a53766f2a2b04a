"""Training speed, end to end, beside timm's `train.py`: same network, same images, same machine, in turn.

    python benchmarks/training_speed.py PHOTOS TIMM_TRAIN_PY [--rounds 3]

PHOTOS holds train/ and val/ with a folder per class; TIMM_TRAIN_PY is `train.py` of a checkout of
huggingface/pytorch-image-models, with `timm` installed. Three epochs each of a MobileNet v1 with alpha 0.25 at 96 px; a
figure is 3 x the number of training images over the seconds of the whole process (start, decoding,
training, validation, saving). timm has no alpha 0.25 by name: its `channel_multiplier` makes it.
Both use all cores: ours as it comes, timm with one loader worker and its default threads ("cores"), and again with
two workers; the better of the two is compared.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS = 3


def ours(photos: Path, out: str) -> list[str]:
    flags = f"--alpha 0.25 --img-size 96 --epochs {EPOCHS} --batch-size 64 --project {out}".split()
    return [sys.executable, "-m", "mobilenets", "train", str(photos), *flags]


def timm(script: Path, photos: Path, out: str, classes: int, workers: int) -> list[str]:
    flags = "--model mobilenetv1_100 --model-kwargs channel_multiplier=0.25 --input-size 3 96 96 --batch-size 64"
    flags += f" --epochs {EPOCHS} --cooldown-epochs 0 --warmup-epochs 0 --opt adamw --lr 0.003 --num-classes {classes}"
    flags += f" --workers {workers} --device cpu --channels-last --output {out}"
    return [sys.executable, str(script), str(photos), "--val-split", "val", *flags.split()]


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("timm_train_py", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    photos = arguments.photos.resolve()
    images = sum(1 for path in (photos / "train").rglob("*") if path.is_file())
    classes = sum(1 for path in (photos / "train").iterdir() if path.is_dir())
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as out:
        commands = {"mobilenets": ours(photos, out)}
        for workers in (1, 2):
            commands[f"timm, {workers} workers"] = timm(arguments.timm_train_py, photos, out, classes, workers)
        for name, command in commands.items():
            print(f"{name}: {' '.join(command[1:])}")
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                rates.setdefault(name, []).append(EPOCHS * images / seconds(command))
                print(f"{name:>16}: {rates[name][-1]:6.0f} images/s", flush=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(value for name, value in medians.items() if name != "mobilenets")
    print(f"medians: {medians}; ratio to the better timm: {medians['mobilenets'] / best:.2f}")


if __name__ == "__main__":
    main()
