"""`mobilenets quantize`: flags, the verb, and tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .options import Json

if TYPE_CHECKING:
    from ..verbs.quantize import QuantizedFile

__all__ = ["quantize"]


def quantize(
    model: str,
    *,
    data: Path,
    output: Path | None = None,
    images: int = 300,
    rule: Literal["minmax", "percentile", "mse"] | None = None,
    max_bad: float = 0.01,
    overwrite: Json = False,
    json: Json = False,
) -> None:
    """Quantize the weights and activations of a trained model to int8, calibrated on a few hundred images.

    Parameters
    ----------
    model
        A run folder, a model file of any format that import reads, or the name of a published network.
    data
        Images with the model's labels: calibrated on train, evaluated on test or val.
    output
        The .safetensors to write; by default NAME.int8.safetensors beside the model.
    images
        To calibrate on, drawn evenly over all classes; 200 to 500 are enough.
    rule
        How ranges are chosen; by default the rule that agrees best on images held back.
    max_bad
        Share of images that may be undecodable, or have two labels, before it is an error.
    overwrite
        Write over a file that is there already.
    json
        Print one JSON object and nothing else.
    """
    from ..progress import Bars
    from ..verbs.quantize import quantize

    with Bars() as bars:
        result = quantize(
            model, data, output, images=images, rule=rule, max_bad=max_bad, overwrite=overwrite, watch=bars
        )
    _show(result, json)


def _show(result: "QuantizedFile", json: bool) -> None:
    from .console import new_table, print_json, print_parts, wrote
    from .show import filled

    if json:
        print_json(result.to_dict())
        return
    layers = new_table("signal to rounding noise of each layer", "layer", "dB", "scale", "zero point")
    for loss in result.losses:
        affine = result.model.activations[loss.name]
        layers.add_row(loss.name, f"{loss.snr:.1f}", f"{affine.scale:.4g}", str(affine.zero_point))
    rules = new_table(
        f"tried on {result.held_back} of the {result.calibrated_on} images, held back",
        "ranges",
        "equalised",
        "agreement",
        "logits, dB",
    )
    for tried in result.tried:
        rules.add_row(tried.rule, "yes" if tried.equalised else "no", f"{tried.agreement:.1%}", f"{tried.snr:.1f}")
    print_parts(layers, "", rules, "", filled(result.comparison.table()), "", wrote(result.path, "int8 model"))
