"""`mobilenets sweep`: from its flags to the arguments of the verbs `sweep` and `resume_sweep`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..arch import Network, named
from ..arch.zoo import DEFAULT
from ..errors import UsageError
from ..sweeps import Row, grid, paper_networks
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
    seeds: int | None = None,
    image: ImageFlags = _IMAGE,
    recipe: RecipeFlags = _RECIPE,
    out: Path | None = None,
    resume: Path | None = None,
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
    seeds
        Trials of each network, from --seed on.
    out
        The sweep's folder, which must be new; by default sweeps/DATA.
    resume
        The folder of a sweep to go on with. DATA says where the data have moved to.
    json
        Print one JSON object and nothing else.
    """
    from ..machine import need_torch
    from ..progress import Bars
    from ..verbs.sweep import resume_sweep
    from ..verbs.sweep import sweep as start

    if data is None and resume is None:
        raise UsageError("sweep needs DATA, or --resume SWEEP")
    if resume is not None and (model, alpha, img_size, variant, paper, seeds, image, recipe, out) != _BARE:
        raise UsageError("--resume keeps the settings that the sweep was started with: give no others")
    networks = () if resume is not None else _networks(model, alpha, img_size, variant, paper)
    need_torch()
    with Bars() as bars:
        if resume is not None:
            swept = resume_sweep(resume, data, watch=bars)
        else:
            assert data is not None
            swept = start(
                data,
                networks,
                recipe,
                seeds=1 if seeds is None else seeds,
                preprocess=image.changes(),
                out=out,
                command=shlex.join(["mobilenets", *sys.argv[1:]]),
                watch=bars,
            )
    print_json(swept.to_dict()) if json else _show(swept)


_BARE = ((), (), (), ("plain",), False, None, _IMAGE, _RECIPE, None)


def _networks(
    models: tuple[str, ...], alphas: tuple[float, ...], sizes: tuple[str, ...], variants: tuple[str, ...], paper: bool
) -> list[Network]:
    """Return the networks that the flags mean; `UsageError` for flags that contradict each other."""
    if models and (alphas or sizes or paper or variants != ("plain",)):
        raise UsageError("--model names the networks: leave out --alpha, --img-size, --variant and --paper")
    if models:
        return [named(name) for name in models]
    sides = [image_size(size) for size in sizes]
    if not paper:
        return grid(Network(), alphas or (1.0, 0.75, 0.5, 0.25), sides or [(DEFAULT.height, DEFAULT.width)], variants)
    if alphas or variants != ("plain",):
        raise UsageError("--paper is the paper's widths and variants: leave out --alpha and --variant")
    if sides and (len(sides) != 4 or any(height != width for height, width in sides)):
        raise UsageError("--paper needs four square sizes as --img-size, in the place of 224 192 160 128")
    return paper_networks(Network(), [height for height, _ in sides] or (224, 192, 160, 128))


def _show(swept: Swept) -> None:
    table = new_table("trials", "trial", "state", "top-1", "int8 top-1", "ms", "int8 ms", "mult-adds", "params")
    for row in swept.rows:
        table.add_row(*_cells(row))
    print_parts(table, "", str(swept))


def _cells(row: Row) -> list[str]:
    top1, int8 = (f"{value:.1%}" if value is not None else "-" for value in (row.top1, row.int8_top1))
    ms, int8_ms = (f"{value:.3f}" if value is not None else "-" for value in (row.latency_ms, row.int8_latency_ms))
    return [row.trial, row.state, top1, int8, ms, int8_ms, f"{row.mult_adds:,}", f"{row.params:,}"]
