"""Metadata of files that this package exported: network, preprocessing and labels, restored exactly."""

from collections.abc import Mapping
from typing import Any

from ...errors import MobilenetsError, ModelFileError
from ...model import use_from_metadata

__all__ = ["stated"]


def stated(metadata: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """Return fields of `Content` from the keys `network`, `preprocess` and `labels`; none where there is no network."""
    if f"{prefix}network" not in metadata:
        return {}
    try:
        use = use_from_metadata(metadata, prefix)
    except MobilenetsError as exc:
        raise ModelFileError(f"its metadata: {exc}".replace("metadata: its metadata ", "metadata ")) from exc
    preprocess = use["preprocess"]
    return {**use, "size": (preprocess.height, preprocess.width), "pixels": (preprocess.mean, preprocess.std)}
