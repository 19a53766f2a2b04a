"""Answers as text: tables for people, one JSON object for machines (docs/json.md lists the keys), CSV."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ..api import CompiledFiles, Exported, Trained
from ..arch import Network
from ..arch.zoo import Row
from ..assess import Evaluated
from ..costs import PRECISIONS, Cost, cost
from ..designs import Candidate, Design
from ..errors import MissingExtraError
from ..model import Model
from ..quant.scheme import QuantModel
from ..report.text import duration
from ..tasks.result import Table as Content
from ..tasks.result import figure_name
from ..weights import Imported
from .console import bytes_text, new_table, print_json, print_parts, wrote
from .integers import memory

if TYPE_CHECKING:
    from ..training.plan import Plan

__all__ = [
    "compiled",
    "described",
    "designed",
    "evaluated",
    "exported",
    "filled",
    "imported",
    "paper",
    "planned",
    "trained",
]


SHOWN = 12  # rows of a Pareto front; --json gives all


def _shape(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def described(network: Network, model: Model | QuantModel | None, json: bool) -> None:
    costs = cost(network)
    if json:
        print_json(_cost_json(costs, model))
        return
    layers = new_table(
        f"{network.name}: layers", "layer", "type", "stride", "in", "out", "mult-adds", "params", "mult-adds/byte"
    )
    for layer in costs.layers:
        layers.add_row(
            layer.name,
            layer.kind.replace("_", " "),
            str(layer.stride),
            _shape(layer.shape_in),
            _shape(layer.shape_out),
            f"{layer.mult_adds:,}",
            f"{layer.params:,}",
            f"{layer.intensity():.2f}",
        )
    shares = new_table("by type (Table 2)", "type", "mult-adds", "weights")
    for share in costs.by_type():
        shares.add_row(share.kind, f"{share.mult_adds:.2%}", f"{share.weights:.2%}")
    sizes = new_table("by precision", "precision", "weights in a file", "peak activations")
    for precision in PRECISIONS:
        sizes.add_row(precision, bytes_text(costs.bytes(precision)), bytes_text(costs.peak_ram(precision)))
    total = f"{costs.mult_adds / 1e6:,.3f} M mult-adds, {costs.params:,} parameters, {network.classes} classes"
    print_parts(layers, "", shares, "", sizes, "", f"{network.name}: {total}")
    if model is not None:
        figures = ", ".join(
            _figure(name, value) for name, value in model.metrics.items() if not isinstance(value, dict)
        )
        trained = [f"trained: {figures}"] if figures else []
        held = [_integers(model)] if isinstance(model, QuantModel) else []
        print_parts(*held, *trained, f"labels: {', '.join(model.labels[:20])}")


def _figure(name: str, value: Any) -> str:
    told = f"val {figure_name(name)}" if name.startswith("val_") else figure_name(name)
    return f"{told} {value:.4g}" if isinstance(value, float) else f"{told} {value}"


def _integers(model: QuantModel) -> str:
    bytes_of = memory(model)
    arenas = ", ".join(f"{bytes_text(size)} {target}" for target, size in bytes_of["arena_bytes"].items())
    weights = bytes_text(bytes_of["weights_bytes"])
    held = f"{model.name}: this file's weights are integers, {weights} with scales and biases"
    return f"{held}; arena of the compiled C: {arenas}" if arenas else held


def _cost_json(costs: Cost, model: Model | QuantModel | None) -> dict[str, Any]:
    layers = [{**asdict(layer), "intensity": layer.intensity()} for layer in costs.layers]
    values = {
        "name": costs.network.name,
        "network": json.loads(costs.network.to_json()),
        "mult_adds": costs.mult_adds,
        "params": costs.params,
        "bytes": {precision: costs.bytes(precision) for precision in PRECISIONS},
        "peak_ram": {precision: costs.peak_ram(precision) for precision in PRECISIONS},
        "intensity": costs.intensity(),
        "shares": [asdict(share) for share in costs.by_type()],
        "layers": layers,
    }
    if model is not None:
        values |= {"labels": list(model.labels), "metrics": model.metrics, "preprocess": model.preprocess.to_dict()}
    if isinstance(model, QuantModel):
        values["int8"] = memory(model)
    return values


def designed(design: Design, json: bool) -> None:
    if json:
        print_json(_design_json(design))
        return
    timed = ["latency"] if design.choice.latency else []
    title = f"Pareto front: the best {min(SHOWN, len(design.front))} of {len(design.front)}"
    table = new_table(title, "network", "mult-adds", "params", "fp32", "int8", "peak RAM fp32", "top-1 (prior)", *timed)
    for candidate in design.front[-SHOWN:]:
        costs, latency = candidate.cost, candidate.latency
        table.add_row(
            ("> " if candidate == design.choice else "  ") + candidate.network.name,
            f"{costs.mult_adds / 1e6:,.2f} M",
            f"{costs.params:,}",
            bytes_text(costs.bytes()),
            bytes_text(costs.bytes("int8")),
            bytes_text(costs.peak_ram()),
            f"{candidate.top1:.1f}%",
            *([f"{latency.median:.3f} ms"] if latency else []),
        )
    print_parts(table, "", f"choice: {design.choice.network.name}", design.reason)


def _design_json(design: Design) -> dict[str, Any]:
    def values(candidate: Candidate) -> dict[str, Any]:
        costs = _cost_json(candidate.cost, None)
        del costs["layers"], costs["shares"]
        return {**costs, "top1": candidate.top1, "latency_ms": candidate.latency and asdict(candidate.latency)}

    return {
        "choice": values(design.choice),
        "reason": design.reason,
        "front": [values(candidate) for candidate in design.front],
        "considered": design.considered,
        "feasible": design.feasible,
    }


def paper(json: bool) -> None:
    """Tables 4 to 9: the printed figures beside ours, and the other networks counted from torchvision's definitions."""
    from ..arch import PAPER
    from ..costs.peers import count_peers

    rows = [_paper_row(row) for row in PAPER]
    try:
        peers = count_peers()
    except MissingExtraError as exc:
        print(f"without GoogLeNet, VGG16, AlexNet, SqueezeNet: {exc}", file=sys.stderr)
        peers = ()
    rows += [
        (p.name, p.table, p.top1, p.paper_mult_adds_m, p.mult_adds, p.paper_params_m, p.params, p.note) for p in peers
    ]
    names = "network table top1_printed mult_adds_m_printed mult_adds params_m_printed params note".split()
    if json:
        print_json({"rows": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    table = new_table(
        "the paper's networks",
        "network",
        "ImageNet top-1",
        "M mult-adds, printed",
        "counted",
        "M params, printed",
        "counted",
    )
    for name, _, top1, printed, mult_adds, printed_params, params, _ in rows:
        table.add_row(
            name,
            f"{top1:.1f}%",
            f"{printed:,g}",
            f"{mult_adds / 1e6:,.3f}",
            f"{printed_params:g}",
            f"{params / 1e6:.3f}",
        )
    print_parts(table, *(f"{row[0]}: {row[-1]}" for row in rows if row[-1]))


def _paper_row(row: Row) -> tuple[str, str, float, float, int, float, int, str]:
    """Our count in the way of the printed one: Table 4 leaves the classifier of Conv MobileNet out."""
    costs, note = cost(row.network), ""
    mult_adds = costs.mult_adds
    if row.network.convolution == "full":
        mult_adds -= sum(layer.mult_adds for layer in costs.layers if layer.kind == "fully_connected")
        note = "mult-adds without the classifier, as printed"
    return row.network.name, row.table, row.top1, row.mult_adds_m, mult_adds, row.params_m, costs.params, note


def trained(result: Trained, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    e = result.evaluated
    print_parts(*([filled(result.int8.table()), ""] if result.int8 else []))
    print_parts(
        f"{result.model.name}: {e.split} {e.evaluation.headline()}; {_speed(e)}",
        wrote(result.run / "best.safetensors", "model"),
        *(
            [wrote(result.run / "best.int8.safetensors", "int8", result.int8.integers.result.headline())]
            if result.int8
            else []
        ),
        wrote(result.report, "report"),
    )


def filled(content: Content) -> Table:
    table = new_table(content.title, *content.columns)
    for row in content.rows:
        table.add_row(*row)
    return table


def planned(plan: "Plan", json: bool) -> None:
    if json:
        print_json(plan.to_dict())
        return
    network, recipe = plan.settings.network, plan.settings.recipe
    costs = cost(network)
    start = f"fine-tuned from {plan.settings.pretrained}" if plan.settings.pretrained else "from scratch"
    print_parts(
        f"{network.name} {start}: {costs.mult_adds / 1e6:,.1f} M mult-adds, {costs.params:,} parameters",
        f"{recipe.opt}, peak learning rate {recipe.lr:.3g}, batches of {recipe.batch_size}, {recipe.precision} on "
        f"{recipe.device}"
        if plan.epochs
        else "the classifier alone, fitted to features that are computed once",
    )
    if plan.seconds is not None:
        print_parts(
            f"{plan.epochs} epochs at {plan.images_per_second:,.0f} images/s: about {duration(plan.seconds)}, as fast "
            "as a few batches were; nothing was kept"
        )


def _speed(e: Evaluated) -> str:
    t = e.latency
    threads = f"{t.threads} thread{'s' if t.threads != 1 else ''}"
    return f"{t.median:.2f} ms an image (p10 {t.p10:.2f}, p90 {t.p90:.2f}; {t.runtime}, {threads})"


def evaluated(result: Evaluated, report: Path | None, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    lines: list[Any] = []
    for content in result.evaluation.tables():
        lines += [filled(content), ""]
    lines.append(f"{result.network}: {result.split} {result.evaluation.headline()}")
    lines.append(f"{result.images_per_second:,.0f} images/s with decoding; {_speed(result)}")
    lines += [f"skipped {bad.name}: {bad.reason}" for bad in result.bad]
    print_parts(*lines, *([wrote(report, "report")] if report else []))


def imported(path: Path, result: Imported, json: bool) -> None:
    model = result.model
    if json:
        facts = [asdict(fact) for fact in result.facts]
        values = {
            "model": str(path),
            "weights_sha256": model.digest(),
            "facts": facts,
            **_cost_json(cost(model.network), model),
        }
        print_json(values)
        return
    table = new_table(f"{model.name}: what it is, and how that is known", "setting", "value", "from")
    for column in table.columns:
        column.justify = "left"
    for fact in result.facts:
        table.add_row(fact.name, fact.value, fact.source)
    costs = cost(model.network)
    print_parts(
        table,
        "",
        wrote(
            path,
            bytes_text(path.stat().st_size),
            f"{costs.mult_adds / 1e6:,.1f} M mult-adds, {costs.params:,} parameters",
        ),
    )


def compiled(result: CompiledFiles, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    w = result.written
    print_parts(
        wrote(result.folder, ", ".join(w.files)),
        f"for {w.target} in {w.precision}: {bytes_text(w.weights_bytes)} of weights, "
        f"{bytes_text(w.arena_bytes)} of arena, "
        + (f"{bytes_text(w.library_bytes)} library" if w.library_bytes else "no library"),
        _checked(result),
    )


def _checked(result: CompiledFiles) -> str:
    if result.difference is None:
        why = f"this processor lacks {', '.join(result.lacks)}" if result.lacks else "there is no C compiler"
        return f"not run here and not compared: {why}"
    if result.written.precision == "int8":
        return "logits are those of quant/reference.py, bit for bit"
    return f"logits agree with ONNX Runtime's within {result.difference:.1e} of the largest"


def exported(result: Exported, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    print_parts(
        wrote(result.path, bytes_text(result.bytes), result.format),
        "read back, its logits are the model's own"
        + (f" within {result.difference:.1e} of the largest" if result.difference else ""),
    )
