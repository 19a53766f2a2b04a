"""The verbs by name. Their functions are imported when they are called, so that --help is fast."""

from collections.abc import Sequence
from typing import Any, get_args

from cyclopts import App, Parameter, Token, convert
from cyclopts.help import DefaultFormatter, HelpPanel, InlineText
from rich.console import Console, ConsoleOptions
from rich.text import Text

from .. import __version__

__all__ = ["app"]


def _exact(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert as cyclopts does, but refuse 1.5 as a whole number, which it rounds."""
    for number, name in ((int, "a whole number"), (float, "a number")):
        if number in (kind, *get_args(kind)):
            for token in tokens:
                try:
                    number(token.value)
                except ValueError:
                    raise ValueError(f"{token.value!r} is not {name}") from None
    return convert(kind, tokens)


def _default(value: Any) -> str | None:
    """Return a default as --help shows it, None where a flag is off or a list is empty until it is given."""
    if isinstance(value, tuple):
        value = " ".join(map(str, value))
    return None if value in (None, False, "") else str(value)


class _Formatter(DefaultFormatter):
    """Wraps help at the width of the terminal, not where lines end in the code."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        for entry in panel.entries:
            described = entry.description
            if isinstance(described, InlineText) and isinstance(described.primary_renderable, Text):
                described.primary_renderable = Text(" ".join(described.primary_renderable.plain.split()))
        super().__call__(console, options, panel)


app = App(
    name="mobilenets",
    version=__version__,
    default_parameter=Parameter(converter=_exact, show_default=_default),
    help_format="plaintext",
    help_formatter=_Formatter(),
    suppress_keyboard_interrupt=False,  # `main` prints a line
    help="Labelled images and a budget in; the small network that fits out, trained, measured and exported.",
    help_epilogue="Errors are one line; --debug shows where one was raised. --json prints one object and nothing else.",
)
app.register_install_completion_command(
    add_to_startup=False, help="Install completion of verbs and flags for bash, zsh or fish."
)
_HELP = {
    "describe": (
        "Compute what a network costs: mult-adds, parameters, bytes, memory; layer by layer.",
        """Examples:
  mobilenets describe 0.5-160
  mobilenets describe runs/photos-0.25-96
  mobilenets describe --alpha 0.35 --img-size 96x128 --classes 10 --json
  mobilenets describe paper
""",
    ),
    "design": (
        "Find the network for a budget: the Pareto front over alpha, resolution and depth, and one choice.",
        """Examples:
  mobilenets design --max-mult-adds 10M --max-size 500KB --classes 5
  mobilenets design --max-latency 2ms --threads 1
  mobilenets design --max-ram 100KB --budget-precision int8 --calibrate runs/a
""",
    ),
    "train": (
        "Train a network on labelled images, given by --alpha and --img-size or by a budget (--max-...).",
        """Examples:
  mobilenets train photos --alpha 0.25 --img-size 96
  mobilenets train photos --max-mult-adds 10M --epochs 50
  mobilenets train photos --pretrained imagenet --alpha 0.25 --img-size 128
  mobilenets train photos --pretrained trained.tflite --freeze
  mobilenets train --resume runs/photos-0.25-96
""",
    ),
    "sweep": (
        "Train many networks under one recipe and compare them: accuracy against cost, latency and memory.",
        """Examples:
  mobilenets sweep photos --alpha 0.25 0.5 --img-size 96 128 --epochs 30
  mobilenets sweep cifar10 --paper --img-size 64 56 48 40
  mobilenets sweep --resume sweeps/photos
""",
    ),
    "evaluate": (
        "Measure a trained model on labelled images: top-1, top-5, each class, calibration, latency.",
        """Examples:
  mobilenets evaluate runs/photos-0.25-96 photos
  mobilenets evaluate model.onnx photos --split val --json
""",
    ),
    "predict": (
        "Predict what images show. Needs no torch; memory does not grow with the number of images.",
        """Examples:
  mobilenets predict runs/photos-0.25-96 holiday.jpg
  mobilenets predict model.onnx folder/ --csv > predictions.csv
  cat photo.jpg | mobilenets predict model.onnx - --json
  mobilenets predict model.safetensors photos/ --cluster local --output parts
""",
    ),
    "serve": (
        "Serve models over HTTP: images to /predict, tensors by the Open Inference Protocol, a page to try them on.",
        """Examples:
  mobilenets serve runs/photos-0.25-96
  mobilenets serve model.safetensors small=model.int8.safetensors --port 8080
  curl --data-binary @photo.jpg http://127.0.0.1:8000/predict
""",
    ),
    "search": (
        "Find the images of a folder that are nearest to others, by a network that was trained to embed.",
        """Examples:
  mobilenets search photos/ one.jpg --model runs/faces-0.25-96
  mobilenets search photos/ --model runs/faces-0.25-96 --save photos.safetensors
  mobilenets search photos.safetensors one.jpg two.jpg --sheet found.png
""",
    ),
    "import": (
        "Import a MobileNet that another program trained: Keras, timm, TensorFlow Lite, PyTorch or ONNX.",
        """Examples:
  mobilenets import mobilenet_v1_0.25_128_quant.tflite
  mobilenets import extractor.tflite head.tflite --output imagenet.safetensors
  mobilenets import weights.pth --img-size 224 --activation relu \\
      --mean 127.5 --std 127.5 --labels labels.txt
""",
    ),
    "quantize": (
        "Quantize a trained model to int8, calibrated on a few hundred images; report what each layer loses.",
        """Examples:
  mobilenets quantize runs/photos-0.25-96 --data photos
  mobilenets quantize model.safetensors --data photos --output small.safetensors
""",
    ),
    "export": (
        "Export a trained model to ONNX, TensorFlow Lite, Keras, timm or PyTorch; read back and compare its logits.",
        """Examples:
  mobilenets export runs/photos-0.25-96
  mobilenets export runs/photos-0.25-96 --format tflite
  mobilenets export runs/photos-0.25-96 --output photos.onnx
""",
    ),
    "compile": (
        "Compile a trained model to C for one processor, without dependencies or malloc; build its library.",
        """Examples:
  mobilenets compile runs/photos-0.25-96
  mobilenets compile model.safetensors --target avx2 --embed --output photos-c
""",
    ),
    "benchmark": (
        "Time the network's own C and every runtime that is installed on this machine, in one run.",
        """Examples:
  mobilenets benchmark runs/photos-0.25-96
  mobilenets benchmark 0.25-128 --threads 1 --report speed.html
  mobilenets benchmark model.safetensors --data photos --precisions fp32 bf16
""",
    ),
    "demo": (
        "Design, train, evaluate and predict on 8,000 small pictures of clothes that come with the package.",
        """Examples:
  mobilenets demo
""",
    ),
}
for verb, (summary, examples) in _HELP.items():
    function = {
        "train": "training:train",
        "sweep": "sweep:sweep",
        "import": "conversion:import_",
        "search": "search:search",
        "serve": "serve:serve",
        "compile": "conversion:compile_",
        "export": "conversion:export",
        "quantize": "quantize:quantize",
        "benchmark": "benchmark:benchmark",
    }.get(verb, f"verbs:{verb}")
    app.command(f"mobilenets.cli.{function}", name=verb, help=summary, help_epilogue=examples)
