"""ImageNet's classes: WordNet ids (n01440764), which its folders and files are named by, and names for people.

`imagenet.txt` is made by scripts/make_imagenet_names.py.
"""

import re
from functools import cache
from importlib.resources import files

__all__ = ["WNID", "by_wnid", "names"]

WNID = re.compile(r"n\d{8}")


@cache
def by_wnid() -> dict[str, str]:
    """WNID -> name of the 1,000 classes of ILSVRC-2012, in their usual order (sorted by WNID)."""
    lines = files(__package__).joinpath("imagenet.txt").read_text("utf-8").splitlines()
    return dict(tuple(line.split(" ", 1)) for line in lines)  # type: ignore[misc]


def names() -> tuple[str, ...]:
    """The 1,000 names, in the order of the outputs of an ImageNet network."""
    return tuple(by_wnid().values())
