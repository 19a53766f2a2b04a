"""How steps divide their work, where timing on a processor has chosen otherwise than the table of its target."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..files import writable_cache, write_atomic
from ..machine import processor
from ..model import Model
from ..quant.scheme import QuantModel
from .program import Target

__all__ = ["CANDIDATES", "NONE", "Tiling", "Tilings", "keep_tilings", "kept_tilings"]


class Tiling(NamedTuple):
    """How a step divides its work, relative to the table of the target."""

    rows: float = 1.0  # of the memory that depthwise rows may take
    rank: int = 0  # of the tile's number of pixels, in the order of estimated cycles
    pixels: int = 0  # of a depthwise tile, at most; 0: as many as the registers hold


Tilings = Mapping[str, Tiling]  # name of a step -> its tiling; steps that are missing take the table's
NONE: Tilings = {}

# in the order of what they gained on the processors tried: a tuning that has little time takes the first of them
CANDIDATES = (Tiling(rows=2.0), Tiling(rank=1), Tiling(rows=0.5), Tiling(pixels=4), Tiling(rows=4.0), Tiling(rank=2))


def kept_tilings(model: Model | QuantModel, target: Target, precision: str) -> Tilings | None:
    """Return the tilings that `keep_tilings` kept for this network on this processor; None where it kept none."""
    try:
        content = json.loads(_file(model, target, precision).read_text())
        return {name: Tiling(float(rows), int(rank), int(pixels)) for name, (rows, rank, pixels) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def keep_tilings(model: Model | QuantModel, target: Target, precision: str, tilings: Tilings) -> None:
    """Keep the tilings in the cache; libraries that are compiled for the cache take them from now on."""
    file = _file(model, target, precision)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps(tilings))


def _file(model: Model | QuantModel, target: Target, precision: str) -> Path:
    settings = (model.network.to_json(), target, precision, processor())
    return writable_cache() / "tuned" / f"{hashlib.sha256(repr(settings).encode()).hexdigest()[:32]}.json"
