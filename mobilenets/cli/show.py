"""Results as tables for people, or as one JSON object for machines (docs/json.md lists the keys)."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ..costs import PRECISIONS, cost
from ..designs import Design
from ..evaluation import Evaluated
from ..quant.scheme import QuantModel
from ..report.text import duration
from ..tasks.result import Table as Content
from ..tasks.result import figure_name
from ..text import bytes_text
from ..verbs.compile import CompiledFiles
from ..verbs.cost import CostTable, NetworkCosts
from ..verbs.device_folder import DeviceFolder
from ..verbs.export import Exported
from ..verbs.import_model import ImportedFile
from ..verbs.memory import int8_memory
from ..verbs.train import Trained
from .console import new_table, print_json, print_parts, wrote
from .device_tables import device_costs, device_front

if TYPE_CHECKING:
    from ..training.plan import Plan

__all__ = [
    "compiled",
    "described",
    "designed",
    "detectors",
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


def described(result: NetworkCosts, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    costs, model = result.cost, result.model
    network = costs.network
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
    device = [] if result.device is None else [*device_costs(result.device), ""]
    print_parts(layers, "", shares, "", sizes, "", *device, str(result))
    if model is not None:
        figures = ", ".join(
            _figure(name, value) for name, value in model.metrics.items() if not isinstance(value, dict)
        )
        trained = [f"trained: {figures}"] if figures else []
        held = [_integers(model)] if model.precision == "int8" else []
        print_parts(*held, *trained, f"labels: {', '.join(model.labels[:20])}")


def _figure(name: str, value: Any) -> str:
    told = f"val {figure_name(name)}" if name.startswith("val_") else figure_name(name)
    return f"{told} {value:.4g}" if isinstance(value, float) else f"{told} {value}"


def _integers(model: QuantModel) -> str:
    bytes_of = int8_memory(model)
    arenas = ", ".join(f"{bytes_text(size)} {target}" for target, size in bytes_of["arena_bytes"].items())
    weights = bytes_text(bytes_of["weights_bytes"])
    held = f"{model.name}: this file's weights are integers, {weights} with scales and biases"
    return f"{held}; arena of the compiled C: {arenas}" if arenas else held


def designed(design: Design, json: bool) -> None:
    if json:
        print_json(design.to_dict())
        return
    if design.choice.device is not None:
        print_parts(device_front(design, SHOWN), "", f"choice: {design.choice.network.name}", design.reason)
        return
    timed = ["latency"] if design.choice.latency else []
    counted = f"the best {min(SHOWN, len(design.front))} of {len(design.front)}"
    title = f"Pareto front for {design.choice.network.classes} classes: {counted}"
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


def paper(found: CostTable, json: bool) -> None:
    """Show Tables 4 to 9: the printed figures beside ours."""
    if found.missing:
        print(found.missing, file=sys.stderr)
    if json:
        print_json(found.to_dict())
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
    for row in found.rows:
        table.add_row(
            row["network"],
            f"{row['top1_printed']:.1f}%",
            f"{row['mult_adds_m_printed']:,g}",
            f"{row['mult_adds'] / 1e6:,.3f}",
            f"{row['params_m_printed']:g}",
            f"{row['params'] / 1e6:.3f}",
        )
    print_parts(table, *(f"{row['network']}: {row['note']}" for row in found.rows if row["note"]))


def detectors(found: CostTable, json: bool) -> None:
    """Show Table 13: the printed figures beside ours, and why they differ."""
    if json:
        print_json(found.to_dict())
        return
    columns = "G mult-adds, printed", "counted", "M params, printed", "counted", "COCO mAP, printed"
    table = new_table("the paper's detectors on MobileNet 1.0 (Table 13)", "network", *columns)
    for row in found.rows:
        printed = ["" if row[name] is None else f"{row[name]:g}" for name in ("paper_mult_adds_g", "paper_params_m")]
        score = "" if row["map_printed"] is None else f"{row['map_printed']:.1f}%"
        counted = f"{row['mult_adds'] / 1e9:.2f}", f"{row['params'] / 1e6:.2f}"
        table.add_row(row["name"], printed[0], counted[0], printed[1], counted[1], score)
    notes = dict.fromkeys((row["name"].rpartition(" ")[0], row["note"]) for row in found.rows)
    print_parts(table, *(f"{name}: {note}" for name, note in notes))


def trained(result: Trained, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    e = result.evaluated
    print_parts(*([filled(result.int8.table()), ""] if result.int8 else []))
    print_parts(
        str(e),
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


def evaluated(result: Evaluated, report: Path | None, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    lines: list[Any] = []
    for content in result.evaluation.tables():
        lines += [filled(content), ""]
    lines.append(f"{result.network}: {result.split} {result.evaluation.headline()}")
    lines.append(f"{result.images_per_second:,.0f} images/s with decoding; {result.speed()}")
    lines += [f"skipped {bad.name}: {bad.reason}" for bad in result.bad]
    print_parts(*lines, *([wrote(report, "report")] if report else []))


def imported(written: ImportedFile, json: bool) -> None:
    if json:
        print_json(written.to_dict())
        return
    path, result = written.path, written.imported
    model = result.model
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


def compiled(result: CompiledFiles | DeviceFolder, json: bool) -> None:
    if json:
        print_json(result.to_dict())
        return
    if isinstance(result, DeviceFolder):
        print_parts(
            wrote(result.folder, f"{len(result.files)} files for {result.device}, see README.md"), "", str(result)
        )
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
        "not run: that needs Node 18 or later"
        if result.difference is None
        else "read back, its logits are the model's own"
        + (f" within {result.difference:.1e} of the largest" if result.difference else ""),
    )
