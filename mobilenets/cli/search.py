"""`mobilenets search`: the images of a folder that are nearest to others."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .console import print_json, wrote
from .options import ClusterFlags, Json, RuntimeFlag

if TYPE_CHECKING:
    from ..verbs.search import Searched

__all__ = ["search"]

_CLUSTER = ClusterFlags()


def search(
    index: str,
    images: Annotated[tuple[Path, ...], Parameter(negative=())] = (),
    *,
    model: str | None = None,
    top: int = 10,
    save: Path | None = None,
    sheet: Path | None = None,
    overwrite: Json = False,
    runtime: RuntimeFlag = "auto",
    cluster: ClusterFlags = _CLUSTER,
    json: Json = False,
) -> int:
    """Find the images of a folder that are nearest to others, by a network that was trained to embed.

    Parameters
    ----------
    index
        A folder of images (to any depth), or an index that --save wrote.
    images
        What to look up: files or folders.
    model
        A run folder or model file of task embed; by default the one that a saved index was made with.
    top
        Images found for each.
    save
        Write the index to this .safetensors, to be searched without reading the folder again.
    sheet
        Write a picture (.png or .jpg): a row for each image that was looked up, and those found.
    overwrite
        Replace files of --save and --sheet that exist.
    runtime
        compiled (C for this very network), onnx (ONNX Runtime), or auto: compiled where there is a C compiler.
    json
        Print one JSON object and nothing else.
    """
    from ..progress import Bars
    from ..verbs.search import search

    with Bars() as bars:
        result = search(
            index,
            images,
            model=model,
            top=top,
            save=save,
            sheet=sheet,
            overwrite=overwrite,
            runtime=runtime,
            cluster=cluster.cluster,
            output=cluster.output,
            watch=bars,
        )
    if save is not None:
        print(wrote(save, f"index of {len(result.index.names):,} images"), file=sys.stderr)
    if sheet is not None:
        print(wrote(sheet, "sheet"), file=sys.stderr)
    return _show(result, json)


def _show(result: "Searched", json: bool) -> int:
    """Print what was found; return 1 where an image could not be looked up."""
    bad = [one for one in result.found if one.error is not None]
    for one in bad:
        print(f"mobilenets: {one}", file=sys.stderr)
    if json:
        print_json(result.to_dict())
    else:
        for one in result.found:
            if one.error is None:
                print(one)
    return int(bool(bad))
