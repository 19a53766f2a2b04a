"""Draw the figures of the report as inline SVG, with matplotlib's object API (without pyplot's global state).

Colours are CSS variables of the page, so that figures follow its light, dark and print styles. Text of users is not
drawn in figures; it is in the HTML, where it is escaped and rendered with the fonts of the browser.
"""

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..tasks.evaluation import CalibrationBin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESOLUTIONS", "Dot", "cloud", "curves", "plane", "reliability"]

# placeholder colours for matplotlib, replaced by CSS variables in the SVG
_INK, _SOFT, _LINE, _MAIN, _OTHER, _BAD = "#010101", "#010102", "#010103", "#010104", "#010105", "#010106"
RESOLUTIONS = {128: "#010201", 160: "#010202", 192: "#010203", 224: "#010204"}
_VARIABLES = {
    _INK: "--ink",
    _SOFT: "--soft",
    _LINE: "--line",
    _MAIN: "--main",
    _OTHER: "--other",
    _BAD: "--bad",
    **{colour: f"--px{side}" for side, colour in RESOLUTIONS.items()},
}
_STYLE = {
    "svg.fonttype": "none",  # keep text as text, in the page's font
    "font.family": "DejaVu Sans",  # used only to measure text
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.7,
}
Epoch = Mapping[str, float | None]  # a row of results.csv
_RANKS = [RESOLUTIONS[side] for side in sorted(RESOLUTIONS, reverse=True)]


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of `cloud`; those of one series have one rank and one marker."""

    x: float
    y: float
    series: str  # the legend's text
    rank: int  # of the series' colour; beyond the fourth all are grey
    marker: str = "o"
    link: str = ""
    line: str = ""  # the dots of one line are connected and labelled with it
    label: str = ""  # above and left of the dot: there, a Pareto front has no other dots


def _svg(name: str, width: float, height: float, draw: Callable[["Figure"], None]) -> str:
    """Return a figure of `width` x `height` inches, drawn by `draw`, as an `<svg>` that fills its container.

    `name` makes the ids unique in the page and reproducible.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    settings = {**_STYLE, "svg.hashsalt": name}
    with style.context(["default", settings]):  # "default" overrides the user's matplotlibrc
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # these ids are equal in all figures; ids of markers and clips are kept
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"| height="[\d.]+pt"', r"\1", text, count=2)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", text)
    return re.sub("|".join(_VARIABLES), lambda match: f"var({_VARIABLES[match[0]]})", text)


def curves(
    history: Sequence[Epoch], train: str, val: str, label: str, scale: float = 1.0, best: int | None = None
) -> str:
    """Return a plot of the columns `train` and `val` of `history`, times `scale`; row `best` of `val` is circled."""
    from matplotlib.ticker import MaxNLocator

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for column, name, colour in ((train, "training", _OTHER), (val, "validation", _MAIN)):
            points = [(row["epoch"], row.get(column)) for row in history]
            known = [(x, y * scale) for x, y in points if x is not None and y is not None]
            if known:
                marker = "o" if len(known) < 15 else ""
                axes.plot(*zip(*known, strict=True), color=colour, label=name, marker=marker, markersize=3)
        mark = history[best] if best is not None else {}
        x, y = mark.get("epoch"), mark.get(val)
        if x is not None and y is not None:
            axes.plot([x], [y * scale], "o", color=_MAIN, markersize=6.5, markerfacecolor="none")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best")

    return _svg(label, 5.0, 3.1, draw)


def reliability(bins: Sequence[CalibrationBin]) -> str:
    """Return a reliability diagram: accuracy over confidence by bin, above the share of images in each bin."""

    def draw(figure: "Figure") -> None:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        total = sum(b.images for b in bins) or 1
        for b in bins:
            if b.images:
                middle, width = (b.low + b.high) / 2, (b.high - b.low) * 0.92
                upper.bar(middle, b.accuracy, width, color=_MAIN, alpha=0.7)
                upper.hlines(b.confidence, middle - width / 2, middle + width / 2, color=_BAD, linewidth=2)
                lower.bar(middle, b.images / total, width, color=_SOFT, alpha=0.6)
        upper.plot([0, 1], [0, 1], color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
        upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        lower.set(xlabel="confidence", ylabel="images")
        for axes in (upper, lower):
            axes.yaxis.set_major_formatter(_percent)
        lower.xaxis.set_major_formatter(_percent)
        lower.set_yticks([max(b.images for b in bins) / total])
        upper.set_yticks([0.2, 0.4, 0.6, 0.8, 1.0])

    return _svg("reliability", 4.6, 4.4, draw)


def _percent(value: float, _: int) -> str:
    return f"{100 * value:.3g}%"


def plane(paper: Sequence[tuple[float, int, float, float]], own: tuple[float, float]) -> str:
    """Return a plot of top-1 (%) over mult-adds, on a logarithmic axis.

    `paper` has (alpha, resolution, mult-adds, top-1) for each network, coloured by resolution as in Figure 4 of the
    MobileNet paper and connected by alpha. `own` is (mult-adds, top-1), drawn as a diamond.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for alpha in sorted({point[0] for point in paper}):
            line = sorted((x, y) for a, _, x, y in paper if a == alpha)
            axes.plot(*zip(*line, strict=True), color=_SOFT, alpha=0.35, linewidth=1.2, zorder=1)
            name = f"α {alpha:g}"
            axes.annotate(name, line[0], (3, -13), textcoords="offset points", color=_SOFT, fontsize=9)
        for side in sorted({point[1] for point in paper}, reverse=True):
            points = [(x, y) for _, r, x, y in paper if r == side]
            colour = RESOLUTIONS.get(side, _SOFT)
            axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=6, label=f"{side} px")
        axes.axvline(own[0], color=_BAD, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(*own, "D", color=_BAD, markersize=8, label="this network, your data", zorder=3)
        axes.set(xscale="log", xlabel="mult-adds, millions", ylabel="top-1, %")
        _log_ticks(axes, [point[2] for point in paper] + [own[0]])
        axes.margins(y=0.08)
        axes.legend(loc="best", fontsize=9)

    return _svg("plane", 5.4, 3.7, draw)


def cloud(
    name: str,
    dots: Sequence[Dot],
    xlabel: str,
    *,
    scale: float = 1e6,
    law: tuple[float, float] | None = None,
    front: Sequence[tuple[float, float]] = (),
) -> str:
    """Return a plot of top-1 (%) over a cost on a logarithmic axis, each dot a link.

    `law` is (top-1 at the cost `scale`, slope per factor 10), drawn dashed; `front` a line through its points.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for text in dict.fromkeys(dot.line for dot in dots if dot.line):
            line = sorted((dot.x, dot.y) for dot in dots if dot.line == text)
            axes.plot(*zip(*line, strict=True), color=_SOFT, alpha=0.35, linewidth=1.2, zorder=1)
            axes.annotate(text, line[0], (3, -13), textcoords="offset points", color=_SOFT, fontsize=9)
        for series in dict.fromkeys(dot.series for dot in dots):
            own = [dot for dot in dots if dot.series == series]
            colour = _RANKS[own[0].rank] if own[0].rank < len(_RANKS) else _SOFT
            places = [dot.x for dot in own], [dot.y for dot in own]
            drawn = axes.scatter(*places, 36, color=colour, marker=own[0].marker, label=series, zorder=3)
            drawn.set_urls([dot.link or None for dot in own])
        for dot in dots:
            if dot.label:
                style: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "color": _SOFT, "fontsize": 8}
                axes.annotate(dot.label, (dot.x, dot.y), (-5, 3), **style)
        low, high = min(dot.x for dot in dots), max(dot.x for dot in dots)
        if law is not None:
            ends = (low, high)
            values = [law[0] + law[1] * math.log10(x / scale) for x in ends]
            axes.plot(ends, values, color=_BAD, linewidth=1, linestyle=(0, (4, 3)), label="log-linear law", zorder=2)
        if front:
            xs, ys = zip(*front, strict=True)
            axes.plot(xs, ys, color=_MAIN, linewidth=1.2, alpha=0.6, label="Pareto front", zorder=2)
        axes.set(xscale="log", xlabel=xlabel, ylabel="top-1, %")
        room = (high / low) ** 0.18 if any(dot.label for dot in dots) else 1.0  # for the label of the leftmost dot
        _log_ticks(axes, [low / room, *(dot.x for dot in dots)], scale)
        axes.margins(y=0.1)
        axes.legend(loc="best", fontsize=9)

    return _svg(name, 5.4, 3.7, draw)


def _log_ticks(axes: "Axes", values: Sequence[float], scale: float = 1e6) -> None:
    low, high = min(values) * 0.75, max(values) * 1.45
    ticks: list[Any] = [digit * 10.0**power for power in range(-5, 12) for digit in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{tick / scale:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
