"""`mobilenets predict --cluster`: many images into the Parquet files of a folder."""

import sys
from typing import Any

from .console import print_json
from .options import ClusterFlags

__all__ = ["predict_parts"]


def predict_parts(
    model: str, images: tuple[str, ...], flags: ClusterFlags, max_bad: float, json: bool, **settings: Any
) -> int:
    """Write the parts and print what they hold; return 1 where more than `max_bad` of the images have an error."""
    from ..progress import Bars
    from ..verbs.outputs import check_cluster
    from ..verbs.parts import predict_parts

    check_cluster(flags.cluster, flags.output)
    assert flags.cluster is not None and flags.output is not None
    with Bars() as bars:
        parts = predict_parts(model, images, flags.output, cluster=flags.cluster, watch=bars, **settings)
    print_json(parts.to_dict()) if json else print(f"wrote {parts}", file=sys.stderr)
    return int(parts.errors > max_bad * parts.images)
