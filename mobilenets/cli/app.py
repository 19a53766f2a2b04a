"""The verbs by name; what they do is imported when they are called, so that --help is quick."""

from cyclopts import App

from .. import __version__

__all__ = ["app"]

app = App(
    name="mobilenets",
    version=__version__,
    help="Labelled images and a budget in; the small network that fits out, trained, measured and exported.",
    help_epilogue="Errors are one line; --debug shows where one was raised. --json prints one object and nothing else.",
)
_HELP = {
    "describe": "What a network costs: mult-adds, parameters, bytes, memory; layer by layer.",
    "design": "Find the network for a budget.",
    "train": "Train a network on labelled images.",
    "evaluate": "Measure a trained model on labelled images.",
    "predict": "Name what images show.",
    "export": "Write a trained model as ONNX, checked against torch.",
    "demo": "Design, train, evaluate and predict on the data set that comes with the package.",
}
for verb, text in _HELP.items():
    app.command(f"mobilenets.cli.verbs:{verb}", name=verb, help=text)
