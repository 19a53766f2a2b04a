"""Printing of predictions as they come: a line each, CSV, or one JSON object that is never held whole."""

import csv
import json
import sys
from collections.abc import Iterable
from typing import Protocol

from ..errors import MobilenetsError
from ..runtime import PredictedImage
from . import as_flags, error_object

__all__ = ["write"]


def write(predictions: Iterable[PredictedImage], form: str, columns: tuple[str, ...], max_bad: float) -> int:
    """Print predictions as they come; return 1 where more than `max_bad` of the images could not be decoded.

    `columns` are those of a prediction in CSV.
    """
    writer: _Writer = _Csv(columns) if form == "csv" else _Object() if form == "json" else _Lines()
    count = bad = 0
    try:
        for prediction in predictions:
            count += 1
            if prediction.error is not None:
                bad += 1
                print(f"mobilenets: {prediction.name}: {prediction.error}", file=sys.stderr)
            writer.write(prediction)
    except MobilenetsError as exc:  # the output stays one JSON object
        message = as_flags(str(exc), "predict")
        writer.close(error_object(exc, message))
        print(f"mobilenets: {message}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:  # how a camera is stopped
        writer.close()
        raise
    writer.close()
    if bad:
        print(f"mobilenets: {bad} of {count} images could not be decoded", file=sys.stderr)
    return int(bad > max_bad * count)


class _Writer(Protocol):
    def write(self, prediction: PredictedImage) -> None: ...

    def close(self, error: dict[str, str] | None = None) -> None: ...


class _Lines:
    """Prints lines such as `photo.jpg  daisy 93.1%  tulips 4.2%`."""

    def write(self, prediction: PredictedImage) -> None:
        if prediction.error is None:
            name = prediction.name if prediction.name.isprintable() else repr(prediction.name)
            print(name, prediction.prediction.line(), sep="  ")

    def close(self, error: dict[str, str] | None = None) -> None: ...


class _Csv:
    def __init__(self, columns: tuple[str, ...]) -> None:
        self.writer = csv.writer(sys.stdout, lineterminator="\n")
        self.columns = columns
        self.writer.writerow(["image", *columns, "error"])

    def write(self, prediction: PredictedImage) -> None:
        if prediction.error is not None:
            self.writer.writerow([prediction.name, *("" for _ in self.columns), prediction.error])
        else:
            self.writer.writerows([prediction.name, *row, ""] for row in prediction.prediction.rows())

    def close(self, error: dict[str, str] | None = None) -> None: ...


class _Object:
    """Prints one object piece by piece: {"predictions": [...]}."""

    def __init__(self) -> None:
        self.between = '{"predictions": ['

    def write(self, prediction: PredictedImage) -> None:
        print(self.between, json.dumps(prediction.to_dict()), sep="\n")
        self.between = ","

    def close(self, error: dict[str, str] | None = None) -> None:
        end = f', "error": {json.dumps(error)}' if error else ""
        print(f"{'' if self.between == ',' else self.between}]{end}}}")
