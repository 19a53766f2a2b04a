"""How many bytes of compiled int8 networks differ from the oracle, quant/reference.py. There should be none.

python benchmarks/int8_bytes.py            the paper's 16 alpha x resolution points on every target: minutes
python benchmarks/int8_bytes.py --quick    1.0-224, 0.5-160 and 0.25-128

Random integers; every byte that leaves a step of the C is compared: of the convolutions, the pool, the logits.
"""

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "compiler")]
from int8_networks import compare, images_for, random_integers  # noqa: E402

from mobilenets.arch import named  # noqa: E402
from mobilenets.compiler.targets import INT8_TARGETS  # noqa: E402

QUICK = ("1.0-224", "0.5-160", "0.25-128")
ALL = tuple(f"{alpha}-{side}" for alpha in ("1.0", "0.75", "0.5", "0.25") for side in (224, 192, 160, 128))
KINDS = {"spread": 1.0, "saturated": 30.0, "ties, weights at both ends": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three networks")
    chosen = QUICK if parser.parse_args().quick else ALL
    print("| target | integers | bytes compared | differ |\n| --- | --- | --- | --- |")
    total = 0
    for target in INT8_TARGETS:
        for kind, harsh in KINDS.items():
            compared = differing = 0
            for seed, name in enumerate(chosen):
                model = random_integers(named(name), seed, harsh)
                found = compare(model, target, images_for(model), parts=1 + seed % 3)
                compared, differing = compared + found[0], differing + found[1]
            print(f"| {target} | {kind} | {compared:,} | {differing} |", flush=True)
            total += differing
    sys.exit(total > 0)


if __name__ == "__main__":
    main()
