"""What `mobilenets serve` does at twice its capacity, at SIGTERM and when a model changes, with hey as the clients.

    python benchmarks/overload.py small.safetensors photo.jpg --seconds 60

Each part prints the statuses of all answers, what hey calls errors, and the largest resident memory of the server. An
accepted request that is lost would be an error other than `connection refused`.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENTS = 256


@contextmanager
def server(model: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server until the block ends; yield its process and its address."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "mobilenets", "serve", str(model), "--port", str(port), "--quiet", *flags]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/v2/health/ready").close()
            break
        except OSError:
            time.sleep(0.1)
    try:
        yield process, address
    finally:
        process.terminate()
        process.wait()


def ask(address: str, photo: Path, seconds: float, clients: int, rate: float | None = None) -> dict[str, int]:
    """Return the number of answers of each status and of each error; `rate` is requests/s of all clients."""
    command = ["hey", "-z", f"{seconds:g}s", "-c", str(clients), "-m", "POST", "-T", "image/jpeg", "-D", str(photo)]
    command += ["-q", f"{rate / clients:g}"] if rate else []
    text = subprocess.run([*command, f"{address}/predict"], capture_output=True, text=True, check=True).stdout
    counts = {status: int(count) for status, count in re.findall(r"\[(\d{3})\]\s+(\d+) responses", text)}
    for count, error in re.findall(r"\[(\d+)\]\s+Post [^\n]*?: ([^\n]+)", text):
        short = error.rpartition(": ")[2]
        counts[short] = counts.get(short, 0) + int(count)
    return counts


def memory(process: subprocess.Popen[bytes]) -> float:
    """Return the largest resident memory in MB so far, of the process and its workers."""
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = [Path(f"/proc/{pid}/status").read_text() for pid in (process.pid, *workers)]
    return sum(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) for status in found) / 1e3


def later(seconds: float, action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    flags = ["--workers", str(args.workers)]
    with server(args.model, *flags) as (process, address):
        capacity = ask(address, args.photo, 5, 16)["200"] / 5
        before = memory(process)
        print(f"capacity {capacity:.0f} requests/s, {before:.0f} MB")
        counts = ask(address, args.photo, args.seconds, CLIENTS, 2 * capacity)
        sent = sum(counts.values()) / args.seconds
        print(f"{CLIENTS} clients, {sent:.0f} requests/s, {args.seconds:g} s: {counts}, {memory(process):.0f} MB")
    with server(args.model, *flags) as (process, address):
        later(5, lambda: process.send_signal(signal.SIGTERM))
        counts = ask(address, args.photo, 8, CLIENTS, 2 * capacity)
        print(f"SIGTERM after 5 of 8 s: {counts}, exit code {process.wait()}")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        shutil.copyfile(args.model, model)
        with server(model, "--watch", *flags) as (process, address):
            for at in range(1, 5):  # a file is loaded that has not changed for a second
                later(2.5 * at, lambda at=at: replaced(args.model, model, at))
            counts = ask(address, args.photo, 12, 16, capacity / 2)
            with urllib.request.urlopen(f"{address}/metrics") as response:
                reloads = re.findall(r'mobilenets_reloads_total\{result="(\w+)"\} (\d+)', response.read().decode())
            print(f"a file that is replaced 4 times in 12 s: {counts}, reloads {reloads}")


def replaced(source: Path, model: Path, at: int) -> None:
    """Put a new file in the place of `model`."""
    new = model.with_suffix(f".{at}")
    shutil.copyfile(source, new)
    os.replace(new, model)


if __name__ == "__main__":
    main()
