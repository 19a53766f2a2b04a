"""State dicts of torchvision and timm with random weights and statistics: equal logits in float64."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mobilenets.arch.graph import expand
from mobilenets.errors import ModelFileError
from mobilenets.image import normalise
from mobilenets.model import Model
from mobilenets.training.module import MobileNet, load_weights
from mobilenets.weights import Given, import_files

models = pytest.importorskip("torchvision").models
timm = pytest.importorskip("timm")

SIZE = 64
Make = Callable[[], Any]


def of_torchvision(family: str, alpha: float) -> Make:
    return lambda: getattr(models, f"mobilenet_{family}")(width_mult=alpha, num_classes=7)


def of_timm(name: str) -> Make:
    return lambda: timm.create_model(name, num_classes=7)


CASES: dict[str, tuple[Make, str]] = {
    "torchvision v2 1.0": (of_torchvision("v2", 1.0), "v2-1-64"),
    "torchvision v2 0.35": (of_torchvision("v2", 0.35), "v2-0.35-64"),
    "torchvision v3 large": (of_torchvision("v3_large", 1.0), "v3-large-1-64"),
    "torchvision v3 large 0.75": (of_torchvision("v3_large", 0.75), "v3-large-0.75-64"),
    "torchvision v3 small": (of_torchvision("v3_small", 1.0), "v3-small-1-64"),
    "torchvision v3 small 0.5": (of_torchvision("v3_small", 0.5), "v3-small-0.5-64"),
    "mobilenetv2_050": (of_timm("mobilenetv2_050"), "v2-0.5-64"),
    "mobilenetv2_140": (of_timm("mobilenetv2_140"), "v2-1.4-64"),
    "mobilenetv3_small_050": (of_timm("mobilenetv3_small_050"), "v3-small-0.5-64"),
    "mobilenetv3_large_075": (of_timm("mobilenetv3_large_075"), "v3-large-0.75-64"),
    "mobilenetv3_large_100": (of_timm("mobilenetv3_large_100"), "v3-large-1-64"),
    "tf_mobilenetv3_small_minimal_100": (of_timm("tf_mobilenetv3_small_minimal_100"), "v3-small-minimalistic-1-64"),
    "tf_mobilenetv3_large_minimal_100": (of_timm("tf_mobilenetv3_large_minimal_100"), "v3-large-minimalistic-1-64"),
    "mobilenetv4_conv_small_050": (of_timm("mobilenetv4_conv_small_050"), "v4-conv-small-0.5-64"),
    "mobilenetv4_conv_small": (of_timm("mobilenetv4_conv_small"), "v4-conv-small-1-64"),
    "mobilenetv4_conv_medium": (of_timm("mobilenetv4_conv_medium"), "v4-conv-medium-1-64"),
}
QUICK = {
    *("torchvision v2 0.35", "torchvision v3 small 0.5", "mobilenetv3_small_050", "mobilenetv4_conv_small_050"),
    "tf_mobilenetv3_small_minimal_100",
}


def randomise(module: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    for name, values in module.state_dict().items():
        if values.ndim > 1:
            deviation = (2 / np.prod(values.shape[1:])) ** 0.5
            values.copy_(torch.randn(values.shape, generator=generator) * deviation)
        elif name.endswith("running_var") or name.endswith("weight"):
            values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
        elif values.ndim:
            values.copy_(torch.randn(values.shape, generator=generator) * 0.2)
    return module.eval()


def logits(module: Any, model: Model, pixels: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(normalise(pixels, model.preprocess).astype(np.float64)).permute(0, 3, 1, 2)
    with torch.no_grad():
        return module.double().eval()(images).numpy()


def our_logits(model: Model, pixels: np.ndarray) -> np.ndarray:
    module = MobileNet(expand(model.network))
    load_weights(module, model.weights)
    return logits(module, model, pixels)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in CASES])
def test_equal_logits(name: str, suffix: str, tmp_path: Path) -> None:
    make, ours = CASES[name]
    module, path = randomise(make()), tmp_path / f"m{suffix}"
    if suffix == ".pth":
        torch.save(module.state_dict(), path)
    else:  # sorts the names
        pytest.importorskip("safetensors.torch").save_file(module.state_dict(), path)
    model = import_files([path], Given(size=(SIZE, SIZE))).model
    assert model.network.name == ours
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    expected = logits(module, model, pixels)
    assert np.abs(our_logits(model, pixels) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_widths_of_no_alpha(tmp_path: Path) -> None:
    """A pruned network: the table of its family states what its file does not."""
    module = randomise(of_torchvision("v2", 0.35)())
    module.features[2].conv[0][0] = torch.nn.Conv2d(8, 40, 1, bias=False)
    module.features[2].conv[0][1] = torch.nn.BatchNorm2d(40)
    module.features[2].conv[1][0] = torch.nn.Conv2d(40, 40, 3, 2, 1, groups=40, bias=False)
    module.features[2].conv[1][1] = torch.nn.BatchNorm2d(40)
    module.features[2].conv[2] = torch.nn.Conv2d(40, 8, 1, bias=False)
    torch.save(randomise(module).state_dict(), tmp_path / "m.pth")
    model = import_files([tmp_path / "m.pth"], Given(size=(SIZE, SIZE))).model
    assert (model.network.alpha, model.network.blocks[1].expansion) == (1.0, 40)
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    expected = logits(module, model, pixels)
    assert np.abs(our_logits(model, pixels) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_kernels_of_no_table(tmp_path: Path) -> None:
    state = randomise(of_torchvision("v2", 0.35)()).state_dict()
    torch.save({name: array for name, array in state.items() if "features.17" not in name}, tmp_path / "m.pth")
    with pytest.raises(
        ModelFileError, match=r"layer 5, features\.2\.conv\.1\.0: a depthwise convolution after the head"
    ):
        import_files([tmp_path / "m.pth"])


def test_settings_that_names_tell(tmp_path: Path) -> None:
    """torchvision's V3 has an epsilon of 1e-3, its V2 PyTorch's own; both expect ImageNet's statistics."""
    for family, epsilon in (("v2", 1e-5), ("v3_small", 1e-3)):
        module = of_torchvision(family, 0.5)()
        torch.save(module.state_dict(), tmp_path / "m.pth")
        imported = import_files([tmp_path / "m.pth"])
        assert imported.model.network.epsilon == epsilon
        assert {layer.eps for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)} == {epsilon}
        assert np.allclose(np.array(imported.model.preprocess.mean) / 255, (0.485, 0.456, 0.406))
        assert {fact.name: fact.source for fact in imported.facts}["activation"].startswith("the table of v")
