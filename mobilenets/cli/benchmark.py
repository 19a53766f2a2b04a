"""`mobilenets benchmark`: flags, the verb, and the table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..text import bytes_text
from .console import new_table, print_json, print_parts, wrote
from .options import Json

if TYPE_CHECKING:
    from ..benchmarks import Benchmark

__all__ = ["benchmark"]

Several = Parameter(consume_multiple=True, negative=())


def benchmark(
    model: str,
    *,
    threads: Annotated[tuple[int, ...], Several] = (),
    batch_sizes: Annotated[tuple[int, ...], Several] = (1, 8, 32),
    precisions: Annotated[tuple[str, ...], Several] = (),
    data: Path | None = None,
    report: Path | None = None,
    tune: str = "10s",
    overwrite: Json = False,
    json: Json = False,
) -> None:
    """Time the network's own C and every runtime that is installed on this machine, in one run.

    Parameters
    ----------
    model
        A run folder, a model file of any format that import reads, the name of a published network, or a network's
        name such as 0.25-128: that with random weights.
    threads
        One or more numbers; by default 1 and all cores.
    batch_sizes
        Images at once, for images/s.
    precisions
        fp32 (the default), bf16x6 and bf16x3 (fp32 in parts of bf16), fp16, bf16, int8; each runtime in those it has.
        An int8 model is int8; of a float model int8 is made on the spot, good for its time only.
    data
        Images on which the runtimes' top-1 must agree, in any layout that train reads; noise without.
    report
        Draw the bars there too: .html (with the table), .png or .svg.
    tune
        Time for each precision in which this package's own C is tuned to this processor, unless it has been; 0s
        measures it as it is.
    overwrite
        Replace a report that exists.
    json
        Print one JSON object and nothing else.
    """
    from ..progress import Bars
    from ..verbs.benchmark import benchmark

    with Bars() as bars:
        result = benchmark(
            model,
            threads=threads,
            batch_sizes=batch_sizes,
            precisions=precisions,
            data=data,
            report=report,
            tune=tune,
            overwrite=overwrite,
            watch=bars,
        )
    _show(result, report, json)


def _show(result: "Benchmark", report: Path | None, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    print_parts(
        f"{result.network} ({result.weights} weights) on {result.processor}: one uint8 image in, logits out", ""
    )
    for threads, rows in result.groups():
        sizes = list(rows[0].images_per_second)
        names = ["runtime", "", "ms", "p10", "p90", *(f"img/s, {size}" for size in sizes)]
        title = f"{threads} thread{'s' if threads > 1 else ''}"
        table = new_table(title, *names, "top-1", "file", "arena", "load ms")
        for row in rows:
            times = (f"{ms:.3f}" for ms in (row.latency.median, row.latency.p10, row.latency.p90))
            speeds = (f"{row.images_per_second[size]:,.0f}" for size in sizes)
            arena = "" if row.arena_bytes is None else bytes_text(row.arena_bytes)
            rest = (f"{row.agreement:.1%}", bytes_text(row.file_bytes), arena, f"{row.load_ms:,.0f}")
            table.add_row(f"{row.runtime} {row.version}", row.precision, *times, *speeds, *rest)
        print_parts(table, "")
    absent = dict.fromkeys((m.name, m.precision, m.reason) for m in result.missing)
    print_parts(*(f"{name} {precision}: {reason}" for name, precision, reason in absent))
    print_parts(
        "ms: median of one image; img/s: in batches of so many; load: from its file to its first answer",
        f"top-1: images of {result.image_count} ({result.images}) with the same answer as {result.reference}",
    )
    print_parts(*result.about_integers())
    print_parts(*([wrote(report, "report")] if report else []), *([result.caution()] if result.caution() else []))
    print_parts(*result.verdicts())
