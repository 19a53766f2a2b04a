"""Predictions of many images in parts, on a cluster: one Parquet file a part, and a second run computes the rest."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..cluster import PLAN, Item, Job, Outcome, Place, Plan, Work
from ..errors import UsageError, WorkError
from ..opening import Opened, check_order, open_model
from ..progress import Watch, watching
from ..runtime import OnnxFile, Runner, Runtime, open_session
from ..runtime.predict import Readable
from ..runtime.predict import predict as predict_stream
from ..tasks import task_type
from ..text import listed
from .predict import check_answers, predict_open

__all__ = ["Computed", "Parts", "compute_parts", "digest", "predict_parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a work in the folder `output`, all of which are there."""

    output: str
    parts: int
    computed: int  # by this run; the others were there
    images: int
    errors: int  # images that cannot be decoded
    seconds: float  # of this run
    images_per_second: float  # of this run; 0 where nothing was left to compute

    def __str__(self) -> str:
        parts = f"{self.parts:,} part{'s' if self.parts != 1 else ''}"
        bad = f", {self.errors:,} of which could not be decoded" if self.errors else ""
        speed = f"; {self.images_per_second:,.0f} images/s" if self.computed else ""
        return f"{self.output}: {self.images:,} images{bad}, in {parts}, {self.computed:,} new{speed}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets predict --cluster`, whose keys docs/json.md lists."""
        return asdict(self)


def predict_parts(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    top: int | None = None,
    *,
    cluster: str = "local",
    batch_size: int = 32,
    runtime: Runtime = "auto",
    min_confidence: float | None = None,
    watch: Watch | None = None,
) -> Parts:
    """Predict many images on a cluster, into Parquet files whose columns are the keys of `predict --json`.

    Parameters
    ----------
    model
        What `load` takes, or an `.onnx` file that `export` wrote.
    images
        One or several of a folder (searched to any depth for images, .parquet files with a column of image bytes, and
        .tar shards), such a file, and a pattern; each a path or a URL that fsspec opens, such as s3://bucket/photos.
    output
        The folder of the parts, a path or a URL that all nodes of the cluster can write: new, or that of an earlier
        run with the same arguments, whose parts are kept.
    top, batch_size, runtime, min_confidence
        As of `predict`.
    cluster
        The address of a Ray cluster, or "local": the cores of this machine.

    An image that cannot be decoded is a row with an `error`. Raises `UsageError` where `output` holds anything else,
    `DataError` for inputs that do not exist, and `WorkError` for parts that failed, after the others are done.
    """
    with watching(watch) as watch:
        opened = open_model(model, watch)
        session = open_session(opened.model, runtime=runtime)
        most = task_type(session.task)().top if top is None else top
        check_answers(task_type(session.task)(), most, min_confidence)
        inputs = _inputs(model, images)
        work = Work(inputs, digest(opened), "predictions", most, batch_size, min_confidence, runtime)
        return compute_parts(work, opened, output, cluster, watch).parts


@dataclass(frozen=True, slots=True)
class Computed:
    """A work of which all parts are there."""

    plan: Plan
    output: Place
    parts: Parts


def digest(opened: Opened) -> str:
    """Return what two models share only if they answer the same."""
    model = opened.model
    return sha256(model.content if isinstance(model, OnnxFile) else model.to_bytes()).hexdigest()


def _inputs(model: str | Path, images: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    given = [images] if isinstance(images, str | Path) else list(images)
    if wrong := next((one for one in given if not isinstance(one, str | Path) or str(one) == "-"), None):
        raise UsageError(f"images (={wrong!r:.60}) must be paths or URLs on a cluster")
    if not given:
        raise UsageError("images: a folder, a file or a pattern is needed")
    check_order(model, given)
    return tuple(map(str, given))


def compute_parts(work: Work, opened: Opened, output: str | Path, cluster: str, watch: Watch) -> Computed:
    """Compute the parts of `work` that are not in the folder `output`, by the plan that is there or a new one."""
    from ..cluster.ray import compute, connected
    from ..cluster.rows import count

    if work.batch_size < 1:
        raise UsageError(f"batch_size (={work.batch_size}) must be at least 1")
    place = Place.of(output)
    plan = _plan(work, place, watch)
    there = set(place.names())
    finished = [count(part, place) for part in plan.parts if part.file in there]
    left = [part for part in plan.parts if part.file not in there]
    outcomes: list[Outcome] = []
    start = time.perf_counter()
    if left:
        job = Job(work, plan.labels, place.url, body)
        with connected(cluster):
            start = time.perf_counter()  # of the work, not of Ray
            for outcome in compute(left, job, opened.model):
                outcomes.append(outcome)
                watch.measured("parts", len(finished) + len(outcomes), len(plan.parts))
    seconds = time.perf_counter() - start
    _check(plan, place, outcomes)
    both = [*finished, *outcomes]
    parts = Parts(
        output=str(output),
        parts=len(plan.parts),
        computed=len(outcomes),
        images=sum(one.images for one in both),
        errors=sum(one.errors for one in both),
        seconds=seconds,
        images_per_second=sum(one.images for one in outcomes) / seconds if outcomes else 0.0,
    )
    return Computed(plan, place, parts)


def _plan(work: Work, output: Place, watch: Watch) -> Plan:
    """Return the plan in `output`, or write a new one there; `UsageError` where it is of another work."""
    written, names = output.below(PLAN), output.names()
    if PLAN in names:
        plan = Plan.open(written)
        work.check_same(plan.work, output.url)
    elif names or (output.exists() and not output.is_folder()):
        raise UsageError(f"output (={output.url}) holds other files ({listed(names, 3)}): choose a new folder")
    else:
        plan = Plan.made(work)
        written.write(plan.to_json().encode())
    for note in plan.notes:
        watch.note(note)
    return plan


def _check(plan: Plan, output: Place, outcomes: Iterable[Outcome]) -> None:
    """Raise `WorkError` for parts that failed, or that workers wrote to where they are not seen from here."""
    failed = [outcome for outcome in outcomes if outcome.failed]
    again = "the same command computes only what is missing"
    if failed:
        raise WorkError(f"{len(failed)} of {len(plan.parts)} parts failed; {failed[0].failed}; {again}")
    there = set(output.names())
    lost = [part.file for part in plan.parts if part.file not in there]
    if lost:
        raise WorkError(f"{output.url} has no {lost[0]}, which a worker wrote: all nodes must see the same output")


def body(session: Runner, items: Iterable[Item], work: Work, workers: int) -> Iterator[dict[str, Any]]:
    """Yield the row of each image of a part; runs on the workers."""
    if work.wanted == "outputs":
        return _outputs(session, items, work, workers)
    sources = ((item.key, item.source) for item in items)
    answers = predict_open(session, sources, work.top, work.batch_size, work.min_confidence, workers)
    return (answer.to_dict() for answer in answers)


def _outputs(session: Runner, items: Iterable[Item], work: Work, workers: int) -> Iterator[dict[str, Any]]:
    labels: deque[str | None] = deque()

    def sources() -> Iterator[tuple[str, Readable]]:
        for item in items:
            labels.append(item.label)
            yield item.key, item.source

    for answer in predict_stream(session, sources(), lambda row: row.copy(), work.batch_size, workers):
        yield {"image": answer.name, "label": labels.popleft(), "output": answer.prediction, "error": answer.error}
