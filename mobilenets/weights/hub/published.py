"""`Published`: a trained network that can be downloaded, and its files."""

import os
from dataclasses import dataclass

from ..recognise import Given

__all__ = ["HUGGING_FACE", "File", "Published"]

HUGGING_FACE = "hf://"  # hf://OWNER/REPOSITORY/FILE: fetched by huggingface_hub


@dataclass(frozen=True, slots=True)
class File:
    """One file as its publisher serves it. None: not stated."""

    where: str  # https://..., or hf://OWNER/REPOSITORY/FILE
    sha256: str | None = None  # or as many of its first digits as the publisher states
    size: int | None = None  # bytes
    md5: str | None = None

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.where.rpartition("/")[2]

    @property
    def url(self) -> str:
        """Return the address that browsers open."""
        if not self.where.startswith(HUGGING_FACE):
            return self.where
        repository, _, name = self.where.removeprefix(HUGGING_FACE).rpartition("/")
        return f"{os.environ.get('HF_ENDPOINT') or 'https://huggingface.co'}/{repository}/resolve/main/{name}"


@dataclass(frozen=True, slots=True)
class Published:
    """A network trained on ImageNet's 1000 classes that can be downloaded."""

    name: str
    alpha: float
    height: int  # and width
    what: str
    files: tuple[File, ...]  # more than one: they run one after the other
    top1: float | None  # ImageNet top-1 in %, as `source` prints it for this resolution; None: not printed
    source: str
    licence: str
    given: Given  # settings of the network that the file does not state
    quantised: bool = False
    head: bool = False  # with a 1x1 convolution before the classifier, as timm's "h"
    family: str = ""  # a key of `zoo.FAMILIES`; "": V1

    @property
    def size(self) -> int | None:
        """Return the bytes of all files; None where the publisher does not state them."""
        sizes = [file.size for file in self.files if file.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None
