"""What a worker does with a part: read, run the network, write one file."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import MobilenetsError
from ..runtime import Runner
from .plan import Part, Work
from .readers import Item, read_part
from .storage import Place

__all__ = ["Body", "Job", "Outcome", "compute_part"]

Body = Callable[[Runner, Iterable[Item], Work, int], Iterator[dict[str, Any]]]  # the number is of threads that decode
# threads that read images over a network, most of which wait; local ones need one beside the network's
FETCHES = 8


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for all parts: the work, the names of numbered classes, the output folder."""

    work: Work
    labels: tuple[str, ...]
    output: str
    body: Body


@dataclass(frozen=True, slots=True)
class Outcome:
    """A part that was computed: its images, and those that cannot be decoded; or why it `failed`."""

    name: str
    images: int = 0
    errors: int = 0
    failed: str = ""


def compute_part(part: Part, job: Job, session: Runner) -> Outcome:
    """Compute a part and write its file. A part that fails is told, and the others go on."""
    from .rows import columns_of, count, to_parquet

    output = Place.of(job.output)
    try:
        if output.below(part.file).exists():  # its node died between the write and the answer
            return count(part, output)
        items = read_part(part, job.labels, labelled=job.work.wanted == "outputs")
        workers = 1 if part.kind != "files" or Place.of(part.where).local else FETCHES
        rows = list(job.body(session, items, job.work, workers))
        output.below(part.file).write(to_parquet(rows, columns_of(job.work.wanted, session.task)))
    except MobilenetsError as exc:
        return Outcome(part.name, failed=str(exc))
    except Exception as exc:  # of storage libraries
        return Outcome(part.name, failed=f"{part.shown}: {type(exc).__name__}: {exc}")
    return Outcome(part.name, len(rows), sum(row["error"] is not None for row in rows))
