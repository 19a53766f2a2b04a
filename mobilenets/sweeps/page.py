"""The report of a sweep: one page with the paper's tables and figures, measured and printed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..arch.network import SHALLOW_BODY
from ..costs import cost
from ..designs.points import POINTS
from ..files import write_atomic
from ..report import Dot, cloud, render
from ..report.text import duration
from ..text import counted
from .law import Group, Law, fit_law, front, groups
from .plan import PAPER_SIZES, SweepPlan
from .results import Row
from .tables import NOTHING, Comparison, accuracy, by_key, link_to, sizes_of, tables

__all__ = ["REPORT", "write_page"]

REPORT = "report.html"
TRIAL_COLUMNS = (
    *("trial", "state", "epochs", "top-1, %", "int8 top-1", "ms", "int8 ms", "arena, KB", "int8 arena"),
    *("mult-adds, M", "params, M", "time"),
)
MARKERS = {"conv": "s", "shallow": "^", "fd": "v", "v2": "D", "v3": "P", "v4": "*"}  # of variants and families
SOURCE = "V1 paper"  # of the points that Figures 4 and 5 show


def write_page(folder: Path, plan: SweepPlan, rows: Sequence[Row]) -> Path:
    """Write `report.html` in the sweep's folder."""
    found = groups(rows)
    own = [group for group in found if not group.is_peer]
    name = Path(plan.data).stem
    done = sum(row.state == "done" for row in rows)
    seconds = sum(row.seconds or 0 for row in rows)
    split = next((row.split for row in rows if row.split), "val")
    context = {
        "title": f"Sweep on {name}",
        "lead": f"{counted(len(rows), 'trial')} of {counted(len({row.network for row in rows}), 'network')}, "
        f"{done} finished, trained under one recipe in {duration(seconds)} (training and validation). "
        f"Top-1 is on {split}.",
        "facts": _facts(own),
        "notes": _notes(plan, rows),
        "plots": _plots(own) if own else [],
        "tables": tables(found),
        "trials": _trials(rows),
        "settings": _settings(plan),
        "command": plan.command,
    }
    return write_atomic(folder / REPORT, render("sweep.html.j2", context))


def _law(found: Sequence[Group], cost_of: Callable[[Row], float]) -> Law | None:
    plain = [group for group in found if group.first.variant == "plain" and group.first.family == ""]
    return fit_law([(cost_of(group.first), group.top1) for group in plain])


def _facts(found: Sequence[Group]) -> list[tuple[str, str, str]]:
    if not found:
        return []
    keys, best = by_key(found), max(found, key=lambda group: group.top1)
    facts = [("best top-1", f"{best.top1:.1f} %", f"{best.first.network}, {accuracy(best)}")]
    law = _law(found, lambda row: row.mult_adds)
    if law:
        detail = f"points per factor 10 of mult-adds; residual {law.rms:.2f} points (root mean square), at most "
        detail += f"{law.worst:.2f}; R² {law.explained:.3f}, {law.points} networks"
        facts.append(("log-linear law", f"{law.slope:+.1f}", detail))
    for name, one, other, paper in (
        ("separable − full", ("plain", 1.0, 0), ("conv", 1.0, 0), "−1.1"),
        ("thin − shallow", ("plain", 0.75, 0), ("shallow", 1.0, 0), "+3.1"),
    ):
        if one in keys and other in keys:
            a, b = keys[one], keys[other]
            detail = f"points of top-1: {accuracy(a)} against {accuracy(b)}; {paper} in the paper, on ImageNet"
            facts.append((name, f"{a.top1 - b.top1:+.1f}".replace("-", "−"), detail))
    return facts


def _notes(plan: SweepPlan, rows: Sequence[Row]) -> list[str]:
    notes = [f"left out: {one.name}, {one.reason}" for one in plan.left_out]
    notes += [f"{row.trial} failed: {row.note}" for row in rows if row.state == "failed"]
    stopped = [row.trial for row in rows if row.state == "stopped"]
    if stopped:
        notes.append(f"stopped early, by successive halving: {', '.join(stopped)}")
    return notes


def _plots(found: Sequence[Group]) -> list[dict[str, Any]]:
    plots = [
        _figure("Figure 4 of the paper: top-1 against mult-adds", found, "mult-adds", lambda row: row.mult_adds),
        _figure("Figure 5 of the paper: top-1 against parameters", found, "parameters", lambda row: row.params),
    ]
    rows = [row for group in found for row in group.rows if row.latency_ms is not None]
    if rows:
        runtime = "one image on one thread, compiled C"
        plots.append(
            {
                "title": "Latency and memory",
                "caption": f"Measured here: {runtime}; memory is the arena of activations. The line is the Pareto "
                "front of both precisions, with names: no other point is faster (smaller) and at least as accurate.",
                "figures": [
                    ("latency", _measured(rows, "latency", "ms", 1.0, lambda r: (r.latency_ms, r.int8_latency_ms))),
                    ("memory", _measured(rows, "memory", "KB", 1e3, lambda r: (r.arena, r.int8_arena))),
                ],
            }
        )
    for plot in plots:
        plot["figures"] = [(name, drawn) for name, drawn in plot["figures"] if drawn]
    return plots


def _figure(title: str, found: Sequence[Group], what: str, cost_of: Callable[[Row], float]) -> dict[str, Any]:
    """Return top-1 against a cost, beside the paper's own."""
    sizes, law = sizes_of(found), _law(found, cost_of)
    dots = [_dot(row, sizes, cost_of(row)) for group in found for row in group.rows]
    caption = f"Top-1 against {what}, coloured by resolution; every point is a link to the report of its run."
    if law:
        caption += f" Law over the {law.points} plain networks: {law.slope:+.1f} points per factor 10, residual "
        caption += f"{law.rms:.2f} points (root mean square), R² {law.explained:.3f}{_drop(found, law, cost_of)}."
    theirs = _printed(what)
    own = fit_law([(dot.x, dot.y) for dot in theirs])
    if own:
        caption += f" The paper's 16 networks: {own.slope:+.1f} points, residual {own.rms:.2f}, R² {own.explained:.3f}."
    label = f"{what}, millions"
    return {
        "title": title,
        "caption": caption,
        "figures": [
            ("measured here", cloud(f"{what}-here", dots, label, law=law.line if law else None)),
            ("the paper, ImageNet", cloud(f"{what}-paper", theirs, label, law=own.line if own else None)),
        ],
    }


def _drop(found: Sequence[Group], law: Law, cost_of: Callable[[Row], float]) -> str:
    """Return how far the narrowest networks lie from the law, where several widths were trained."""
    plain = [group for group in found if group.first.variant == "plain" and group.first.family == ""]
    alphas = {group.first.alpha for group in plain}
    away = [group.top1 - law.at(cost_of(group.first)) for group in plain if group.first.alpha == min(alphas)]
    return f"; α {min(alphas):g} lies {sum(away) / len(away):+.1f} points from it" if len(alphas) > 1 else ""


def _dot(row: Row, sizes: Sequence[int], x: float) -> Dot:
    plain = row.variant == "plain" and row.family == "" and row.height in sizes
    if plain:
        rank = sizes.index(row.height)
        return Dot(x, 100 * (row.top1 or 0), f"{row.height} px", rank, "o", link_to(row.trial), f"α {row.alpha:g}")
    family = row.family.partition("-")[0]
    series, marker = (family, MARKERS.get(family, "D")) if family else (row.network, MARKERS.get(row.variant, "o"))
    label = row.network if family else ""
    return Dot(x, 100 * (row.top1 or 0), series, len(PAPER_SIZES), marker, link_to(row.trial), label=label)


def _printed(what: str) -> list[Dot]:
    """Return the paper's 16 networks of Figures 4 and 5."""
    dots = []
    for point in POINTS:
        network = point.network
        if point.recipe == SOURCE and network.convolution == "separable" and network.blocks != SHALLOW_BODY:
            costs = cost(network)
            x = costs.mult_adds if what == "mult-adds" else costs.params
            rank = PAPER_SIZES.index(network.height)
            dots.append(Dot(x, point.top1, f"{network.height} px", rank, line=f"α {network.alpha:g}"))
    return sorted(dots, key=lambda dot: dot.rank)


def _measured(
    rows: Sequence[Row],
    name: str,
    unit: str,
    scale: float,
    costs_of: Callable[[Row], tuple[float | None, float | None]],
) -> str:
    """Return top-1 against a measured cost of both precisions with their front; empty where nothing was measured."""
    dots = []
    for row in rows:
        both = zip(("fp32", "int8"), costs_of(row), (row.top1, row.int8_top1), ("o", "D"), (2, 0), strict=True)
        for precision, x, top1, marker, rank in both:
            if x is not None and top1 is not None:
                dots.append(Dot(x, 100 * top1, precision, rank, marker, link_to(row.trial), label=row.network))
    points = [(dot.x, dot.y) for dot in dots]
    best = front(points)
    dots = [dot if at in best else replace(dot, label="") for at, dot in enumerate(dots)]
    return cloud(name, dots, f"{name}, {unit}", scale=scale, front=[points[at] for at in best]) if dots else ""


def _trials(rows: Sequence[Row]) -> Comparison:
    lines = []
    for row in rows:
        cells = (
            row.trial,
            row.state,
            str(row.epochs),
            _number(row.top1 if row.state == "done" else row.val_top1, ".1f", 0.01),
            _number(row.int8_top1, ".1f", 0.01),
            _number(row.latency_ms, ".3g"),
            _number(row.int8_latency_ms, ".3g"),
            _number(row.arena, ",.0f", 1e3),
            _number(row.int8_arena, ",.0f", 1e3),
            f"{row.mult_adds / 1e6:.2f}",
            f"{row.params / 1e6:.3f}",
            duration(row.seconds or 0),
        )
        lines.append((link_to(row.trial) if row.state == "done" and not row.is_peer else "", cells))
    caption = "Top-1 of trials that were stopped or failed is that on validation. All figures: results.csv."
    return Comparison("Trials", caption, TRIAL_COLUMNS, tuple(lines))


def _number(value: float | None, form: str, unit: float = 1.0) -> str:
    return NOTHING if value is None else format(value / unit, form)


def _settings(plan: SweepPlan) -> list[tuple[str, Any]]:
    """Return the recipe of the MobileNets; what differs of a peer, the captions of its tables say."""
    own = [trial for trial in plan.trials if not trial.settings.peer] or plan.trials
    first, *others = (trial.settings.recipe.to_dict() for trial in own)
    return [(name, value if all(o[name] == value for o in others) else "differs") for name, value in first.items()]
