"""`mobilenets describe --task detect`: Table 13."""

from dataclasses import asdict

from ..machine import need_torch
from .console import new_table, print_json, print_parts

__all__ = ["detectors"]


def detectors(json: bool) -> None:
    """The paper's figures beside ours, and why they differ."""
    need_torch()
    from ..training.detectors import count_detectors

    rows = count_detectors()
    if json:
        print_json({"rows": [asdict(row) for row in rows]})
        return
    columns = "G mult-adds, printed", "counted", "M params, printed", "counted", "COCO mAP, printed"
    table = new_table("the paper's detectors on MobileNet 1.0 (Table 13)", "network", *columns)
    for row in rows:
        counted = f"{row.mult_adds / 1e9:.2f}", f"{row.params / 1e6:.2f}"
        printed = ("" if value is None else f"{value:g}" for value in (row.paper_mult_adds_g, row.paper_params_m))
        score = "" if row.map_printed is None else f"{row.map_printed:.1f}%"
        table.add_row(row.name, next(printed), counted[0], next(printed), counted[1], score)
    notes = dict.fromkeys((row.name.rpartition(" ")[0], row.note) for row in rows)
    print_parts(table, *(f"{name}: {note}" for name, note in notes))
