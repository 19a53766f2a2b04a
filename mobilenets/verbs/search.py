"""`mobilenets search`: the images of a folder that are nearest to others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..cluster import is_url
from ..errors import DataError, UsageError
from ..files import check_output
from ..opening import Opened, open_model
from ..progress import Watch, watching
from ..runtime import Runner, Runtime, find_images, open_session
from ..tasks.verification.index import Found, Index, build_index, check_task, load_index, look_up
from .outputs import check_cluster, outputs_in_parts

__all__ = ["Searched", "search"]


@dataclass(frozen=True, slots=True, repr=False)
class Searched:
    """The index that was searched, and the images found for each one that was looked up."""

    index: Index
    found: tuple[Found, ...]

    def __repr__(self) -> str:
        return f"Searched({len(self.found)} images in an index of {len(self.index.names):,})"

    def __str__(self) -> str:
        return "\n".join(map(str, self.found))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets search`, whose keys docs/json.md lists."""
        found = [
            {"image": one.image, "error": one.error, "nearest": [asdict(match) for match in one.matches]}
            for one in self.found
        ]
        return {"images": len(self.index.names), "exact": self.index.exact, "found": found}


def search(
    index: str | Path,
    images: str | Path | Sequence[str | Path] = (),
    *,
    model: str | Path | None = None,
    top: int = 10,
    save: str | Path | None = None,
    sheet: str | Path | None = None,
    overwrite: bool = False,
    runtime: Runtime = "auto",
    cluster: str | None = None,
    output: str | Path | None = None,
    watch: Watch | None = None,
) -> Searched:
    """Find the images of a folder that are nearest to others, by a network that was trained to embed.

    Parameters
    ----------
    index
        A folder of images (to any depth), or an index that `save` wrote.
    images
        What to look up: files or folders.
    model
        A run folder or model file of task embed; a saved index remembers its own.
    top
        The number of images that are found for each.
    save
        Write the index to this `.safetensors`, to be searched without reading the folder again.
    sheet
        Write a picture (.png or .jpg): a row for each image that was looked up, and those found.
    overwrite
        Replace files of `save` and `sheet` that exist.
    cluster
        Compute the index on this Ray cluster ("local": the cores of this machine), in parts that are kept in `output`;
        `index` is a path or URL as for `predict_parts`.
    output
        The folder of the parts, as of `predict_parts`.
    """
    check_cluster(cluster, output)
    names = [images] if isinstance(images, str | Path) else list(images)
    place = Path(index)
    remote = cluster is not None and is_url(index)
    if not names and save is None:
        raise UsageError("search needs an image to look up, or --save")
    if save is not None:
        check_output(Path(save), (".safetensors",), overwrite, "--save", [place])
    if sheet is not None:
        check_output(Path(sheet), (".png", ".jpg", ".jpeg"), overwrite, "--sheet", map(Path, names), any_case=True)
    asked = ((str(path), path) for path in find_images(names))
    if not (place.exists() or remote):
        raise DataError(f"{place}: no such file or folder")
    known = load_index(place) if place.is_file() and place.suffix not in (".tar", ".parquet") else None
    if known and cluster is not None:
        raise UsageError(f"cluster (={cluster}): {place} is an index already, leave it out")
    name = model or (known.model if known else None)
    if name is None:
        raise UsageError(f"{place}: say with --model which network shall compare its images")
    with watching(watch) as watch:
        opened = open_model(name, watch)
        session = open_session(opened.model, runtime=runtime)
        if cluster is not None and output is not None:
            searched = _built_on_cluster(opened, session, str(index), output, cluster, str(name), runtime, watch)
        else:
            searched = known or _built(session, place, str(name), watch)
        if save is not None:
            searched.save(save)
        result = Searched(searched, tuple(look_up(searched, session, asked, top)))
        if sheet is not None:
            from .pictures import save_picture
            from .sheet import draw_sheet

            save_picture(Path(sheet), draw_sheet(result.found, session.preprocess))
    return result


def _built(session: Runner, folder: Path, model: str, watch: Watch) -> Index:
    built, bad = build_index(session, folder, model)
    for line in bad:
        watch.note(line)
    return built


def _built_on_cluster(
    opened: Opened,
    session: Runner,
    images: str,
    output: str | Path,
    cluster: str,
    model: str,
    runtime: Runtime,
    watch: Watch,
) -> Index:
    check_task(session, model)
    found = outputs_in_parts(opened, session, [images], output, cluster, runtime, watch)
    for bad in found.bad:
        watch.note(f"skipped {bad.name}: {bad.reason}")
    return Index(found.names, found.outputs, model)
