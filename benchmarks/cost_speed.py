"""Expand and cost 10,000 networks: python benchmarks/cost_speed.py

One core; a network a fraction of a millisecond, so that a search over thousands takes seconds.
"""

import sys
import time

from mobilenets.arch import Network
from mobilenets.costs import cost

COUNT = 10_000


def networks(count: int) -> list[Network]:
    """No two alike: 100 widths from 0.1 to 2.08 and resolutions from 32 up in steps of 4."""
    return [
        Network(alpha=0.1 + 0.02 * (i % 100), height=32 + 4 * (i // 100), width=32 + 4 * (i // 100))
        for i in range(count)
    ]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    swept = networks(count)
    start, cpu = time.perf_counter(), time.process_time()
    total = sum(cost(network).mult_adds for network in swept)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"{count} networks ({total / 1e12:.1f} T mult-adds) in {seconds:.2f} s, of which {cpu:.2f} s on the processor"
    )
    print(f"{1e3 * cpu / count:.3f} ms each")


if __name__ == "__main__":
    main()
