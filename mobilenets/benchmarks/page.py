"""A benchmark as one HTML page that loads nothing: bars and a table per number of threads.

Bars are boxes whose widths are shares of the axis, so that they fit any window; narrow windows show the table as a
list.
"""

from collections.abc import Iterable, Sequence
from html import escape

from .result import OURS, Benchmark, Row, axis_end

__all__ = ["page", "title"]

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1b1f24; --soft: #5b6570; --line: #e3e6ea; --main: #2563a8; --other: #b9c2cc;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e6e9ed; --soft: #9aa4af; --line: #2d333b; --main: #6aa7e8; --other: #4a545f; }
}
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; background: var(--paper);
  color: var(--ink); max-width: 1040px; margin: 0 auto; padding: 40px 20px; }
h1 { font-size: 26px; line-height: 1.25; } h2 { font-size: 19px; margin: 44px 0 8px; }
p { margin: 0 0 8px; max-width: 75ch; overflow-wrap: anywhere; } .soft, small, th { color: var(--soft); }
ul { list-style: none; margin: 0 0 24px; padding: 0; }
li { display: grid; grid-template-columns: 200px 1fr 190px; gap: 2px 14px; align-items: center; padding: 3px 0; }
.track { position: relative; height: 20px; overflow: hidden; border-left: 1px solid var(--soft); }
.track i { position: absolute; left: 0; top: 2px; bottom: 2px; background: var(--other); min-width: 1px; }
.ours .track i { background: var(--main); }
.track b { position: absolute; top: 6px; bottom: 6px; min-width: 2px; border: solid var(--soft); border-width: 0 1px; }
.track b::after { content: ""; position: absolute; left: 0; right: 0; top: 50%; border-top: 1px solid var(--soft); }
.track .beyond { border-right: 0; } .ours .who { font-weight: 600; }
table { border-collapse: collapse; font-size: 13.5px; width: 100%; margin: 0 0 24px; }
th, td { padding: 4px 0 4px 12px; text-align: right; font-weight: 400; vertical-align: bottom; }
td { border-top: 1px solid var(--line); } td:first-child, th:first-child { padding-left: 0; text-align: left; }
@media (max-width: 760px) {
  body { padding: 24px 18px; } h1 { font-size: 22px; }
  li { grid-template-columns: 1fr auto; padding: 6px 0; } .track { grid-row: 2; grid-column: 1 / -1; }
  thead { display: none; } table, tbody, tr, td { display: block; }
  tr { columns: 2; column-gap: 24px; padding: 10px 0; border-top: 1px solid var(--line); }
  td, td:first-child { border: 0; padding: 1px 0; display: flex; justify-content: space-between; break-inside: avoid; }
  td:first-child { column-span: all; font-weight: 600; }
  td + td::before { content: attr(data-name); color: var(--soft); }
}
"""


def title(result: Benchmark) -> str:
    """Return the title of a benchmark."""
    return f"{result.network} ({result.weights} weights) on {result.processor}"


def page(result: Benchmark) -> str:
    """Return the HTML page of a benchmark."""
    about = (
        f"One uint8 image in, logits out; all runtimes in turn in one run. Top-1: the share of {result.image_count} "
        f"images ({result.images}) with the same prediction as {result.reference}."
    )
    absent = dict.fromkeys(f"{m.name} {m.precision}: {m.reason}" for m in result.missing)
    caution = result.caution()
    body = [
        f"<h1>{escape(title(result))}</h1>",
        *_paragraphs(result.verdicts()),
        *_paragraphs([about, *result.about_integers(), *([caution] if caution else [])], ' class="soft"'),
        *(_group(threads, rows) for threads, rows in result.groups()),
        *_paragraphs(absent, ' class="soft"'),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title(result))}'
    return f'<!doctype html>\n<html lang="en"><head>{head}</title><style>{_STYLE}</style></head><body>' + (
        "\n".join([*body, "</body></html>\n"])
    )


def _paragraphs(texts: Iterable[str], look: str = "") -> list[str]:
    return [f"<p{look}>{escape(text)}</p>" for text in texts]


def _group(threads: int, rows: Sequence[Row]) -> str:
    end = axis_end(rows)
    beyond = any(row.latency.p90 > end for row in rows)
    axis = f"Milliseconds per image: the median, and the line from p10 to p90. The axis ends at {end:.3g} ms"
    return "\n".join(
        [
            f"<h2>{threads} thread{'s' if threads > 1 else ''}</h2>",
            *_paragraphs([f"{axis}, and lines without an end go on." if beyond else f"{axis}."], ' class="soft"'),
            f"<ul>{''.join(_bar(row, end) for row in rows)}</ul>",
            _table(rows),
        ]
    )


def _bar(row: Row, end: float) -> str:
    t = row.latency
    low, middle, high = (100 * min(1.0, value / end) for value in (t.p10, t.median, t.p90))
    spread = f'<b{" class=beyond" if t.p90 > end else ""} style="left:{low:.2f}%;width:{high - low:.2f}%"></b>'
    figures = f"{t.median:.3g} ms <small>({t.p10:.3g} to {t.p90:.3g})</small>"
    label = f"{t.median:.3g} ms, p10 {t.p10:.3g}, p90 {t.p90:.3g}"
    return (
        f"<li{' class=ours' if row.runtime == OURS else ''}><span class=who>{escape(f'{row.runtime} {row.precision}')}"
        f'</span><span class=track role=img aria-label="{label}"><i style="width:{middle:.2f}%"></i>{spread}</span>'
        f"<span>{figures}</span></li>"
    )


def _table(rows: Sequence[Row]) -> str:
    sizes = list(rows[0].images_per_second)
    names = ["runtime", "precision", "ms", "p10", "p90", *(f"img/s, {n}" for n in sizes), "top-1", "file", "load"]
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(_cell(*pair) for pair in zip(names, _cells(row, sizes), strict=True))}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(name: str, text: str) -> str:
    return f'<td data-name="{name}">{escape(text)}</td>'


def _cells(row: Row, sizes: Sequence[int]) -> tuple[str, ...]:
    t = row.latency
    return (
        f"{row.runtime} {row.version}",
        row.precision,
        *(f"{ms:.3f}" for ms in (t.median, t.p10, t.p90)),
        *(f"{row.images_per_second[size]:,.0f}" for size in sizes),
        f"{row.agreement:.1%}",
        f"{row.file_bytes / 1e6:.2f} MB",
        f"{row.load_ms:,.0f} ms",
    )
