"""A benchmark as a picture: a bar for each runtime, shortest first; alone (.png, .svg) or on a page (.html)."""

import io
import re
from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError
from ..files import check_output, write_atomic
from .result import OURS, Benchmark, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_chart", "write_chart"]

SUFFIXES = (".html", ".png", ".svg")
MAIN, OTHER = "#2563a8", "#b9c2cc"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1040px; margin: 40px auto; padding: 0 20px; color: #1b1f24; }}
svg {{ width: 100%; height: auto; }} table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 3px 14px 3px 0; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
th {{ color: #5b6570; font-weight: 400; }} div {{ overflow-x: auto; }}
</style></head><body><h1>{title}</h1><p>{about}</p>{verdicts}{svg}<div>{table}</div>{missing}</body></html>
"""


def check_chart(path: Path, overwrite: bool = False) -> None:
    """Before anything is measured: `UsageError` or `MissingExtraError` for what `write_chart` could not write."""
    check_output(path, SUFFIXES, overwrite, "--report", any_case=True)
    if find_spec("matplotlib") is None:
        raise MissingExtraError("a report needs matplotlib", "bench")


def write_chart(path: Path, result: Benchmark) -> Path:
    """Write it, atomically, in the format of its suffix."""
    check_chart(path, overwrite=True)
    suffix = path.suffix.lower()
    if suffix == ".html":
        return write_atomic(path, _page(result, _drawn(result, "svg").decode()))
    return write_atomic(path, _drawn(result, suffix[1:]))


def _drawn(result: Benchmark, format: str) -> bytes:
    from matplotlib import style
    from matplotlib.figure import Figure

    groups = result.groups()
    heights = [len(rows) for _, rows in groups]
    with style.context(["default", {"svg.fonttype": "none", "font.family": "DejaVu Sans"}]):
        figure = Figure(figsize=(9, 1.4 + 0.34 * sum(heights) + 0.5 * len(heights)), layout="constrained")
        axes = figure.subplots(len(groups), squeeze=False, height_ratios=heights)[:, 0]
        figure.suptitle(_title(result), fontsize=12)
        for one, (threads, rows) in zip(axes, groups, strict=True):
            _bars(one, rows)
            one.set_title(f"{threads} thread{'s' if threads > 1 else ''}", loc="left", fontsize=10)
        axes[-1].set_xlabel("milliseconds an image: median, and p10 to p90")
        file = io.BytesIO()
        figure.savefig(file, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)
    return file.getvalue()


def _bars(axes: "Axes", rows: Sequence[Row]) -> None:
    """The fastest at the top. The axis ends at the slowest median: one outlier must not flatten the rest."""
    medians = [row.latency.median for row in rows]
    spread = [
        [max(0.0, row.latency.median - row.latency.p10) for row in rows],
        [max(0.0, row.latency.p90 - row.latency.median) for row in rows],
    ]
    places = range(len(rows))
    colours = [MAIN if row.runtime == OURS else OTHER for row in rows]
    axes.barh(places, medians, 0.7, color=colours, xerr=spread, error_kw={"elinewidth": 0.8, "ecolor": "#5b6570"})
    axes.set_yticks(places, [f"{row.runtime} {row.precision}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(medians))
    for place, median in zip(places, medians, strict=True):
        note: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 9}
        axes.annotate(f"{median:.3g}", (median, place), (4, 6), **note)
    axes.spines[["top", "right"]].set_visible(False)


def _title(result: Benchmark) -> str:
    return f"{result.network} ({result.weights} weights) on {result.processor}"


def _page(result: Benchmark, svg: str) -> str:
    names = "runtime precision threads median p10 p90 images/s agreement file load".split()
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(row))}</tr>" for row in result.rows)
    about = f"One uint8 image in, logits out; all runtimes in turn in one run. Agreement: {result.image_count} images, "
    lines = [
        f"<p>{escape(text)}</p>" for text in (*result.verdicts(), *result.about_integers(), result.caution() or "")
    ]
    missing = [f"<p>{escape(f'{m.name} {m.precision}, {m.threads} thread(s): {m.reason}')}</p>" for m in result.missing]
    return PAGE.format(
        title=escape(_title(result)),
        about=escape(f"{about}{result.images}, against {result.reference}."),
        verdicts="".join(lines),
        svg=re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL),
        table=f"<table><tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>{body}</table>",
        missing="".join(missing),
    )


def _cells(row: Row) -> tuple[str, ...]:
    t = row.latency
    speeds = ", ".join(f"{speed:,.0f} (batch {size})" for size, speed in row.images_per_second.items())
    times = (f"{ms:.3f} ms" for ms in (t.median, t.p10, t.p90))
    size, load = f"{row.file_bytes / 1e6:.2f} MB", f"{row.load_ms:.0f} ms"
    return (
        f"{row.runtime} {row.version}",
        row.precision,
        str(row.threads),
        *times,
        speeds,
        f"{row.agreement:.1%}",
        size,
        load,
    )
