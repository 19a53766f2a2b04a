"""Training speed, end to end, beside timm's `train.py`: same network, same images, same machine, in turn.

    python benchmarks/training_speed.py PHOTOS TIMM_TRAIN_PY [--rounds 3] [--epochs 3]

PHOTOS holds train/ and val/ with a folder per class; TIMM_TRAIN_PY is `train.py` of a checkout of
huggingface/pytorch-image-models, with `timm` installed. Each trains a MobileNet v1 with alpha 0.25 at 96 px; a
figure is epochs x the number of training images over the seconds of the whole process (start, decoding,
training, validation, saving). timm names no MobileNet v1 of alpha 0.25:
the launcher below registers one with timm's own builder, then runs its
`train.py` as it is.
Both use all cores and batches of 128, timm's default. timm runs as it comes and with --channels-last, each with two
loader workers; `--cooldown-epochs 0 --warmup-epochs 0` keep it to the epochs asked for.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAUNCHER = """
import runpy, sys
from timm.models import register_model
from timm.models.efficientnet import _gen_mobilenet_v1
def mobilenetv1_025(pretrained=False, **kwargs):
    return _gen_mobilenet_v1("mobilenetv1_025", 0.25, pretrained=pretrained, **kwargs)
register_model(mobilenetv1_025)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def ours(photos: Path, out: str, epochs: int) -> list[str]:
    flags = f"--alpha 0.25 --img-size 96 --epochs {epochs} --batch-size 128 --project {out}".split()
    return [sys.executable, "-m", "mobilenets", "train", str(photos), *flags]


def timm(script: Path, photos: Path, out: str, epochs: int, classes: int, extra: list[str]) -> list[str]:
    flags = f"--model mobilenetv1_025 --num-classes {classes} --input-size 3 96 96 --batch-size 128 --epochs {epochs}"
    flags += f" --cooldown-epochs 0 --warmup-epochs 0 --opt adamw --lr 0.003 --workers 2 --device cpu --output {out}"
    return [sys.executable, "-c", LAUNCHER, str(script), str(photos), "--val-split", "val", *flags.split(), *extra]


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
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    photos = arguments.photos.resolve()
    images = sum(1 for path in (photos / "train").rglob("*") if path.is_file())
    classes = sum(1 for path in (photos / "train").iterdir() if path.is_dir())
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as out:
        commands = {"mobilenets": ours(photos, out, arguments.epochs)}
        for name, extra in (("timm", []), ("timm --channels-last", ["--channels-last"])):
            commands[name] = timm(arguments.timm_train_py, photos, out, arguments.epochs, classes, extra)
        for name, command in commands.items():
            print(f"{name}: {' '.join(word for word in command[1:] if word != LAUNCHER)}")
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                rates.setdefault(name, []).append(arguments.epochs * images / seconds(command))
                print(f"{name:>20}: {rates[name][-1]:6.0f} images/s", flush=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        print(f"median {median:6.0f} images/s, {medians['mobilenets'] / median:.2f} times slower than ours: {name}")


if __name__ == "__main__":
    main()
