"""How long the command line takes to answer: `import mobilenets` and `mobilenets --help`, medians of whole processes.

python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time

RUNS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "python -c 'import mobilenets'": [sys.executable, "-c", "import mobilenets"],
    "mobilenets --help": [sys.executable, "-m", "mobilenets", "--help"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    for name, values in times.items():
        print(f"{statistics.median(values) * 1e3:7.1f} ms  {name}")


if __name__ == "__main__":
    main()
