"""Define what evaluation and prediction return for every task: metrics, tables and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..image import Pixels

if TYPE_CHECKING:
    from ..data.cache import Images

__all__ = ["Picture", "Prediction", "Result", "Section", "Table", "figure_name"]

_FIGURES = {
    "top1": "top-1",
    "top5": "top-5",
    "ece": "expected calibration error",
    "map50": "mAP at 0.5",
    "map": "mAP",
    "mean_ap": "mean AP",
    "auc": "AUC",
    "mean_within": "mean share within the five distances",
    "median_km": "median km",
}


def figure_name(column: str) -> str:
    """Return the display name of a metric or of a column of results.csv: 'mAP at 0.5' for `map50` and `val_map50`."""
    name = column.removeprefix("val_")
    return _FIGURES.get(name, name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first column is a name, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels (H, W, C) uint8 with a caption; `wrong` is shown below it in red."""

    pixels: Pixels
    caption: str
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report; `figures` are SVG, pictures are shown `width` pixels wide."""

    title: str
    caption: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    width: int = 136


class Result(Protocol):
    """The metrics of a model on one split."""

    @property
    def images(self) -> int: ...
    @property
    def score(self) -> float:
        """Return the main metric of the task, from 0 to 1."""

    def headline(self) -> str:
        """Return the main metrics in one line."""

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        """Return (name, value, explanation) for the head of the report, the most important first."""

    def metrics(self) -> Mapping[str, Any]:
        """Return `images` and the reproducible metrics, which are stored in the model file."""

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics as JSON-compatible values."""

    def tables(self) -> tuple[Table, ...]:
        """Return tables for the terminal."""

    def sections(self, images: "Images") -> tuple[Section, ...]:
        """Return sections for the report."""


class Prediction(Protocol):
    """The prediction for one image."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible values."""

    def line(self) -> str:
        """Return one line for the terminal."""

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Return rows for CSV, with the task's `columns`."""
