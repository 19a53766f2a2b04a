"""Open thousands of damaged model files: none may crash, hang or end in an error that is not of this package.

python scripts/fuzz.py --count 20000 --seed 1 --keep .fuzz

Every file is opened as the commands do it: `predict` opens what this package wrote and runs it on one image, `import`
reads what others write. Each worker is a forked process; one that dies, or takes longer than the limit, is counted with
its file, and another takes its place. Files that count against the package are kept in a folder. The same seed gives
the same files. The exit code is 0 where nothing counted against the package.
"""

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_files import damaged, samples

from mobilenets.arch.network import Network
from mobilenets.errors import MobilenetsError
from mobilenets.quant.file import load
from mobilenets.runtime import open_session, outputs_of
from mobilenets.tasks import task_type
from mobilenets.tasks.verification.index import load_index
from mobilenets.weights import Given, import_files

OUTCOMES = ("opened", "refused", "unexpected", "hang", "signal")
BAD = OUTCOMES[2:]
MEMORY = 6 << 30  # bytes of address space that a worker may take
LONGEST = 1001  # characters of a message
LARGEST = 512  # pixels of a side that are run: larger networks are sound, and slow


@dataclass(frozen=True)
class Tried:
    """One damaged file: its sample's name, its number, what came of it."""

    name: str
    number: int
    outcome: str
    seconds: float
    message: str


def attempt(path: Path) -> str:
    """Open the file and run it, or read it as another program's: "opened", or the text of the error it is refused with.

    Any other error is the caller's, and a message that a terminal cannot show in one line is an AssertionError.
    """
    try:
        _OPEN.get(path.name, _import)(path)
    except MobilenetsError as exc:
        message = str(exc)
        assert message.isprintable() and len(message) < LONGEST, f"message {message!r}"
        return message
    return "opened"


def _import(path: Path) -> None:
    import_files([path], Given((32, 32), (127.5, 127.5), "relu", "symmetric"), None)


def _both(path: Path) -> None:
    """A file that both read: either may refuse it, and not crash."""
    try:
        _run(path)
    finally:
        _import(path)


def _run(path: Path) -> None:
    if path.suffix == ".safetensors":
        model = load(path)
        if _slow(model.network):
            return
        session = open_session(model, 1, "onnx")
    else:
        session = open_session(path, 1, "onnx")
    p = session.preprocess
    if max(p.height, p.width) > LARGEST:
        return
    task = task_type(session.task)()
    answer = task.prediction(
        outputs_of(session, np.zeros((1, p.height, p.width, p.channels), np.uint8))[0],
        session.labels,
        session.head_config,
        task.top,
    )
    line = task.in_pixels(answer, (640, 480)).line()
    assert "nan" not in line, f"it says {line!r}"


_OPEN: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys(("model.safetensors", "geolocate.safetensors", "detect.safetensors", "int8.safetensors"), _run),
    **dict.fromkeys(("int8.onnx", "detect.onnx"), _run),
    "float.onnx": _both,
    "index.safetensors": lambda path: load_index(path) and None,
}


def _slow(network: Network) -> bool:
    return max(network.height, network.width) > LARGEST


def content_of(name: str, number: int, seed: int, sound: dict[str, bytes]) -> bytes:
    """The damaged file of that number."""
    return damaged(name, sound[name], random.Random(f"{seed} {name} {number}"))


def _work(tasks: Connection, seed: int, sound: dict[str, bytes]) -> None:
    """A worker: (name, number) in, (outcome, message) out, one after the other."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        while (task := tasks.recv()) is not None:
            name, number = task
            path = Path(folder) / name
            path.write_bytes(content_of(name, number, seed, sound))
            try:
                message = attempt(path)
                tasks.send(("opened" if message == "opened" else "refused", message.replace(str(path), name)))
            except BaseException as exc:
                where = "".join(traceback.format_tb(exc.__traceback__)[-2:])
                tasks.send(("unexpected", f"{type(exc).__name__}: {str(exc)[:300]}\n{where}"))


class Workers:
    """`count` forked processes with one file each."""

    def __init__(self, count: int, limit: float, seed: int, sound: dict[str, bytes]) -> None:
        self.count, self.limit, self.seed, self.sound = count, limit, seed, sound
        self.fork = multiprocessing.get_context("fork")

    def run(self, tasks: Iterator[tuple[str, int]]) -> Iterator[Tried]:
        """What comes of each task, as they end."""
        busy: dict[Any, tuple[Any, tuple[str, int], float]] = {}
        idle = [self._start() for _ in range(self.count)]
        while True:
            while idle and (task := next(tasks, None)) is not None:
                process, pipe = idle.pop()
                pipe.send(task)
                busy[pipe] = (process, task, time.monotonic())
            if not busy:
                break
            ready = wait(list(busy), timeout=0.5)
            late = [pipe for pipe, (_, _, begun) in busy.items() if time.monotonic() - begun > self.limit]
            for pipe in {*ready, *late}:
                process, (name, number), begun = busy.pop(pipe)
                outcome, message = self._result(process, pipe, pipe in ready)
                yield Tried(name, number, outcome, time.monotonic() - begun, message)
                idle.append((process, pipe) if outcome not in ("hang", "signal") else self._start())
        for process, pipe in idle:
            pipe.send(None)
            process.join()

    def _result(self, process: Any, pipe: Any, ready: bool) -> tuple[str, str]:
        if not ready:
            process.kill()
            process.join()
            return "hang", f"longer than {self.limit:g} s"
        try:
            outcome, message = pipe.recv()
        except EOFError:
            process.join()
            return "signal", f"exit code {process.exitcode}"
        return outcome, message

    def _start(self) -> tuple[Any, Any]:
        ours, theirs = self.fork.Pipe()
        process = self.fork.Process(target=_work, args=(theirs, self.seed, self.sound), daemon=True)
        process.start()
        theirs.close()
        return process, ours


def fuzz(count: int, seed: int, workers: int, limit: float, keep: Path | None = None) -> list[Tried]:
    """Try `count` files, in turn of every sample; those that count against the package are kept in `keep`."""
    with ProcessPoolExecutor(1) as other:  # what is forked must have no threads
        sound = other.submit(samples).result()
    names = list(sound)
    tasks = ((names[i % len(names)], i // len(names)) for i in range(count))
    results = []
    for tried in Workers(workers, limit, seed, sound).run(tasks):
        results.append(tried)
        if keep and tried.outcome in BAD:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{tried.number}-{tried.name}").write_bytes(content_of(tried.name, tried.number, seed, sound))
            (keep / f"{tried.number}-{tried.name}.txt").write_text(f"{tried.outcome}: {tried.message}\n")
    return results


def table(results: list[Tried]) -> str:
    """A line for each sample: how many ended how, and the longest time."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    slowest: Counter[str] = Counter()
    for tried in results:
        for name in (tried.name, "all"):
            counts[name][tried.outcome] += 1
            slowest[name] = max(slowest[name], tried.seconds)  # type: ignore[assignment]
    lines = [f"| file | {' | '.join(OUTCOMES)} | slowest |", "| --- |" + " ---: |" * (len(OUTCOMES) + 1)]
    for name in [*(name for name in counts if name != "all"), "all"]:
        figures = " | ".join(f"{counts[name][outcome]:,}" for outcome in OUTCOMES)
        lines.append(f"| {name} | {figures} | {slowest[name]:.1f} s |")
    return "\n".join(lines)


@contextmanager
def _quiet() -> Iterator[None]:
    """What libraries print of damaged files goes nowhere."""
    import os

    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="files in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=10, help="seconds that one file may take")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="folder for files that are not refused well")
    given = parser.parse_args()
    with _quiet():
        results = fuzz(given.count, given.seed, given.workers, given.limit, given.keep)
    print(table(results))
    bad = [tried for tried in results if tried.outcome in BAD]
    for tried in bad:
        print(f"{tried.outcome} {tried.number}-{tried.name}: {next(iter(tried.message.splitlines()), '')}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
