"""Provide the names of ImageNet's classes and their WordNet ids (n01440764), which name its folders and files.

`imagenet.txt` is made by scripts/make_imagenet_names.py.
"""

from functools import cache
from importlib.resources import files

__all__ = ["by_wnid", "names", "wnid_of"]


@cache
def by_wnid() -> dict[str, str]:
    """Return a mapping from WNID to name for the 1,000 classes of ILSVRC-2012, in their usual order (by WNID)."""
    lines = files(__package__).joinpath("imagenet.txt").read_text("utf-8").splitlines()
    return dict(tuple(line.split(" ", 1)) for line in lines)  # type: ignore[misc]


def names() -> tuple[str, ...]:
    """Return the 1,000 names, in the order of the outputs of an ImageNet network."""
    return tuple(by_wnid().values())


def wnid_of(file: str) -> str | None:
    """Return the WNID at the start of a file name (n01440764_tench.jpg), or None if it is not one of the 1,000."""
    wnid, underscore, _ = file.partition("_")
    return wnid if underscore and wnid in by_wnid() else None
