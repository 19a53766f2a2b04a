"""Make writes fail, one at a time, and see what becomes of commands: no file may be lost, no error unexpected.

python scripts/faults.py --count 10

`faults.c` is compiled and preloaded: the n-th call that writes below the working folder fails with ENOSPC (and so do
all after it, as on a full disk) or with EIO (that one alone), in the command and in the C compiler that it starts. Each
command runs undisturbed first, to count its calls, then `--count` times with another call failing, each time in a fresh
copy of the folder, in which files of a former run stand where it writes. The exit code is 0 where each disturbed
command ended with a code other than 0 and one line that is no unexpected error, left every old file as it was (or,
where it had written it before, the new one whole), and left nothing half written behind.
"""

import argparse
import errno
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SMALL = "--img-size 32 --alpha 0.05 --shallow"
CASES = {
    "train": f"train photos {SMALL} --epochs 2 --batch-size 8 --project runs --name r --device cpu",
    "export": "export m.safetensors --overwrite",
    "export tflite": "export m.safetensors --format tflite --overwrite",
    "export h5": "export m.safetensors --format keras-h5 --overwrite",
    "compile": "compile m.safetensors --overwrite",
    "compile new": "compile m.safetensors --output fresh --embed",
    "quantize": "quantize m.safetensors --data photos --images 20 --overwrite",
    "import": "import m.tflite --output i.safetensors --overwrite",
    "predict": "predict m.safetensors photos/val --pictures pictures --runtime onnx",
    "evaluate": "evaluate m.safetensors photos --report report.html --overwrite --runtime onnx",
    "search": "search photos/val --model e.safetensors --save index.safetensors --overwrite --runtime onnx",
    "sheet": "search photos/val photos/val/red/0.png --model e.safetensors --sheet s.png --overwrite --runtime onnx",
}
OLD = b"an old file"
FORMAT = "iiii4096s"


@dataclass(frozen=True)
class Tried:
    """A command with its n-th write failing, what was wrong with what it did ("" for nothing) and what it said."""

    case: str
    at: int
    error: str
    wrong: str
    said: str


def prepared(folder: Path) -> None:
    """Photos, models, and old files wherever a command writes."""
    from fuzz_files import NETWORK, _model
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for label, colour in {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (200, 50, 40)}.items():
            place = folder / "photos" / split / label
            place.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(colour, 40, (36, 36, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    model = replace(_model(NETWORK.replace(classes=3)), labels=("blue", "green", "red"))
    model.save(folder / "m.safetensors")
    embed = replace(_model(NETWORK.replace(classes=8, output="l2_normalise")), task="embed")
    embed.save(folder / "e.safetensors")
    from mobilenets.exporters import write

    (folder / "m.tflite").write_bytes(write(model, "tflite"))
    (folder / "m-c").mkdir()
    (folder / "tmp").mkdir()
    names = "m.onnx m.h5 m.int8.safetensors i.safetensors report.html index.safetensors s.png"
    for name in [
        *names.split(),
        "m-c/network.c",
        "m-c/mobilenets_network.h",
        "m-c/network.weights",
        "m-c/libnetwork.so",
    ]:
        (folder / name).write_bytes(OLD)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Faults:
    """The state that `faults.c` maps."""

    def __init__(self, path: Path) -> None:
        self.path, self.last = path, 0  # `last`: calls of the last run

    def arm(self, folder: Path, at: int, error: int) -> None:
        state = struct.pack(FORMAT, at, error, int(error == errno.ENOSPC), 0, os.fsencode(folder))
        with self.path.open("r+b") as file:
            file.write(state)

    @property
    def count(self) -> int:
        return int(struct.unpack_from(FORMAT, self.path.read_bytes())[3])


def _command(case: str, folder: Path, output: Path) -> int:
    """Run a command in `folder`, in this (forked) process; what it says goes to `output`."""
    from mobilenets.cli import main

    os.chdir(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return main(CASES[case].split())


def run(case: str, at: int, error: int, base: Path, faults: Faults) -> tuple[int, str, dict[str, bytes]]:
    """(exit code, what was said on stderr, files) of a command of which write number `at` fails (0: none)."""
    with tempfile.TemporaryDirectory(dir=base.parent) as name:
        folder, output = Path(name) / "w", Path(name) / "stderr"
        shutil.copytree(base, folder)
        process = multiprocessing.get_context("fork").Process(target=lambda: os._exit(_command(case, folder, output)))
        faults.arm(folder, at, error)
        process.start()
        process.join()
        faults.last = faults.count
        faults.arm(Path("/nowhere"), 0, 0)
        return process.exitcode or 0, output.read_text(errors="replace"), files_of(folder)


def judge(code: int, said: str, files: dict[str, bytes], before: dict[str, bytes], whole: dict[str, bytes]) -> str:
    """What is wrong with a command that a failing write disturbed, "" for nothing."""
    lines = [line for line in said.splitlines() if line.startswith("mobilenets: ")]
    failed = [line for line in lines if "cannot be" in line or "failed" in line or "unexpected" in line]
    if code <= 0:
        return f"exit code {code}"
    if len(failed) != 1 or "unexpected" in said or "Traceback" in said:
        return f"{len(failed)} lines of errors"
    for name, content in before.items():
        if files.get(name) not in (content, whole.get(name)):
            return f"{name} is {'gone' if name not in files else 'neither the old nor the new file'}"
    group = {files[name] == OLD for name in before if name.startswith("m-c/")}
    if len(group) > 1:
        return "of files that belong together some are old and some new"
    half = [name for name in files if Path(name).name.startswith(".") or name.startswith("tmp/")]
    return f"{half[0]} is left" if half else ""


def disturb(case: str, count: int, base: Path, faults: Faults) -> list[Tried]:
    """A command undisturbed, then `count` times with another of its writes failing, spread over all of them."""
    run(case, 0, 0, base, faults)  # what is compiled lies in the cache from now on
    code, said, whole = run(case, 0, 0, base, faults)
    if code != 0:
        return [Tried(case, 0, "", f"fails undisturbed, with code {code}", said)]
    writes = faults.last
    before = files_of(base)
    tried = []
    places = sorted({1 + round(i * (writes - 1) / max(1, count - 1)) for i in range(count)})
    for number, at in enumerate(places):
        error = (errno.ENOSPC, errno.EIO)[number % 2]
        code, said, files = run(case, at, error, base, faults)
        name = errno.errorcode[error]
        tried.append(Tried(case, at, f"{name} of {writes}", judge(code, said, files, before, whole), said))
    return tried


def inject(cases: list[str], count: int, say: Callable[[str], None] = print) -> list[Tried]:
    """In a process that `faults.c` is preloaded into: all cases."""
    import torch  # noqa: F401  # once, before anything is forked

    import mobilenets.api
    import mobilenets.cli.app
    import mobilenets.training.fit  # noqa: F401

    results = []
    with tempfile.TemporaryDirectory() as name:
        base = Path(name) / "base"
        base.mkdir()
        prepared(base)
        for case in cases:
            found = disturb(case, count, base, Faults(Path(os.environ["FAULTS_STATE"])))
            say(f"{case}: {len(found)} injected, {sum(bool(one.wrong) for one in found)} wrong")
            results += found
    return results


def preloaded(arguments: list[str]) -> int:
    """Start this script again with `faults.c` preloaded."""
    with tempfile.TemporaryDirectory() as name:
        library, state = Path(name) / "faults.so", Path(name) / "state"
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        state.write_bytes(bytes(struct.calcsize(FORMAT)))
        settings = {**os.environ, "LD_PRELOAD": str(library), "FAULTS_STATE": str(state), "OMP_NUM_THREADS": "1"}
        settings.setdefault("MOBILENETS_CACHE", str(Path(name) / "cache"))
        return subprocess.run([sys.executable, __file__, *arguments], env=settings).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=8, help="errors for each command")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    given = parser.parse_args()
    if "FAULTS_STATE" not in os.environ:
        return preloaded(sys.argv[1:])
    results = inject(given.cases, given.count)
    wrong = [one for one in results if one.wrong]
    for one in wrong:
        print(f"{one.case}, write {one.at} ({one.error}): {one.wrong}\n    {' | '.join(one.said.splitlines()[-3:])}")
    errors = Counter(one.error.split()[0] for one in results if one.error)
    print(f"{sum(errors.values())} errors injected ({dict(errors)}), {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
