"""The result of a benchmark: a row per runtime, precision and number of threads, and the conclusions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..costs.latency import Latency
from .opening import Missing
from .peers import PRECISIONS

__all__ = ["OURS", "Benchmark", "Row", "axis_end", "verdict"]

OURS = "mobilenets"
BUSY = 0.9  # of a core: below this a single-threaded run was disturbed by other programs


@dataclass(frozen=True, slots=True)
class Row:
    """One runtime in one precision on a number of threads."""

    runtime: str
    version: str
    precision: str
    latency: Latency  # of one image
    images_per_second: dict[int, float]  # by size of batch
    agreement: float  # share of images whose top-1 is the reference's
    difference: float  # largest of a logit from the reference's, relative to the largest
    differing: tuple[int, int] | None  # int8: logits that differ from quant.reference's, and logits compared
    file_bytes: int
    arena_bytes: int | None
    load_ms: float  # from its file to its first output
    threads_by: str
    cores_used: float  # processor seconds per second

    @property
    def threads(self) -> int:
        """Return the number of threads."""
        return self.latency.threads

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON takes it; keys as docs/json.md lists them."""
        values = asdict(self)
        values["latency_ms"] = values.pop("latency")
        return {**values, "threads": self.threads}


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All rows, by number of threads, each sorted by latency."""

    network: str
    weights: str  # "trained", or "random" for a network given by name
    processor: str
    reference: str
    images: str  # on which the agreement was measured
    image_count: int
    integers: str | None  # the source of the int8 model
    rows: tuple[Row, ...]
    missing: tuple[Missing, ...]

    def __str__(self) -> str:
        return "\n".join(self.verdicts())

    def groups(self) -> list[tuple[int, list[Row]]]:
        """Return (threads, rows) of each number of threads."""
        return [(n, [row for row in self.rows if row.threads == n]) for n in sorted({row.threads for row in self.rows})]

    def verdicts(self) -> list[str]:
        """Return a line per number of threads and precision; with several precisions also one over all of them."""
        lines = []
        for threads, rows in self.groups():
            suffix = f"{threads} thread{'s' if threads > 1 else ''}"
            precisions = [p for p in PRECISIONS if any(row.precision == p for row in rows)]
            for precision in precisions:
                same = [row for row in rows if row.precision == precision]
                lines.append(f"{precision}, {suffix}: {verdict(same)}")
            if len(precisions) > 1:
                lines.append(f"any precision, {suffix}: {verdict(rows)}")
        return lines

    def about_integers(self) -> list[str]:
        """Return text on the source of the int8 model, and the runtimes whose logits differ from the oracle's."""
        if self.integers is None:
            return []
        counts = {row.runtime: row.differing for row in self.rows if row.differing}
        counted = (f"{name} {differing:,} of {of:,}" for name, (differing, of) in counts.items())
        return [f"int8: {self.integers}", f"int8 logits that differ from quant/reference.py: {', '.join(counted)}"]

    def caution(self) -> str | None:
        """Return a warning where other programs used much of the processor meanwhile."""
        used = sorted(row.cores_used for row in self.rows if row.threads == 1)
        middle = used[len(used) // 2] if used else 1.0
        if middle >= BUSY:
            return None
        return f"other programs used {1 - middle:.0%} of the processor meanwhile: measure again on a quiet machine"

    def to_dict(self) -> dict[str, Any]:
        """Return the benchmark as JSON takes it; keys as docs/json.md lists them."""
        return {
            "network": self.network,
            "weights": self.weights,
            "processor": self.processor,
            "reference": self.reference,
            "images": self.images,
            "image_count": self.image_count,
            "integers": self.integers,
            "rows": [row.to_dict() for row in self.rows],
            "missing": [asdict(missing) for missing in self.missing],
            "verdicts": self.verdicts(),
            "caution": self.caution(),
        }


def verdict(rows: Sequence[Row]) -> str:
    """Return text that names the fastest and its lead; two where the intervals of their medians overlap."""
    best, *others = sorted(rows, key=lambda row: row.latency.median)
    mixed = len({row.precision for row in rows}) > 1

    def name(row: Row) -> str:
        """Return the name of a runtime and precision."""
        return f"{row.runtime} {row.precision}" if mixed else row.runtime

    if not others:
        return f"{name(best)} alone ran, {best.latency.median:.3g} ms an image"
    if best.latency.distinct_from(others[0].latency):
        fastest = f"{name(best)} is fastest, {best.latency.median:.3g} ms an image"
    else:
        pair = " and ".join(f"{name(row)} ({row.latency.median:.3g} ms)" for row in (best, others.pop(0)))
        fastest = f"{pair} are fastest and cannot be distinguished"
        if not others:
            return fastest
    other = next((row for row in others if row.runtime == OURS), others[0])
    return f"{fastest}; {name(other)} takes {other.latency.median / best.latency.median:.2f} times as long"


def axis_end(rows: Sequence[Row]) -> float:
    """Return where a chart's axis ends, in ms: beyond every p90, but at twice the slowest median at most.

    One outlier must not flatten the rest.
    """
    return min(1.05 * max(row.latency.p90 for row in rows), 2 * max(row.latency.median for row in rows))
