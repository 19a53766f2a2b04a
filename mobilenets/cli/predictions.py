"""Predictions as they come: a line each, CSV, or one JSON object that is never held whole."""

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
    """Prints predictions as they come; returns 1 where more than `max_bad` of the images could not be decoded.

    `columns`: of an answer in CSV.
    """
    writer: _Writer = _Csv(columns) if form == "csv" else _Object() if form == "json" else _Lines()
    count = bad = 0
    try:
        for predicted in predictions:
            count += 1
            if predicted.error is not None:
                bad += 1
                print(f"mobilenets: {predicted.name}: {predicted.error}", file=sys.stderr)
            writer.write(predicted)
    except MobilenetsError as exc:  # what was printed stays one JSON object
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
    def write(self, predicted: PredictedImage) -> None: ...

    def close(self, error: dict[str, str] | None = None) -> None: ...


class _Lines:
    """`photo.jpg  daisy 93.1%  tulips 4.2%`."""

    def write(self, predicted: PredictedImage) -> None:
        if predicted.error is None:
            name = predicted.name if predicted.name.isprintable() else repr(predicted.name)
            print(name, predicted.prediction.line(), sep="  ")

    def close(self, error: dict[str, str] | None = None) -> None: ...


class _Csv:
    def __init__(self, columns: tuple[str, ...]) -> None:
        self.writer = csv.writer(sys.stdout, lineterminator="\n")
        self.columns = columns
        self.writer.writerow(["image", *columns, "error"])

    def write(self, predicted: PredictedImage) -> None:
        if predicted.error is not None:
            self.writer.writerow([predicted.name, *("" for _ in self.columns), predicted.error])
        else:
            self.writer.writerows([predicted.name, *row, ""] for row in predicted.prediction.rows())

    def close(self, error: dict[str, str] | None = None) -> None: ...


class _Object:
    """One object, written as it grows: {"predictions": [...]}."""

    def __init__(self) -> None:
        self.between = '{"predictions": ['

    def write(self, predicted: PredictedImage) -> None:
        said = {} if predicted.prediction is None else predicted.prediction.to_dict()
        print(self.between, json.dumps({"image": predicted.name, **said, "error": predicted.error}), sep="\n")
        self.between = ","

    def close(self, error: dict[str, str] | None = None) -> None:
        end = f', "error": {json.dumps(error)}' if error else ""
        print(f"{'' if self.between == ',' else self.between}]{end}}}")
