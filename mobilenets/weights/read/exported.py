"""The metadata of files that this package exported: network, preprocessing and labels, exactly as they were."""

import json
from collections.abc import Mapping
from typing import Any

from ...arch.network import Network
from ...errors import MobilenetsError, ModelFileError
from ...image import Preprocess

__all__ = ["stated"]


def stated(metadata: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """Fields of `Content`, from the keys `network`, `preprocess` and `labels`; none where there is no network."""
    if f"{prefix}network" not in metadata:
        return {}
    try:
        network = Network.from_json(metadata[f"{prefix}network"])
        preprocess = Preprocess(**json.loads(metadata[f"{prefix}preprocess"]))
        labels = json.loads(metadata[f"{prefix}labels"])
    except KeyError as exc:
        raise ModelFileError(f"its metadata lacks {exc}") from exc
    except (MobilenetsError, ValueError, TypeError, RecursionError) as exc:
        raise ModelFileError(f"its metadata: {str(exc)[:200]}") from exc
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ModelFileError("its metadata: the labels must be a list of texts")
    return {
        "network": network,
        "preprocess": preprocess,
        "size": (preprocess.height, preprocess.width),
        "pixels": (preprocess.mean, preprocess.std),
        "labels": tuple(labels),
    }
