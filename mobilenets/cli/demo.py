"""`mobilenets demo`: the whole path on the data set that comes with the package."""

from pathlib import Path

from ..api import answered, design_network, export_model, train_network
from ..arch import Network
from ..data.sources import Dataset, open_dataset
from ..demo import DATA
from ..design import Budget, Space
from ..machine import need_torch
from ..progress import Bars
from ..runtime import open_session
from ..train.recipe import Recipe
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
        space = Space(base=Network(channels=1, classes=len(dataset.labels)), max_resolution=64)
        design = design_network(BUDGET, space)
        bars.note(f"design: {design.reason}")
        result = train_network(dataset, design.choice.network, RECIPE, runs=project, name=None, watch=bars)
        exported = export_model(result.run)
    if json:
        show.trained(result, json=True)
        return
    _predict(result.run, dataset)
    show.exported(exported, json=False)
    show.trained(result, json=False)


def _predict(model: Path, dataset: Dataset) -> None:
    """Some test images, spread over the classes, with their true names."""
    test = dataset.splits["test"]
    chosen = test[:: len(test) // SHOWN][:SHOWN]
    print("\npredicted from the test images:")
    for sample, predicted in zip(
        chosen, answered(open_session(model), ((s.name, s.read()) for s in chosen), top=2), strict=True
    ):
        print(f"  {dataset.labels[sample.target]:<12}", predicted.prediction.line(), sep="  ")
    print()
