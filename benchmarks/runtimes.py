"""Our own C against every runtime that is installed, one image at a time, all in turn in one run.

python benchmarks/runtimes.py            the paper's 16 alpha x resolution points, one thread and all cores: minutes
python benchmarks/runtimes.py --quick    1.0-224, 0.5-160 and 0.25-128, without torch, in under 50 s
python benchmarks/runtimes.py --networks v2-1.0-224 v3-small-1.0-224    others, by name
python benchmarks/runtimes.py --target avx2   our C built for AVX2, and all runtimes limited to it, see limit_isa.py
python benchmarks/runtimes.py --precisions fp32 bf16 int8
python benchmarks/runtimes.py --tune 30    our C tuned to this processor first, as the verb benchmark does
sudo chrt --rr 5 python benchmarks/runtimes.py    before all other programs, where they cannot be stopped

Random weights. `ratio`: the best peer's median over ours, above 1 where ours is faster; `ratio_p10`: the same of
the tenth percentiles, which other programs disturb less. `share`: mult-adds over (time x threads x what one core can
do in that precision with the target's instructions, measured here from registers alone): 1 is the machine's limit.
int8 is made of the random weights, the same integers for all; `differ`: how many of an image's logits are not those of
quant/reference.py.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from mobilenets.arch import named
from mobilenets.benchmarks import PEERS
from mobilenets.benchmarks.int8_reference import int8_model, int8_reference
from mobilenets.benchmarks.limit import mult_adds_a_second
from mobilenets.benchmarks.measure import Timed, noise, time_peers
from mobilenets.benchmarks.opening import Missing, Opened, open_peers
from mobilenets.benchmarks.peers import PRECISIONS, Peer, Setup
from mobilenets.benchmarks.result import OURS
from mobilenets.compiler.targets import BF16_TARGETS, INT8_TARGETS
from mobilenets.costs import cost
from mobilenets.errors import UsageError
from mobilenets.machine import cores, processor
from mobilenets.model import Model
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime.measure import untrained
from mobilenets.runtime.tune import tune

QUICK = ("1.0-224", "0.5-160", "0.25-128")
ALL = tuple(f"{alpha}-{side}" for alpha in ("1.0", "0.75", "0.5", "0.25") for side in (224, 192, 160, 128))
SLOW = ("torch eager", "torch.compile")  # never the best peer; --quick leaves out both, else the second alone
TOLERANCES = {
    "fp32": 1e-4,
    "bf16x6": 1e-4,
    "bf16x3": 1e-3,
    "fp16": 0.1,
    "bf16": 0.1,
    "int8": 0.1,
}  # of logits, by the largest
CALIBRATED = 4  # images
LIMITS = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}  # of torch, which is not copied


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three networks, less time each")
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="by name, in place of the paper's points")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores()}))
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=PRECISIONS)
    parser.add_argument("--tune", type=float, default=0, help="seconds to tune each of our networks, as benchmark does")
    parser.add_argument("--target", default="auto", choices=("auto", *{**BF16_TARGETS, **INT8_TARGETS}))
    args = parser.parse_args()
    if not all(1 <= threads <= cores() for threads in args.threads):
        parser.error(f"--threads must be from 1 to {cores()}")
    if args.target == "avx2":
        held_to_avx2()
    try:
        limits = {precision: mult_adds_a_second(args.target, precision) for precision in args.precisions}
    except UsageError as exc:
        parser.error(str(exc))
    gmacs = {precision: limit / 1e9 for precision, limit in limits.items()}
    result: dict[str, Any] = {"processor": processor(), "target": args.target, "limit_gmacs": gmacs, "rows": []}
    show = print if not args.json else lambda *_, **__: None
    said = ", ".join(f"{limit:.1f} in {precision}" for precision, limit in gmacs.items())
    show(f"{processor()}, target {args.target}: G mult-adds a second on one core, from registers: {said}")
    slow = SLOW if args.quick else SLOW[1:]
    kinds = {name: kind for name, kind in PEERS.items() if name not in slow}
    peers = [name for name in kinds if name != OURS]
    show(f"\n{head(peers)}")
    for row in rows(args.networks or (QUICK if args.quick else ALL), args, kinds, 0.3 if args.quick else 0.7, limits):
        result["rows"].append(row)
        show(line(row, peers), flush=True)
        for name, why in row["missing"].items():
            print(f"{row['network']} {row['precision']}, {row['threads']} thread(s): {name}: {why}", file=sys.stderr)
    if args.json:
        print(json.dumps(result, indent=2))


def held_to_avx2() -> None:
    """This very command again, with runtimes that see no more than AVX2; returns where it is that already."""
    from limit_isa import LIMITED, limit_isa  # in this folder

    if LIMITED not in os.environ:
        os.environ.update(LIMITS)
        with tempfile.TemporaryDirectory(prefix="limited-") as folder:
            limit_isa(Path(folder))


def rows(
    networks: Sequence[str],
    args: argparse.Namespace,
    kinds: dict[str, type[Peer]],
    seconds: float,
    limits: dict[str, float],
) -> Iterator[dict[str, Any]]:
    """One a network, precision and number of threads; `seconds` for each runtime."""
    for network, precision in product(networks, args.precisions):
        model: Model | QuantModel = untrained(named(network))
        images, limit = noise(model, CALIBRATED), limits[precision]
        if precision == "int8":
            model, _ = int8_model(model, images, "noise")
        image = images[:1]
        if args.tune:
            tune(model, args.target, precision, args.tune)
        for n in args.threads:
            start = time.perf_counter()
            ready, absent = opened(Setup(model, precision, n, args.target), image, kinds)
            found = {one.opened.name: one for one in time_peers(ready, image, seconds * len(ready))}
            absent |= {name: one.failure for name, one in found.items() if one.failure}
            timed = {name: one for name, one in found.items() if not one.failure}
            row = {"network": network, "precision": precision, "threads": n, **compared(timed)}
            row["share"] = {
                name: cost(model.network).mult_adds / (one.latency.median / 1e3 * limit * n)
                for name, one in timed.items()
            }
            if isinstance(model, QuantModel):
                oracle = int8_reference(model, image)
                row["differ"] = {one.name: oracle.differing(one.peer.run(image))[0] for one in ready}
            yield row | {"missing": absent, "seconds": time.perf_counter() - start}


def opened(setup: Setup, image: np.ndarray, kinds: dict[str, type[Peer]]) -> tuple[list[Opened], dict[str, str]]:
    """The runtimes whose logits agree with the first other's, and what is wrong with the rest."""
    ready, absent, expected = [], {}, None
    for peer in sorted(open_peers(setup, image, kinds), key=lambda peer: peer.name == OURS):
        if isinstance(peer, Missing):
            absent[peer.name] = peer.reason
            continue
        logits = peer.peer.run(image)
        expected = logits if expected is None else expected
        difference = float(np.abs(logits - expected).max() / np.abs(expected).max())
        if difference < TOLERANCES[setup.precision]:
            ready.append(peer)
        else:
            absent[peer.name] = f"logits differ by {difference:.1e} of the largest"
    return ready, absent


def compared(timed: dict[str, Timed]) -> dict[str, Any]:
    """Ours, the peers and their ratio; None where one of the two did not run."""
    peers = {name: one.latency.median for name, one in timed.items() if name != OURS}
    ours = timed[OURS].latency.median if OURS in timed else None
    best = min(peers, key=lambda name: peers[name]) if peers else None
    return {
        "ours_ms": ours,
        "peers_ms": peers,
        "best_peer": best,
        "ratio": peers[best] / ours if best and ours else None,
        "ratio_p10": min(timed[name].latency.p10 for name in peers) / timed[OURS].latency.p10
        if best and ours
        else None,
        "latency_ms": {
            name: {"p10": one.latency.p10, "p90": one.latency.p90, "runs": one.latency.runs}
            for name, one in timed.items()
        },
        "cores_used": {name: one.cores_used for name, one in timed.items()},
    }


def head(peers: Sequence[str]) -> str:
    """Of a table in Markdown."""
    names = ["network", "precision", "threads", "ours, ms", "share", "ratio", "ratio p10", "best peer", *peers]
    return f"| {' | '.join(names)} |\n{'| --- ' * len(names)}|"


def line(row: dict[str, Any], peers: Sequence[str]) -> str:
    """Milliseconds with the share of the limit; a dash for what did not run."""
    times = {OURS: row["ours_ms"], **row["peers_ms"]}
    shares = {name: f"{share:.0%}" for name, share in row["share"].items()}
    apart = {name: f", {count} differ" for name, count in row.get("differ", {}).items()}
    cells = [f"{times[name]:.3f} ({shares[name]}{apart.get(name, '')})" if times.get(name) else "-" for name in peers]
    ours = [f"{row['ours_ms']:.3f}", shares[OURS] + apart.get(OURS, "")] if row["ours_ms"] else ["-", "-"]
    ratios = [f"{row[key]:.2f}" if row[key] else "-" for key in ("ratio", "ratio_p10")]
    what = [row["network"], row["precision"], str(row["threads"])]
    return f"| {' | '.join([*what, *ours, *ratios, row['best_peer'] or '-', *cells])} |"


if __name__ == "__main__":
    sys.exit(main())
