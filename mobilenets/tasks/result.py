"""What judging and predicting give, whatever the task: figures, tables and pictures for the terminal and the report."""

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
    """Return how people write the figure of a column of results.csv, or of a model's metrics: `map50`, `val_map50`."""
    name = column.removeprefix("val_")
    return _FIGURES.get(name, name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first column names, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """(H, W, C) uint8, and what stands below it; `wrong` is printed in red."""

    pixels: Pixels
    caption: str
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report, in this order; `figures` are SVG, pictures are shown `width` pixels wide."""

    title: str
    caption: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    width: int = 136


class Result(Protocol):
    """A model's figures on one split."""

    @property
    def images(self) -> int: ...
    @property
    def score(self) -> float:
        """The task's figure, from 0 to 1."""

    def headline(self) -> str:
        """One line: the figures by which people compare."""

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        """(name, figure, what it says) of the report's head, the most important first."""

    def metrics(self) -> Mapping[str, Any]:
        """What the model file keeps: `images` and the figures, all of which a second run would give again."""

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""

    def tables(self) -> tuple[Table, ...]:
        """For the terminal."""

    def sections(self, images: "Images") -> tuple[Section, ...]:
        """For the report."""


class Prediction(Protocol):
    """What one image's output says."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""

    def line(self) -> str:
        """For the terminal."""

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """For CSV, under the task's `columns`."""
