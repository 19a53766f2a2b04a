"""The rows of a part as Parquet: their columns for each task, and reading them back."""

from collections.abc import Iterable
from typing import Any

from .plan import Part
from .storage import Place
from .work import Outcome

__all__ = ["columns_of", "count", "read_rows", "to_parquet"]


def columns_of(wanted: str, task: str) -> Any:
    """Return the schema of a part.

    Of predictions: the keys of `predict --json`. Of outputs: image, label (of the data), output, error.
    """
    import pyarrow as pa

    number, text = pa.float64(), pa.string()

    def several(*fields: tuple[str, Any]) -> Any:
        return pa.list_(pa.struct(fields))

    place = (("latitude", number), ("longitude", number))
    answer: dict[str, tuple[tuple[str, Any], ...]] = {
        "classify": (("top", several(("label", text), ("probability", number))), ("none", pa.bool_())),
        "attributes": (("attributes", pa.map_(text, number)),),
        "embed": (("embedding", pa.list_(number)),),
        "geolocate": (*place, ("top", several(("cell", text), *place, ("probability", number)))),
        "detect": (("boxes", several(("label", text), ("score", number), ("box", pa.list_(number)))),),
    }
    outputs = (("label", text), ("output", pa.list_(pa.float32())))
    return pa.schema([("image", text), *(answer[task] if wanted == "predictions" else outputs), ("error", text)])


def to_parquet(rows: Iterable[dict[str, Any]], columns: Any) -> bytes:
    """Return the content of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), columns), sink, compression="zstd")
    return bytes(sink.getvalue())


def count(part: Part, output: Place) -> Outcome:
    """Return how many images and errors a finished part has, from the end of its file."""
    import pyarrow.parquet as pq

    with output.below(part.file).opened_in_place() as file:
        table = pq.ParquetFile(file)
        error = table.read(["error"]).column(0)
        return Outcome(part.name, len(error), len(error) - error.null_count)


def read_rows(part: Part, output: Place, columns: list[str]) -> Any:
    """Return `columns` of a finished part as a pyarrow table."""
    import pyarrow.parquet as pq

    with output.below(part.file).opened_in_place() as file:
        return pq.read_table(file, columns=columns)
