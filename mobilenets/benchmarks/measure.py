"""Measurement of all runtimes in turn in one run, after their logits have been checked."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec

import numpy as np

from ..compiler import has_compiler
from ..costs.latency import BURST_MS, MIN_RUNS, Latency, summarise
from ..errors import UsageError, WorkError
from ..image import Pixels
from ..machine import check_threads, cores, processor
from ..model import Model
from ..progress import Watch
from ..quant import reference as quant_reference
from ..quant.scheme import QuantModel
from ..runtime.tune import is_tuned
from ..runtime.tune import tune as tune_model
from .int8_reference import Int8Reference, int8_model, int8_reference
from .opening import Missing, Opened, open_peers, reason
from .peers import PEERS, PRECISIONS, Floats, Peer, Setup
from .result import Benchmark, Row

__all__ = ["IMAGES", "Timed", "benchmark_model", "noise", "time_peers"]

IMAGES = 100  # for the agreement, where no data are given
INT8_IMAGES = 16  # the maximum for an int8 model: the oracle takes a second per image of 1.0-224
SECONDS = 1.0  # per runtime, for single images
BATCH_SECONDS = 0.4  # per runtime and larger batch size
# seconds before each burst on several threads, until the threads of the previous runtime sleep
PAUSE = 0.02
WARMUP = 5
MAX_BATCH = 1024


Tell = Callable[[int, int], None]  # seconds done, seconds in all


@dataclass(slots=True)
class Timed:
    """The runs of one runtime, or the reason why they stopped."""

    opened: Opened
    milliseconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    processor: float = 0.0
    failure: str = ""

    @property
    def latency(self) -> Latency:
        """Return order statistics of the runs."""
        name = f"{self.opened.name} {self.opened.version}".strip()
        return summarise(self.milliseconds, self.opened.peer.setup.threads, name)

    @property
    def cores_used(self) -> float:
        """Return the mean number of busy cores."""
        return self.processor / self.wall


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of a runtime's logits with the reference, see `Row`."""

    agreement: float
    difference: float
    differing: tuple[int, int] | None


def benchmark_model(
    model: Model | QuantModel,
    *,
    threads: Sequence[int] = (),
    precisions: Sequence[str] = (),
    batch_sizes: Sequence[int] = (1, 8, 32),
    images: Pixels | None = None,
    source: str = "noise",
    weights: str = "trained",
    kinds: dict[str, type[Peer]] | None = None,
    tune: float = 0.0,
    watch: Watch | None = None,
) -> Benchmark:
    """Time `model` in every runtime that is installed.

    `threads`: one and all cores where none is given. `images`: (N, H, W, C) uint8 from `source`, on which the
    runtimes must agree; noise where there are none. `precisions`: fp32 where none is given, of an int8 model int8; int8
    of a float model is made of the images. `kinds`: see `PEERS`. `tune`: seconds for each precision in which the
    package's own C is tuned, unless it has been. A runtime that is not installed or fails
    is listed with its reason. Raises `UsageError` for what cannot be measured.
    """
    watch = watch or Watch()
    threads = tuple(threads) or tuple(sorted({1, cores()}))
    precisions = tuple(dict.fromkeys(precisions)) or (model.precision,)
    _check(model, threads, precisions, batch_sizes)
    images = noise(model, IMAGES) if images is None else images
    images = images[:INT8_IMAGES] if model.precision == "int8" else images
    expected, name = _reference(model, images)
    oracle = source_of_int8 = None
    if "int8" in precisions:
        integers, source_of_int8 = int8_model(model, images, source)
        oracle = int8_reference(integers, images)
    models = {p: oracle.model if oracle and p == "int8" else model for p in precisions}
    _tune(models, tune, watch)
    rows: list[Row] = []
    missing: list[Missing] = []
    for n in dict.fromkeys(threads):
        found: list[Opened] = []
        threads_text = f"{n} thread{'s' if n > 1 else ''}"
        watch.note(f"{threads_text}: opening the runtimes; torch.compile may take half a minute")
        for at, precision in enumerate(precisions):
            watch.measured(f"open, {threads_text}", at, len(precisions))
            for peer in open_peers(
                Setup(models[precision], precision, n), images[:1], PEERS if kinds is None else kinds
            ):
                (found if isinstance(peer, Opened) else missing).append(peer)  # type: ignore[arg-type]
        watch.measured(f"open, {threads_text}", len(precisions), len(precisions))
        watch.note(f"{threads_text}: timing {', '.join(f'{o.name} {o.precision}' for o in found)}")
        tell = partial(watch.measured, f"time, {threads_text}")
        measured, failed = _measure(found, images, expected, oracle, tuple(dict.fromkeys(batch_sizes)), tell)
        rows += sorted(measured, key=lambda row: row.latency.median)
        missing += failed
    if not rows:
        raise WorkError(f"no runtime could run it: {'; '.join(f'{m.name}: {m.reason}' for m in missing)}")
    return Benchmark(
        model.name, weights, processor(), name, source, len(images), source_of_int8, tuple(rows), tuple(missing)
    )


def _tune(models: Mapping[str, Model | QuantModel], seconds: float, watch: Watch) -> None:
    """Tune the package's own C in each precision, unless it has been."""
    for precision, model in models.items():
        if seconds and has_compiler() and not is_tuned(model, precision=precision):
            watch.note(f"tuning the tiles of {precision} to this processor: about {seconds:g} s")
            tune_model(model, precision=precision, seconds=seconds)


def _check(
    model: Model | QuantModel, threads: Sequence[int], precisions: Sequence[str], batch_sizes: Sequence[int]
) -> None:
    if model.network.output == "features":
        raise UsageError(f"{model.name}: its task is {model.task}: a detector's head cannot be benchmarked")
    for n in threads:
        check_threads(n, least=1)
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r} must be one of {', '.join(PRECISIONS)}")
        if model.precision == "int8" and precision != "int8":
            raise UsageError(f"precision {precision!r} is of float models, and {model.name} is int8")
    for size in batch_sizes:
        if not 1 <= size <= MAX_BATCH:
            raise UsageError(f"batch size (={size}) must be from 1 to {MAX_BATCH}")


def _measure(
    found: Sequence[Opened],
    images: Pixels,
    expected: Floats,
    oracle: Int8Reference | None,
    batch_sizes: Sequence[int],
    tell: Tell,
) -> tuple[list[Row], list[Missing]]:
    """Return a row for each runtime that finished, and the failures of the others.

    `tell` receives the seconds spent of this measurement.
    """
    agreements: dict[str, Agreement] = {}
    failures: dict[str, str] = {}
    alive = list(found)

    def fail(opened: Opened, why: str) -> None:
        """Record a failure and stop timing this runtime."""
        failures[_key(opened)] = why
        alive.remove(opened)

    for opened in found:
        try:
            agreements[_key(opened)] = _agreement(opened.peer, images, expected, oracle)
        except Exception as exc:
            fail(opened, reason(exc))
    latencies: dict[str, Timed] = {}
    speeds: dict[str, dict[int, float]] = {_key(opened): {} for opened in found}
    sizes = sorted({1, *batch_sizes})
    spent, total = 0.0, len(found) * (SECONDS + BATCH_SECONDS * (len(sizes) - 1))

    def gone(before: float) -> Callable[[float], None]:
        """Return a function that reports seconds spent, after the seconds `before`."""
        return lambda seconds: tell(int(before + seconds), int(total))

    for size in sizes:
        batch = np.ascontiguousarray(np.resize(images, (size, *images.shape[1:])))
        seconds, least = (SECONDS, MIN_RUNS) if size == 1 else (BATCH_SECONDS, 3)
        timings = time_peers(alive, batch, seconds * len(alive), least, gone(spent))
        spent += seconds * len(found)
        for timed in timings:
            if timed.failure:
                fail(timed.opened, timed.failure)
                continue
            if size == 1:
                latencies[_key(timed.opened)] = timed
            if size in batch_sizes:
                speeds[_key(timed.opened)][size] = 1e3 * size / timed.latency.median
    tell(int(total), int(total))
    rows = [_row(latencies[_key(o)], speeds[_key(o)], agreements[_key(o)]) for o in alive]
    return rows, [
        Missing(o.name, o.precision, o.peer.setup.threads, failures[_key(o)]) for o in found if _key(o) in failures
    ]


def _key(opened: Opened) -> str:
    return f"{opened.name} {opened.precision}"


def _row(timed: Timed, speeds: dict[int, float], found: "Agreement") -> Row:
    opened, peer = timed.opened, timed.opened.peer
    return Row(
        runtime=opened.name,
        version=opened.version,
        precision=opened.precision,
        latency=timed.latency,
        images_per_second=speeds,
        agreement=found.agreement,
        difference=found.difference,
        differing=found.differing,
        file_bytes=peer.file_bytes,
        arena_bytes=peer.arena_bytes,
        load_ms=opened.load_ms,
        threads_by=peer.threads_by,
        cores_used=timed.cores_used,
    )


def _agreement(peer: Peer, images: Pixels, expected: Floats, oracle: Int8Reference | None) -> Agreement:
    logits = np.concatenate([peer.run(images[i : i + 1]) for i in range(len(images))])
    same = float((logits.argmax(1) == expected.argmax(1)).mean())
    difference = float(np.abs(logits - expected).max() / np.abs(expected).max())
    return Agreement(same, difference, oracle.differing(logits) if oracle and peer.setup.precision == "int8" else None)


def time_peers(
    found: Sequence[Opened],
    batch: Pixels,
    seconds: float,
    least: int = MIN_RUNS,
    tell: Callable[[float], None] = lambda spent: None,
) -> list[Timed]:
    """Time each runtime in bursts, in turn, for `seconds` in all and at least `least` runs each, as `cost.latency`
    does.

    An overloaded machine gets at most twice the seconds. A runtime that raises is stopped. `tell` receives the seconds
    spent, at most `seconds`.
    """
    timed = [Timed(opened) for opened in found]
    several = any(opened.peer.setup.threads > 1 for opened in found)
    for one in timed:
        _attempt(one, batch, WARMUP if len(batch) == 1 else 1, count=False)
    start = time.perf_counter()
    while running := [one for one in timed if not one.failure]:
        spent = time.perf_counter() - start
        tell(min(spent, seconds))
        fewest = min(len(one.milliseconds) for one in running)
        if spent >= seconds and (fewest >= least or (fewest >= 3 and spent >= 2 * seconds)):
            break
        for one in running:
            if several:
                time.sleep(PAUSE)
            _attempt(one, batch, 1, count=False)
            _attempt(one, batch, 3 if len(batch) == 1 else 1)
    return timed


def _attempt(one: Timed, batch: Pixels, runs: int, count: bool = True) -> None:
    """Run at least `runs` times, recorded for `BURST_MS` where the runs count."""
    record: list[float] = []
    begin = last = time.perf_counter()
    busy = time.process_time()
    try:
        while len(record) < runs or (count and 1e3 * (last - begin) < BURST_MS):
            one.opened.peer.run(batch)
            now = time.perf_counter()
            record.append((now - last) * 1e3)
            last = now
    except Exception as exc:
        one.failure = reason(exc)
        return
    if count:
        one.milliseconds += record
        one.wall += last - begin
        one.processor += time.process_time() - busy


def _reference(model: Model | QuantModel, images: Pixels) -> tuple[Floats, str]:
    """Return logits in float32 and their source: torch, else ONNX Runtime; of an int8 model the oracle in numpy."""
    if model.precision == "int8":
        return model.activations["fc"].real(quant_reference.run(model, images)), "quant/reference.py in numpy"
    if find_spec("torch") is not None:
        from .torch_module import reference

        return reference(model, images), "torch, fp32"
    from ..exporters.onnx import to_onnx
    from ..runtime import Session

    session = Session.from_onnx(to_onnx(model), 1)
    return np.concatenate([session.logits(image[None]) for image in images]), "ONNX Runtime, fp32"


def noise(model: Model | QuantModel, count: int) -> Pixels:
    """Return `count` images of random pixels in the model's input shape."""
    p = model.preprocess
    return np.random.default_rng(0).integers(0, 256, (count, p.height, p.width, p.channels), np.uint8)
