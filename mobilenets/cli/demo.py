"""`mobilenets demo`: all steps on the data set that comes with the package."""

from pathlib import Path

from ..arch import Network
from ..data.sources import Dataset, open_dataset
from ..demo import DATA
from ..designs import Budget, Space
from ..machine import need_torch
from ..progress import Bars
from ..runtime import open_session
from ..training.recipe import Recipe
from ..verbs.design import design
from ..verbs.export import export
from ..verbs.predict import predict_open
from ..verbs.train import train
from . import show

__all__ = ["run"]

BUDGET = Budget(max_mult_adds=4_000_000, max_size=1_000_000)  # what two cores train in some two minutes
RECIPE = Recipe(epochs=24)
SHOWN = 6  # test images that are predicted


def run(project: Path, json: bool) -> None:
    need_torch()
    with Bars() as bars:
        bars.note(
            "6,000 pictures of clothes to learn from, 2,000 to be tested on (a sample of Fashion-MNIST, MIT licence)"
        )
        dataset = open_dataset(DATA)
        base = Network(channels=1, classes=len(dataset.labels))
        space = Space(base, families=("v1-shallow",), max_resolution=64)  # which trains fastest
        designed = design(BUDGET, space)
        bars.note(f"design: {designed.reason}")
        result = train(dataset, designed.choice.network, RECIPE, project=project, watch=bars)
        exported = export(result.run)
    if json:
        show.trained(result, json=True)
        return
    _predict(result.run, dataset)
    show.exported(exported, json=False)
    show.trained(result, json=False)


def _predict(model: Path, dataset: Dataset) -> None:
    """Print predictions of some test images, spread over the classes, beside their true labels."""
    test = dataset.splits["test"]
    chosen = test[:: len(test) // SHOWN][:SHOWN]
    print("\npredicted from the test images:")
    for sample, prediction in zip(
        chosen, predict_open(open_session(model), ((s.name, s.read()) for s in chosen), top=2), strict=True
    ):
        print(f"  {dataset.labels[sample.target]:<12}", prediction.prediction.line(), sep="  ")
    print()
