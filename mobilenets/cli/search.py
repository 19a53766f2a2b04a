"""`mobilenets search`: the images of a folder that are nearest to others."""

import json as jsonlib
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import DataError, UsageError
from ..files import check_output
from .console import wrote
from .options import Json, RuntimeFlag

if TYPE_CHECKING:
    from ..index import Found, Index
    from ..runtime import Runner

__all__ = ["search"]


def search(
    index: Path,
    images: Annotated[tuple[Path, ...], Parameter(negative=())] = (),
    *,
    model: str | None = None,
    top: int = 10,
    save: Path | None = None,
    sheet: Path | None = None,
    overwrite: Json = False,
    runtime: RuntimeFlag = "auto",
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
        A run folder or model file of task embed; a saved index remembers its own.
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
    from ..index import load_index, look_up
    from ..opening import open_model
    from ..runtime import find_images, open_session

    if not images and save is None:
        raise UsageError("search needs an image to look up, or --save")
    if save is not None:
        check_output(save, (".safetensors",), overwrite, "--save", [index])
    if sheet is not None:
        check_output(sheet, (".png", ".jpg", ".jpeg"), overwrite, "--sheet", images, any_case=True)
    asked = ((str(path), path) for path in find_images(images))
    if not index.exists():
        raise DataError(f"{index}: no such file or folder")
    known = load_index(index) if index.is_file() else None
    name = model or (known.model if known else None)
    if name is None:
        raise UsageError(f"{index}: say with --model which network shall compare its images")
    session = open_session(open_model(name).model, runtime=runtime)
    made = known or _built(session, index, name)
    if save is not None:
        print(wrote(made.save(save), f"index of {len(made.names):,} images"), file=sys.stderr)
    found = look_up(made, session, asked, top)
    return _tell(made, list(found) if sheet else found, sheet, session, json)


def _built(session: "Runner", folder: Path, model: str) -> "Index":
    from ..index import build_index

    made, bad = build_index(session, folder, model)
    for line in bad:
        print(f"mobilenets: {line}", file=sys.stderr)
    return made


def _tell(
    index: "Index", found: "list[Found] | Iterator[Found]", sheet: Path | None, session: "Runner", json: bool
) -> int:
    """Prints as they come; 1 where an image could not be looked up."""
    bad, told = 0, []
    for one in found:
        if one.error is not None:
            bad += 1
            print(f"mobilenets: {one.image}: {one.error}", file=sys.stderr)
        if json:
            told.append({"image": one.image, "error": one.error, "nearest": [asdict(match) for match in one.matches]})
        elif one.error is None:
            print(one.image)
            print("".join(f"  {match.cosine:6.3f}  {match.image}\n" for match in one.matches), end="")
    if json:
        print(jsonlib.dumps({"images": len(index.names), "exact": index.exact, "found": told}, indent=2))
    if sheet is not None and isinstance(found, list):
        from .pictures import save_picture
        from .sheet import draw_sheet

        save_picture(sheet, draw_sheet(found, session.preprocess))
        print(wrote(sheet, "sheet"), file=sys.stderr)
    return int(bad > 0)
