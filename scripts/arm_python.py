"""Install this package's wheel for ARM and run it in an emulated Python: the answers must be those of this machine.

python scripts/arm_python.py FOLDER           Debian's Python 3.11 and the wheels go to FOLDER, once: 250 MB
python scripts/arm_python.py FOLDER --torch   the C training kernels as well: torch for ARM, 470 MB more, minutes

Needs Debian or Ubuntu with qemu-user (qemu-aarch64) and gcc-aarch64-linux-gnu, which compiles there as CC. A float and
an int8 network are compiled for each processor in `PROCESSORS`; logits of int8 must be equal, those of floats close.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "compiler")]
PYTHON = (
    "python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libexpat1 zlib1g libssl3 libffi8 "
    "libbz2-1.0 liblzma5 libstdc++6 libgcc-s1 libuuid1 libcrypt1"
).split()
WHEELS = ("--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.11", "--only-binary", ":all:")
OLDER = "onnxruntime==1.22.1"  # 1.32 ends by a signal in qemu-user 7.2
# qemu-aarch64's -cpu, the mask of MOBILENETS_PROCESSOR -> the targets that are chosen there, fp32 and int8
PROCESSORS = {
    ("cortex-a53", ""): ("neon", "neon"),
    ("max", "neon"): ("neon", "neon"),
    ("max", "dotprod"): ("neon", "dotprod"),
    ("max", ""): ("neon", "i8mm"),
}
TORCH = "torch==2.8.0 sympy networkx jinja2 filelock typing_extensions mpmath fsspec markupsafe".split()
RUN = """
import json, sys
import numpy as np
from mobilenets import load
from mobilenets.runtime import CompiledSession
found = {}
images = np.load(sys.argv[1])
for path in sys.argv[2:]:
    session = CompiledSession(load(path), threads=1)
    found[path] = session.runtime, session.logits(images).tolist()
print(json.dumps(found))
"""

TRAIN = """
import copy
import torch
from mobilenets.arch import Network, expand
from mobilenets.arch.network import Block
from mobilenets.training.fused import Fused
from mobilenets.training.module import MobileNet, initialise

def gradients(module, call, x):
    logits = call(x)
    (logits * torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)).sum().backward()
    return torch.cat([logits.flatten(), *(p.grad.flatten() for p in module.parameters())]).double()

network = Network(0.25, 40, 36, classes=4, blocks=(Block(1, 64), Block(2, 128)))
module = MobileNet(expand(network))
initialise(module, 0)
module.to(memory_format=torch.channels_last).train()
x = torch.randn(4, 3, 40, 36).contiguous(memory_format=torch.channels_last)
double, own, fp32 = copy.deepcopy(module).double(), copy.deepcopy(module), copy.deepcopy(module)
exact = gradients(double, double, x.double())
for found in (own, own), (fp32, Fused(fp32, False)), (module, Fused(module, True)):
    print(float((gradients(*found, x) - exact).norm().detach() / exact.norm().detach()))
"""


def install(folder: Path) -> None:
    """Unpack Debian's Python for ARM into `folder`/root, and install this package's wheel into `folder`/site."""
    if not (folder / "root" / "usr" / "bin" / "python3.11").exists():
        state, cache = folder / "apt" / "state", folder / "apt" / "cache"
        for path in (state / "lists" / "partial", cache / "archives" / "partial", folder / "root"):
            path.mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        settings = {
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "Dir::State": state,
            "Dir::Cache": cache,
        }
        settings |= {"Dir::State::status": state / "status", "APT::Sandbox::User": "root"}
        apt = ["apt-get", "-qq", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "download", *PYTHON], cwd=cache, check=True)
        for package in cache.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(folder / "root")], check=True)
    uv = [str(Path(sys.executable).with_name("uv"))]
    subprocess.run([*uv, "build", "-q", "--wheel", "--out-dir", str(folder / "wheel"), str(ROOT)], check=True)
    wheels = [str(wheel) for wheel in (folder / "wheel").glob("*.whl")]
    into = ("--reinstall-package", "mobilenets", "--target", str(folder / "site"))
    subprocess.run([*uv, "pip", "install", "-q", *WHEELS, *into, *wheels, OLDER], check=True)


def emulated(folder: Path, cpu: str, mask: str, *words: str) -> str:
    """Run Python for ARM on `words`; return what it prints."""
    settings = {"PYTHONPATH": str(folder / "site"), "CC": "aarch64-linux-gnu-gcc", "MOBILENETS_PROCESSOR": mask}
    settings |= {"MOBILENETS_CACHE": str(folder / "cache")}
    python = str(folder / "root" / "usr" / "bin" / "python3.11")
    command = ["qemu-aarch64", "-cpu", cpu, "-L", str(folder / "root"), python, *words]
    environment = {**os.environ, **settings}
    return subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def compare(folder: Path) -> bool:
    """Print a table of runs; return whether all answers are those of this machine."""
    from conftest import make_random_model
    from int8_networks import images_for, random_integers

    from mobilenets.arch.network import Network
    from mobilenets.runtime import CompiledSession

    network = Network(0.25, 64, 64, classes=7)
    floats, integers = make_random_model(network), random_integers(network)
    images, right = images_for(integers, 4), True
    np.save(folder / "images.npy", images)
    paths = [str(model.save(folder / f"{name}.safetensors")) for name, model in (("fp32", floats), ("int8", integers))]
    here = [CompiledSession(model, threads=1).logits(images) for model in (floats, integers)]
    print("| emulated processor | mask | precision | target | largest difference of a logit |\n" + "| --- " * 5 + "|")
    for (cpu, mask), targets in PROCESSORS.items():
        found = json.loads(emulated(folder, cpu, mask, "-c", RUN, str(folder / "images.npy"), *paths))
        for path, exact, target in zip(paths, here, targets, strict=True):
            runtime, logits = found[path]
            difference = float(np.abs(np.asarray(logits, np.float32) - exact).max() / np.abs(exact).max())
            precision = Path(path).stem
            right &= runtime == f"mobilenets, {target} in {precision}"
            right &= difference <= (1e-5 if precision == "fp32" else 0)
            print(f"| {cpu} | {mask or 'none'} | {precision} | {target} | {difference:.1e} |", flush=True)
    return right


def train(folder: Path) -> bool:
    """Print how far logits and gradients of the C training kernels are from torch's in float64; return whether near."""
    uv = str(Path(sys.executable).with_name("uv"))
    into = ("--no-deps", "--target", str(folder / "site"))
    subprocess.run([uv, "pip", "install", "-q", *WHEELS, *into, *TORCH], check=True)
    own, fp32, bf16 = map(float, emulated(folder, "max", "", "-c", TRAIN).split())
    print(f"\ntraining, relative error: torch in fp32 {own:.1e}, C in fp32 {fp32:.1e}, C in bf16 {bf16:.1e}")
    return fp32 < 1e-4 and bf16 < 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--torch", action="store_true")
    args = parser.parse_args()
    folder = args.folder.resolve()
    shutil.rmtree(folder / "cache", ignore_errors=True)
    install(folder)
    right = compare(folder) and (not args.torch or train(folder))
    sys.exit(not right)


if __name__ == "__main__":
    main()
