"""`mobilenets sweep`: from its flags to the arguments of the verbs `sweep` and `resume_sweep`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ..arch import Network, named
from ..arch.zoo import DEFAULT
from ..errors import UsageError
from ..report.text import duration
from ..sweeps import PAPER_ALPHAS, PAPER_SIZES, Row, SweepPlan, counts, grid, paper_networks
from ..text import counted
from ..training.logs import LogName
from ..training.recipe import Recipe
from ..verbs.sweep import Swept
from .console import new_table, print_json, print_parts
from .options import TRAINING, ImageFlags, Json, image_size

__all__ = ["sweep"]

RecipeFlags = Annotated[Recipe, Parameter(name="*", group=TRAINING)]
Several = Parameter(consume_multiple=True, negative=())
_RECIPE, _IMAGE = Recipe(), ImageFlags()


def sweep(
    data: Path | None = None,
    *,
    model: Annotated[tuple[str, ...], Several] = (),
    alpha: Annotated[tuple[float, ...], Several] = (),
    img_size: Annotated[tuple[str, ...], Several] = (),
    variant: Annotated[tuple[Literal["plain", "conv", "shallow"], ...], Several] = ("plain",),
    paper: Json = False,
    peers: Json = False,
    seeds: int | None = None,
    image: ImageFlags = _IMAGE,
    recipe: RecipeFlags = _RECIPE,
    halving: Json = False,
    time: str | None = None,
    jobs: int = 0,
    cluster: str | None = None,
    out: str | None = None,
    resume: Path | None = None,
    log: LogName | None = None,
    dry_run: Json = False,
    json: Json = False,
) -> None:
    """Train many networks under one recipe and compare them: accuracy against cost, latency and memory.

    Parameters
    ----------
    data
        Images in any layout that train reads.
    model
        Networks by name, such as 0.25-96 v2-0.35-96, in place of a grid.
    alpha
        A grid: each width multiplier with each image size in each variant; by default 1 0.75 0.5 0.25.
    img_size
        The image sizes of the grid, by default 128.
    variant
        The paper's: plain, conv (every block a full convolution, Table 4), shallow (Table 5).
    paper
        The paper's 18 networks (Tables 4 to 7, Figures 4 and 5), at --img-size or 224 192 160 128; those of Tables 4
        and 5 with three seeds.
    peers
        Train GoogLeNet, VGG 16, SqueezeNet and AlexNet as well (Tables 8 and 9), from torchvision, at the largest size.
    seeds
        Trials of each network, from --seed on.
    halving
        Stop networks early that others beat at no more cost: half after a fourth of the epochs, half again after half.
    time
        Plan no more trials than fit in this time, such as 2h, by speeds measured here; say what is left out.
    jobs
        Trials at a time, each in a process; 0: as many as the cores have room for.
    cluster
        Train on the Ray cluster at this address, such as 10.0.0.1:6379, or local; all nodes must see DATA and --out.
    out
        The sweep's folder, which must be new; by default sweeps/DATA.
    resume
        The folder of a sweep to go on with. DATA says where the data have moved to.
    log
        Log each trial there as well, as train does.
    dry_run
        Print the trials and the time of each, measured on a few batches; write nothing.
    json
        Print one JSON object and nothing else.
    """
    from ..machine import need_torch
    from ..progress import Bars
    from ..verbs.sweep import plan_sweep, resume_sweep
    from ..verbs.sweep import sweep as start

    if data is None and resume is None:
        raise UsageError("sweep needs DATA, or --resume SWEEP")
    if resume is not None:
        given = (model, alpha, img_size, variant, paper, peers, seeds, image, recipe, halving, time, out, log, dry_run)
        if given != _NOTHING:
            rule = "give no others but --jobs and --cluster"
            raise UsageError(f"--resume keeps the settings that the sweep was started with: {rule}")
        need_torch()
        with Bars() as bars:
            swept = resume_sweep(resume, data, jobs=jobs, cluster=cluster, watch=bars)
    else:
        assert data is not None
        networks = _networks(model, alpha, img_size, variant, paper)
        what: dict[str, Any] = {
            "seeds": list(networks.values()) if seeds is None else seeds,
            "preprocess": image.changes(),
            "peers": peers,
            "halving": halving,
            "time": time,
            "jobs": jobs,
        }
        need_torch()
        with Bars() as bars:
            if dry_run:
                return _show_plan(plan_sweep(data, list(networks), recipe, **what, watch=bars), json)
            command = shlex.join(["mobilenets", *sys.argv[1:]])
            swept = start(
                data, list(networks), recipe, **what, cluster=cluster, out=out, log=log, command=command, watch=bars
            )
    print_json(swept.to_dict()) if json else _show(swept)


_NOTHING = ((), (), (), ("plain",), False, False, None, _IMAGE, _RECIPE, False, None, None, None, False)


def _networks(
    models: tuple[str, ...], alphas: tuple[float, ...], sizes: tuple[str, ...], variants: tuple[str, ...], paper: bool
) -> dict[Network, int]:
    """Return the networks that the flags mean and their seeds; `UsageError` for flags that contradict each other."""
    if models and (alphas or sizes or paper or variants != ("plain",)):
        raise UsageError("--model names the networks: leave out --alpha, --img-size, --variant and --paper")
    if models:
        return dict.fromkeys(map(named, models), 1)
    sides = [image_size(size) for size in sizes]
    if not paper:
        sides = sides or [(DEFAULT.height, DEFAULT.width)]
        return dict.fromkeys(grid(Network(), alphas or PAPER_ALPHAS, sides, variants), 1)
    if alphas or variants != ("plain",):
        raise UsageError("--paper is the paper's widths and variants: leave out --alpha and --variant")
    if sides and (len(set(sides)) != 4 or any(height != width for height, width in sides)):
        raise UsageError("--paper needs four square sizes as --img-size, in the place of 224 192 160 128")
    return paper_networks(Network(), sorted((height for height, _ in sides), reverse=True) or PAPER_SIZES)


def _show_plan(plan: SweepPlan, json: bool) -> None:
    if json:
        print_json(plan.to_dict())
        return
    table = new_table("trials", "trial", "mult-adds", "params", "about")
    for trial in plan.trials:
        mult_adds, params = counts(trial.settings)
        table.add_row(trial.name, f"{mult_adds:,}", f"{params:,}", duration(trial.seconds or 0))
    left_out = [f"left out: {one.name}, {one.reason}" for one in plan.left_out]
    epochs = plan.trials[0].settings.recipe.epochs
    seconds = sum(trial.seconds or 0 for trial in plan.trials)
    total = f"{counted(len(plan.trials), 'trial')} of {counted(epochs or 0, 'epoch')}: about {duration(seconds)}"
    halved = f"; half of the networks stop after {' and again after '.join(map(str, plan.rungs))}" if plan.rungs else ""
    print_parts(table, "", *left_out, f"{total} one after another{halved}")


def _show(swept: Swept) -> None:
    table = new_table("trials", "trial", "state", "top-1", "int8 top-1", "ms", "int8 ms", "mult-adds", "params")
    for row in swept.rows:
        table.add_row(*_cells(row))
    print_parts(table, "", str(swept))


def _cells(row: Row) -> list[str]:
    top1, int8 = (f"{value:.1%}" if value is not None else "-" for value in (row.top1, row.int8_top1))
    ms, int8_ms = (f"{value:.3f}" if value is not None else "-" for value in (row.latency_ms, row.int8_latency_ms))
    return [row.trial, row.state, top1, int8, ms, int8_ms, f"{row.mult_adds:,}", f"{row.params:,}"]
