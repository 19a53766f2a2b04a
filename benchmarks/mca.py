"""How near the inner loops for ARM come to the limit of their multiplications, by llvm-mca's models of processors.

python benchmarks/mca.py                     needs llvm-mca (Debian: llvm) and aarch64-linux-gnu-gcc
python benchmarks/mca.py --mca llvm-mca-22   of another version: its models differ

Compiles a network for each target and takes the loop that most consists of its multiplications. For each processor: the
cycles that these alone would take (their issue limit), those that all instructions of the loop need of the units, those
that llvm-mca counts, and the first as a share of the last.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1] / "tests" / "compiler")]
from conftest import make_random_model  # noqa: E402
from int8_networks import random_integers  # noqa: E402

from mobilenets.arch.network import Block, Network  # noqa: E402
from mobilenets.compiler.build import FLAGS  # noqa: E402
from mobilenets.compiler.compile import sources_of  # noqa: E402
from mobilenets.compiler.program import Target  # noqa: E402
from mobilenets.compiler.targets import ARM_BF16_TARGETS, ARM_FP16_TARGETS, ARM_INT8_TARGETS, ARM_TARGETS  # noqa: E402

NETWORK = Network(1.0, 112, 112, blocks=(Block(1, 128), Block(1, 128)), classes=3)
PROCESSORS = ("cortex-a55", "cortex-a76", "neoverse-n1", "apple-m1")
LATER = ("neoverse-v1", "neoverse-n2")  # that have i8mm and bf16
ITERATIONS = 300
LEAST = 32  # multiplications of a loop
LOOPS = {  # name -> precision, target, its multiplications
    "pointwise fp32": ("fp32", ARM_TARGETS["neon"], r"fmla\b.*\.s\["),
    "depthwise fp32": ("fp32", ARM_TARGETS["neon"], r"fmla\b(?!.*\.s\[)"),
    "pointwise int8, neon": ("int8", ARM_INT8_TARGETS["neon"], r"smlal2?\b.*\.h\["),
    "pointwise int8, dotprod": ("int8", ARM_INT8_TARGETS["dotprod"], r"sdot\b.*\.4b\["),
    "depthwise int8, dotprod": ("int8", ARM_INT8_TARGETS["dotprod"], r"sdot\b(?!.*\.4b\[)"),
    "pointwise int8, i8mm": ("int8", ARM_INT8_TARGETS["i8mm"], r"smmla\b"),
    "pointwise fp16": ("fp16", ARM_FP16_TARGETS["fp16"], r"fmla\b.*\.h\["),
    "depthwise fp16": ("fp16", ARM_FP16_TARGETS["fp16"], r"fmla\b(?!.*\.h\[)"),
    "pointwise bf16": ("bf16", ARM_BF16_TARGETS["bf16"], r"bfdot\b.*\.2h\["),
}


def assembly(precision: str, target: Target, compiler: str) -> list[str]:
    """Return the lines of the network's assembly."""
    model = random_integers(NETWORK) if precision == "int8" else make_random_model(NETWORK)
    made, _ = sources_of(model, target, "net", precision=precision)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.c").write_text(made.c, "utf-8")
        (folder / "mobilenets_net.h").write_text(made.h, "utf-8")
        command = [compiler, *(flag for flag in FLAGS if flag != "-shared"), *target.flags, "-S", "net.c"]
        subprocess.run(command, cwd=folder, check=True)
        return (folder / "net.s").read_text().splitlines()


def loops(lines: list[str]) -> Iterator[list[str]]:
    """Yield the instructions of each loop that contains no label."""
    labels: dict[str, int] = {}
    for number, line in enumerate(lines):
        if found := re.match(r"(\.L\w+):", line):
            labels[found[1]] = number
        found = re.search(r"\t(?:b\.?\w*|cbn?z)\t(?:\w+, )?(\.L\w+)$", line)
        if found and found[1] in labels:
            body = lines[labels[found[1]] + 1 : number + 1]
            if not any(line.startswith(".L") for line in body):
                yield [line for line in body if not line.lstrip().startswith((".", "//", "#"))]


def simulated(text: Sequence[str], processor: str, mca: str) -> tuple[float, float]:
    """Return the cycles of an iteration, and those that the units of the processor need at least."""
    command = [
        mca,
        "-march=aarch64",
        f"-mcpu={processor}",
        "-mattr=+dotprod,+i8mm,+bf16,+fullfp16",
        f"-iterations={ITERATIONS}",
    ]
    done = subprocess.run(command, input="\n".join(text), capture_output=True, text=True, check=True).stdout
    values = dict(re.findall(r"^(Total Cycles|Block RThroughput): +([\d.]+)", done, re.MULTILINE))
    return float(values["Total Cycles"]) / ITERATIONS, float(values["Block RThroughput"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mca", default="llvm-mca")
    parser.add_argument("--cc", default="aarch64-linux-gnu-gcc")
    args = parser.parse_args()
    print("| loop | processor | multiplications | limit | units | cycles | share |\n" + "| --- " * 7 + "|")
    for name, (precision, target, pattern) in LOOPS.items():
        found = []
        for loop in loops(assembly(precision, target, args.cc)):
            products = [line for line in loop if re.search(rf"\s{pattern}", line)]
            found.append((len(products) / len(loop) if len(products) >= LEAST else 0.0, products, loop))
        _, products, loop = max(found)
        for processor in (*PROCESSORS, *(LATER if "i8mm" in name or "bf16" in name else ())):
            _, limit = simulated(products, processor, args.mca)
            cycles, units = simulated(loop, processor, args.mca)
            count = f"{len(products)} of {len(loop)}"
            print(
                f"| {name} | {processor} | {count} | {limit:.0f} | {units:.0f} | {cycles:.0f} | {limit / cycles:.0%} |"
            )


if __name__ == "__main__":
    main()
