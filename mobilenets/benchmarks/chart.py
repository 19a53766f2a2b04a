"""A benchmark as a chart: a bar per runtime, shortest first; as an image (.png, .svg) or on a page (.html)."""

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError
from ..files import check_output, write_atomic
from .page import page, title
from .result import OURS, Benchmark, Row, axis_end

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_chart", "write_chart"]

SUFFIXES = (".html", ".png", ".svg")
MAIN, OTHER = "#2563a8", "#b9c2cc"


def check_chart(path: Path, overwrite: bool = False) -> None:
    """Raise `UsageError` or `MissingExtraError` for what `write_chart` could not write, before anything is measured."""
    check_output(path, SUFFIXES, overwrite, "--report", any_case=True)
    if path.suffix.lower() != ".html" and find_spec("matplotlib") is None:
        raise MissingExtraError(f"a report in {path.suffix} needs matplotlib", "bench")


def write_chart(path: Path, result: Benchmark) -> Path:
    """Write it, atomically, in the format of its suffix."""
    check_chart(path, overwrite=True)
    suffix = path.suffix.lower()
    if suffix == ".html":
        return write_atomic(path, page(result))
    return write_atomic(path, _drawn(result, suffix[1:]))


def _drawn(result: Benchmark, format: str) -> bytes:
    from matplotlib import style
    from matplotlib.figure import Figure

    groups = result.groups()
    heights = [len(rows) for _, rows in groups]
    with style.context(["default", {"svg.fonttype": "none", "font.family": "DejaVu Sans"}]):
        figure = Figure(figsize=(9, 1.4 + 0.34 * sum(heights) + 0.5 * len(heights)), layout="constrained")
        axes = figure.subplots(len(groups), squeeze=False, height_ratios=heights)[:, 0]
        figure.suptitle(title(result), fontsize=12)
        for one, (threads, rows) in zip(axes, groups, strict=True):
            _bars(one, rows)
            one.set_title(f"{threads} thread{'s' if threads > 1 else ''}", loc="left", fontsize=10)
        axes[-1].set_xlabel("milliseconds per image: median, and p10 to p90")
        file = io.BytesIO()
        date = {"Date": None} if format == "svg" else {}
        figure.savefig(file, format=format, dpi=150, metadata={"Title": title(result), **date})
    return file.getvalue()


def _bars(axes: "Axes", rows: Sequence[Row]) -> None:
    """Draw the rows, the fastest at the top; a whisker beyond the axis has its end as text."""
    times = [row.latency for row in rows]
    spread = [[max(0.0, t.median - t.p10) for t in times], [max(0.0, t.p90 - t.median) for t in times]]
    places, end = range(len(rows)), axis_end(rows)
    colours = [MAIN if row.runtime == OURS else OTHER for row in rows]
    look = {"elinewidth": 0.8, "ecolor": "#5b6570", "capsize": 2}
    axes.barh(places, [t.median for t in times], 0.7, color=colours, xerr=spread, error_kw=look)
    axes.set_yticks(places, [f"{row.runtime} {row.precision}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, end)
    note: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 9}
    for place, t in zip(places, times, strict=True):
        beyond = f" (p90: {t.p90:.3g})" if t.p90 > end else ""
        axes.annotate(f"{t.median:.3g}{beyond}", (t.median, place), (4, 7), **note)
    axes.spines[["top", "right"]].set_visible(False)
